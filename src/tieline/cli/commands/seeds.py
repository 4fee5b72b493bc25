"""`tieline export`: what `tieline serve --seed` reads."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from tieline.cli.client import connect
from tieline.cli.commands.processes import export_with_secrets
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
    secrets: Annotated[
        Path | None,
        typer.Option(
            "--secrets",
            metavar="FILE",
            dir_okay=False,
            help="Also write the secrets, as variables for a shell that only you can read; on the server's machine.",
        ),
    ] = None,
    server: Server = SERVER,
) -> None:
    """Write users and projects as YAML, for `tieline serve --seed`; for operators.

    Secrets are written as references to variables of the environment. Their values go over no network: for --secrets
    the database is read, with the settings of the server.
    """
    if secrets is None:
        written = b"".join(connect(server).lines("_tieline", "export", query={"project": projects}))
    else:
        written, values = export_with_secrets(projects or [])
        _write(secrets, _assignments(values), mode=0o600)
    if output is None:
        typer.echo(written, nl=False)
    else:
        _write(output, written, mode=0o666)


def _assignments(values: Mapping[str, str]) -> bytes:
    """What a shell sets variables with: `set -a; . FILE; set +a`."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()).encode()


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that has at most the rights of `mode` from its first moment on."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise Failure(Status.FAILED, f"{path}: {error.strerror or error}.") from error
