"""`tieline`: every command, and how the program ends."""

import io
import sys
from typing import Annotated, Final

import typer

import tieline
from tieline.cli.commands import (
    activities,
    deliveries,
    environments,
    integrations,
    organizations,
    processes,
    projects,
    seeds,
    tokens,
    users,
    variables,
)
from tieline.cli.failure import MEANING, Failure

_STATUSES: Final = "\n".join(f"  {status.value:>3}  {meaning}" for status, meaning in MEANING.items())
_HELP: Final = f"""Project integrations that speak the Upsun API: the server, and a client of it.

\b
Clients read three settings from the environment:
  TIELINE_SERVER   the server, http://127.0.0.1:8420 by default
  TIELINE_TOKEN    an API token; on the server's machine, by default, that of
                   the file admin-token in the data folder (TIELINE_DATA)
  TIELINE_PROJECT  the project; need not be set where there is only one

\b
Exit statuses:
{_STATUSES}
"""

app = typer.Typer(
    name="tieline", help=_HELP, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)
app.command("serve")(processes.serve)
app.command("worker")(processes.work)
app.command("migrate")(processes.migrate)
app.command("export")(seeds.export)
app.add_typer(processes.simulate, name="simulate")
app.add_typer(projects.app, name="project")
integrations.app.add_typer(variables.app, name="variable")
app.add_typer(integrations.app, name="integration")
app.add_typer(environments.app, name="environment")
app.add_typer(activities.app, name="activity")
app.add_typer(deliveries.app, name="delivery")
app.add_typer(tokens.app, name="token")
app.add_typer(users.app, name="user")
app.add_typer(organizations.app, name="organization")


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - the signature is that of an option's callback
    if wanted:
        typer.echo(f"Tieline {tieline.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="The version.")
    ] = False,
) -> None:
    """What is said of the program as a whole is in `_HELP`."""


def run() -> None:
    """Run the command of `sys.argv` and end the process with its status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal's encoding lacks is no reason to end.
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="tieline")
    except Failure as failure:
        for sentence in failure.sentences:
            typer.echo(sentence, err=True)
        sys.exit(failure.status)
