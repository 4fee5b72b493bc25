"""`tieline user`: people and programs that have tokens."""

from typing import Annotated, Any, Final

import typer

from tieline.cli import show
from tieline.cli.client import Client, connect
from tieline.cli.failure import Failure, Status
from tieline.cli.options import SERVER, AsJSON, Server
from tieline.cli.text import local_time

app = typer.Typer(no_args_is_help=True, help="Users of the server; for operators.")

_COLUMNS: Final = (
    show.Column("ID", fit="keep"),
    show.Column("USERNAME"),
    show.Column("E-MAIL"),
    show.Column("CREATED", fit="keep"),
)


def user_id(client: Client, wanted: str) -> str:
    """The id of a user who is named by it, or, for operators, by the user name."""
    if wanted == "me":
        return wanted
    try:
        users = client.get("users").items
    except Failure as failure:
        if failure.status != Status.FORBIDDEN:
            raise
        return wanted
    return next((str(each["id"]) for each in users if each["username"] == wanted), wanted)


@app.command("list")
def list_users(*, server: Server = SERVER, as_json: AsJSON = False) -> None:
    """List every user."""
    show.listing(connect(server).get("users"), _COLUMNS, _row, empty="There are none.", as_json=as_json)


def _row(user: dict[str, Any]) -> show.Row:
    return user["id"], user["username"], user["email"], local_time(user["created_at"])


@app.command("get")
def get_user(
    user: Annotated[str, typer.Argument(metavar="USER", help="An id or user name; you, by default.")] = "me",
    *,
    server: Server = SERVER,
    as_json: AsJSON = False,
) -> None:
    """Show a user."""
    client = connect(server)
    show.entity(client.get("users", user_id(client, user)), as_json=as_json)


@app.command("create")
def create_user(
    username: Annotated[str, typer.Argument(help="Small letters, digits, dots, hyphens and underscores.")],
    *,
    email: Annotated[str, typer.Option("--email", help="The address.")],
    first_name: Annotated[str, typer.Option("--first-name", help="As others see it.")] = "",
    last_name: Annotated[str, typer.Option("--last-name", help="As others see it.")] = "",
    operator: Annotated[bool, typer.Option("--operator", help="May do everything on this server.")] = False,
    server: Server = SERVER,
    as_json: AsJSON = False,
) -> None:
    """Create a user, who then needs access to a project and a token."""
    body = {
        "username": username,
        "email": email,
        "first_name": first_name,
        "last_name": last_name,
        "is_operator": operator,
    }
    show.entity(connect(server).post("users", body=body), as_json=as_json)
