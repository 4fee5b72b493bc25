"""The command line: starts the server's processes, and is a client of its API."""

import sys


def main() -> None:
    """Run a command."""
    try:
        from tieline.cli.application import run  # noqa: PLC0415 - Ctrl-C may come while it is still loaded

        run()
    except KeyboardInterrupt:
        sys.exit(130)
