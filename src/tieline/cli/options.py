"""The options that commands share."""

from collections.abc import Callable, Sequence
from typing import Annotated, Final

import typer

from tieline.cli.client import Client, check_server, connect
from tieline.cli.failure import Failure, Status
from tieline.cli.fields import split_pair, suggest

SERVER: Final = "http://127.0.0.1:8420"


def _server(value: str) -> str:
    try:
        return check_server(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Server = Annotated[
    str, typer.Option("--server", envvar="TIELINE_SERVER", metavar="URL", callback=_server, help="The server.")
]
Project = Annotated[
    str | None,
    typer.Option(
        "--project",
        "-p",
        envvar="TIELINE_PROJECT",
        metavar="ID",
        help="The project; need not be given where there is only one.",
    ),
]
AsJSON = Annotated[bool, typer.Option("--json", help="Print what the API answers, and nothing else.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait for the activities that this sets off.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether this is meant.")]
User = Annotated[str, typer.Option("--user", metavar="USER", help="Whose; operators may name others.")]


def connect_project(server: str, project: str | None) -> Client:
    """A client of one project's documents. Raises `Failure` when it is not clear which one is meant."""
    client = connect(server)
    return client.within("projects", project or _only_project(client))


def _only_project(client: Client) -> str:
    found = client.get("projects").items
    if len(found) == 1:
        return str(found[0]["id"])
    if not found:
        raise Failure(Status.USAGE, 'There is no project yet: tieline project create --title "My site"')
    raise Failure(
        Status.USAGE,
        "Which project? Give --project or set TIELINE_PROJECT to one of these:",
        *(f"{each['id']}  {each['title']}" for each in found),
    )


def one_of(*known: str) -> Callable[[str | None], str | None]:
    """A check that a value is one of a few."""

    def check(value: str | None) -> str | None:
        if value is not None and value not in known:
            raise typer.BadParameter(f"{value!r} is none of {', '.join(known)}{suggest(value, known)}")
        return value

    return check


def pairs(given: Sequence[str] | None, option: str) -> dict[str, str] | None:
    """The values of an option that takes NAME=VALUE again and again."""
    try:
        return None if given is None else dict(split_pair(each) for each in given)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
