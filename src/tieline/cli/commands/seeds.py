"""`tieline export`: what `tieline serve --seed` reads."""

from pathlib import Path
from typing import Annotated

import typer

from tieline.cli.client import connect
from tieline.cli.failure import Failure, Status
from tieline.cli.options import SERVER, Server


def export(
    *,
    projects: Annotated[
        list[str] | None,
        typer.Option("--project", "-p", metavar="ID", help="Only this project; may be given again and again."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", dir_okay=False, help="Where to write it; to be read, by default."
        ),
    ] = None,
    server: Server = SERVER,
) -> None:
    """Write users and projects as YAML, for `tieline serve --seed`; for operators.

    Secrets are written as references to variables of the environment, never as values.
    """
    written = b"".join(connect(server).lines("_tieline", "export", query={"project": projects}))
    if output is None:
        typer.echo(written, nl=False)
        return
    try:
        output.write_bytes(written)
    except OSError as error:
        raise Failure(Status.FAILED, f"{output}: {error.strerror or error}.") from error
