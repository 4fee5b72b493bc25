"""The command line: starts the server's processes, and is a client of its API."""


def main() -> None:
    """Run a command."""
    from tieline.cli.application import run  # noqa: PLC0415 - importing this package costs nothing

    run()
