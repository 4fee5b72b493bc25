"""`tieline organization`: who owns projects, and who belongs to that."""

from typing import Annotated, Any, Final

import typer

from tieline.cli import show
from tieline.cli.client import Client, connect
from tieline.cli.commands.users import user_id
from tieline.cli.options import SERVER, AsJSON, Server
from tieline.cli.text import local_time

app = typer.Typer(no_args_is_help=True, help="Organizations, which own projects, and their members.")
member = typer.Typer(no_args_is_help=True, help="Who belongs to an organization, and may give it projects.")
app.add_typer(member, name="member")

_COLUMNS: Final = (
    show.Column("ID", fit="keep"),
    show.Column("NAME"),
    show.Column("LABEL"),
    show.Column("CREATED", fit="keep"),
)
_MEMBER_COLUMNS: Final = (show.Column("USER"), show.Column("LEVEL", fit="keep"), show.Column("SINCE", fit="keep"))
Organization = Annotated[str, typer.Argument(metavar="ORGANIZATION", help="Its name or id.")]
User = Annotated[str, typer.Argument(metavar="USER", help="An id, or for operators a user name.")]


def _connect(server: str, organization: str) -> Client:
    """A client of one organization's documents. Ids have capitals, which names have not."""
    named = organization if organization.isupper() else f"name={organization}"
    return connect(server).within("organizations", named)


@app.command("list")
def list_organizations(*, server: Server = SERVER, as_json: AsJSON = False) -> None:
    """List the organizations that you belong to, or see by a project of theirs."""
    answer = connect(server).get("organizations")
    show.listing(answer, _COLUMNS, _row, empty="You belong to none yet.", as_json=as_json)


def _row(organization: dict[str, Any]) -> show.Row:
    return organization["id"], organization["name"], organization["label"], local_time(organization["created_at"])


@app.command("get")
def get_organization(organization: Organization, *, server: Server = SERVER, as_json: AsJSON = False) -> None:
    """Show an organization."""
    show.entity(_connect(server, organization).get(), as_json=as_json)


@app.command("create")
def create_organization(
    name: Annotated[str, typer.Argument(help="Small letters, digits and hyphens.")],
    *,
    label: Annotated[str, typer.Option("--label", help="What people call it.")],
    server: Server = SERVER,
    as_json: AsJSON = False,
) -> None:
    """Create an organization, which you own; for operators."""
    show.entity(connect(server).post("organizations", body={"name": name, "label": label}), as_json=as_json)


@member.command("list")
def list_members(organization: Organization, *, server: Server = SERVER, as_json: AsJSON = False) -> None:
    """List who belongs to an organization."""
    answer = _connect(server, organization).get("members")
    show.listing(answer, _MEMBER_COLUMNS, _member_row, empty="Nobody belongs to it.", as_json=as_json)


def _member_row(found: dict[str, Any]) -> show.Row:
    return found["user_id"], "owner" if found["owner"] else found["level"], local_time(found["created_at"])


@member.command("add")
def add_member(
    organization: Organization,
    user: User,
    *,
    admin: Annotated[bool, typer.Option("--admin", help="May manage the members.")] = False,
    server: Server = SERVER,
    as_json: AsJSON = False,
) -> None:
    """Have a user belong to an organization; access to projects is given by project."""
    permissions = ["admin"] if admin else ["projects:create", "projects:list"]
    body = {"user_id": user_id(connect(server), user), "permissions": permissions}
    answer = _connect(server, organization).post("members", body=body)
    show.done(answer, f"{user} belongs to {organization} now.", as_json=as_json)


@member.command("remove")
def remove_member(organization: Organization, user: User, *, server: Server = SERVER, as_json: AsJSON = False) -> None:
    """Have a user belong to an organization no more; what access it has to projects stays."""
    answer = _connect(server, organization).delete("members", user_id(connect(server), user))
    show.done(answer, f"{user} does not belong to {organization} any more.", as_json=as_json)
