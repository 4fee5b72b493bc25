"""The command line."""

import sys


def main() -> None:
    """Run a command."""
    from tieline import app  # noqa: PLC0415

    settings = app.read_settings()
    match sys.argv[1:]:
        case ["serve"]:
            app.serve(settings)
        case ["worker"]:
            app.work(settings)
