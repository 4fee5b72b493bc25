"""The commands that are the server, or parts of it."""

import gc
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tieline.cli.failure import Failure, Status

if TYPE_CHECKING:
    from tieline.settings import Settings

_HIGHEST_PORT: Final = 65535

simulate = typer.Typer(no_args_is_help=True, help="Stand-ins for Git hosts, to try things on.")


def serve(
    *,
    worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Whether this process does the work, too.")
    ] = True,
    seed: Annotated[
        Path | None,
        typer.Option(
            "--seed",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="YAML with users and projects, to be loaded where they are missing.",
        ),
    ] = None,
) -> None:
    """Serve the API, and do the work that comes up, until Ctrl-C."""
    _pause_collector()
    from tieline import app  # noqa: PLC0415 - the whole server, which clients do not need

    _run(lambda settings: app.serve(settings, worker=worker, seed=seed))


def work() -> None:
    """Do the work that comes up, without the API, until Ctrl-C."""
    _pause_collector()
    from tieline import app  # noqa: PLC0415

    _run(app.work)


def migrate() -> None:
    """Bring the database to this version."""
    from tieline import app  # noqa: PLC0415

    _run(app.migrate)
    typer.echo("The database is at this version.")


def export_with_secrets(project_ids: list[str]) -> tuple[bytes, dict[str, str]]:
    """A seed of the database of this machine's server, and the values of the variables that it refers to."""
    from tieline import app  # noqa: PLC0415

    read: list[tuple[bytes, dict[str, str]]] = []

    def export(settings: "Settings") -> None:
        written, secrets = app.export(settings, project_ids)
        read.append((written, {name: secret.reveal() for name, secret in secrets.items()}))

    _run(export)
    return read[0]


def _pause_collector() -> None:
    """Nothing that is loaded at the start is garbage; the server has the collector look again once it is ready."""
    gc.disable()


def _run(start: Callable[["Settings"], None]) -> None:
    from tieline import app  # noqa: PLC0415
    from tieline.core.errors import Invalid, TielineError  # noqa: PLC0415

    try:
        start(app.read_settings())
    except Invalid as error:
        sentences = (f"{name}: {sentence}" for name, sentence in error.detail.items())
        raise Failure(Status.USAGE, str(error), *sentences) from None
    except TielineError as error:
        raise Failure(Status.FAILED, str(error)) from None
    except OSError as error:
        raise Failure(Status.FAILED, f"{error.filename or 'The server'}: {error.strerror or error}.") from error


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not (host and port.isascii() and port.isdecimal() and int(port) <= _HIGHEST_PORT):
        raise typer.BadParameter("must be address:port, e.g. 127.0.0.1:8421.")
    return value


@simulate.command("bitbucket")
def simulate_bitbucket(
    *,
    listen: Annotated[
        str, typer.Option("--listen", metavar="ADDRESS:PORT", callback=_address, help="Where to be reached.")
    ] = "127.0.0.1:8421",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="FOLDER", help="Where its repositories are kept; a temporary folder, by default."
        ),
    ] = None,
) -> None:
    """Serve a Bitbucket Cloud with a sample repository until Ctrl-C, and say how to use it."""
    from tieline.simulators.bitbucket import program  # noqa: PLC0415

    try:
        with _folder(data) as folder:
            program.run(listen, folder)
    except OSError as error:
        raise Failure(Status.FAILED, f"The simulator cannot serve at {listen}: {error.strerror or error}.") from error


@contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted
        return
    with tempfile.TemporaryDirectory(prefix="tieline-bitbucket-") as folder:
        yield Path(folder)
