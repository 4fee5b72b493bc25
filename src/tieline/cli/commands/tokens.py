"""`tieline token`: API tokens."""

from typing import Annotated, Any, Final

import typer

from tieline.cli import show
from tieline.cli.ask import confirm
from tieline.cli.client import Client, connect
from tieline.cli.commands.users import user_id
from tieline.cli.options import SERVER, AsJSON, Server, User, Yes
from tieline.cli.text import local_time

app = typer.Typer(no_args_is_help=True, help="API tokens: what programs and people show to be let in.")

_COLUMNS: Final = (
    show.Column("ID", fit="keep"),
    show.Column("NAME"),
    show.Column("CREATED", fit="keep"),
    show.Column("EXPIRES", fit="keep"),
    show.Column("LAST USED", fit="keep"),
)


def _tokens_of(user: str, server: str) -> Client:
    client = connect(server)
    return client.within("users", user_id(client, user), "api-tokens")


@app.command("list")
def list_tokens(*, user: User = "me", server: Server = SERVER, as_json: AsJSON = False) -> None:
    """List your tokens, without their values."""
    answer = _tokens_of(user, server).get()
    show.listing(answer, _COLUMNS, _row, empty="There are none.", as_json=as_json)


def _row(token: dict[str, Any]) -> show.Row:
    moments = (local_time(token[name]) for name in ("created_at", "expires_at", "last_used_at"))
    return token["id"], token["name"], *moments


@app.command("create")
def create_token(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    *,
    expires_at: Annotated[
        str | None, typer.Option("--expires-at", metavar="MOMENT", help="E.g. 2030-01-31T12:00:00Z; never, by default.")
    ] = None,
    user: User = "me",
    server: Server = SERVER,
    as_json: AsJSON = False,
) -> None:
    """Create a token. Its value is printed this once, alone on standard output."""
    body = {"name": name, "expires_at": expires_at}
    answer = _tokens_of(user, server).post(body=body)
    if as_json:
        show.document(answer)
        return
    show.remark(f"The token {answer.document['id']}, shown this once:")
    typer.echo(answer.document["token"])


@app.command("revoke")
def revoke_token(
    token: Annotated[str, typer.Argument(metavar="ID", help="The id of the token, not its value.")],
    *,
    user: User = "me",
    server: Server = SERVER,
    as_json: AsJSON = False,
    yes: Yes = False,
) -> None:
    """Make a token worthless from now on."""
    confirm(f"Revoke the token {token}? Whoever uses it is locked out.", agreed=yes)
    answer = _tokens_of(user, server).delete(token)
    show.done(answer, f"The token {token} is revoked.", as_json=as_json)
