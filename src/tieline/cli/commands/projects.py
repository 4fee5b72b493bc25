"""`tieline project`: what everything else belongs to, and who may see it."""

from typing import Annotated, Any, Final

import typer

from tieline.cli import show
from tieline.cli.client import Answer, connect
from tieline.cli.commands.users import user_id
from tieline.cli.failure import Conflict, Failure, Status
from tieline.cli.options import SERVER, AsJSON, Project, Server, connect_project, one_of, pairs
from tieline.cli.text import local_time

app = typer.Typer(no_args_is_help=True, help="Projects, and who has access to them.")
access = typer.Typer(no_args_is_help=True, help="Who may see a project, and who may change it.")
app.add_typer(access, name="access")

_COLUMNS: Final = (
    show.Column("ID", fit="keep"),
    show.Column("TITLE"),
    show.Column("DEFAULT BRANCH"),
    show.Column("CREATED", fit="keep"),
)
_ACCESS_COLUMNS: Final = (show.Column("USER"), show.Column("ROLE", fit="keep"), show.Column("SINCE", fit="keep"))

Title = typer.Option("--title", help="What people call it.")
Description = typer.Option("--description", help="What it is.")
DefaultBranch = typer.Option("--default-branch", metavar="BRANCH", help="The branch of the production environment.")
Timezone = typer.Option("--timezone", metavar="NAME", help="A time zone of the IANA database, e.g. Europe/Paris.")
Organization = typer.Option("--organization", metavar="NAME", help="Who owns it; you belong to that.")
Region = typer.Option("--region", help="Where it runs.")
Attributes = typer.Option("--attribute", metavar="NAME=VALUE", help="May be given again and again.")


@app.command("list")
def list_projects(*, server: Server = SERVER, as_json: AsJSON = False) -> None:
    """List the projects that you may see."""
    answer = connect(server).get("projects")
    empty = 'There are none yet: tieline project create --title "My site"'
    show.listing(answer, _COLUMNS, _row, empty=empty, as_json=as_json)


def _row(project: dict[str, Any]) -> show.Row:
    return project["id"], project["title"], project["default_branch"] or "-", local_time(project["created_at"])


@app.command("create")
def create_project(  # noqa: PLR0913 - as many as there are options
    *,
    title: Annotated[str, Title],
    description: Annotated[str | None, Description] = None,
    default_branch: Annotated[str | None, DefaultBranch] = None,
    timezone: Annotated[str | None, Timezone] = None,
    region: Annotated[str | None, Region] = None,
    organization: Annotated[str | None, Organization] = None,
    attributes: Annotated[list[str] | None, Attributes] = None,
    server: Server = SERVER,
    as_json: AsJSON = False,
) -> None:
    """Create a project; you become its admin."""
    body = _body(
        attributes,
        organization=organization,
        title=title,
        description=description,
        default_branch=default_branch,
        timezone=timezone,
        region=region,
    )
    _show(connect(server).post("projects", body=body), as_json=as_json)


@app.command("get")
def get_project(*, server: Server = SERVER, project: Project = None, as_json: AsJSON = False) -> None:
    """Show a project."""
    _show(connect_project(server, project).get(), as_json=as_json)


@app.command("update")
def update_project(  # noqa: PLR0913 - as many as there are options
    *,
    title: Annotated[str | None, Title] = None,
    description: Annotated[str | None, Description] = None,
    default_branch: Annotated[str | None, DefaultBranch] = None,
    timezone: Annotated[str | None, Timezone] = None,
    region: Annotated[str | None, Region] = None,
    attributes: Annotated[list[str] | None, Attributes] = None,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
) -> None:
    """Change a project; only what is given. Attributes are replaced as a whole."""
    body = _body(
        attributes,
        title=title,
        description=description,
        default_branch=default_branch,
        timezone=timezone,
        region=region,
    )
    if not body:
        raise Failure(Status.USAGE, "There is nothing to change; see `tieline project update --help`.")
    _show(connect_project(server, project).patch(body=body), as_json=as_json)


def _body(attributes: list[str] | None, **values: str | None) -> dict[str, Any]:
    given = {**values, "attributes": pairs(attributes, "--attribute")}
    return {name: value for name, value in given.items() if value is not None}


def _show(answer: Answer, *, as_json: bool) -> None:
    # The vendor's billing facts say nothing here.
    show.entity(answer, as_json=as_json, but=("subscription",))


@access.command("list")
def list_access(*, server: Server = SERVER, project: Project = None, as_json: AsJSON = False) -> None:
    """List who has access to a project."""
    answer = connect_project(server, project).get("user-access")
    show.listing(answer, _ACCESS_COLUMNS, _access_row, empty="Nobody has access.", as_json=as_json)


def _access_row(grant: dict[str, Any]) -> show.Row:
    return grant["user_id"], ", ".join(grant["permissions"]), local_time(grant["granted_at"])


@access.command("grant")
def grant_access(
    user: Annotated[str, typer.Argument(metavar="USER", help="An id, or for operators a user name.")],
    *,
    role: Annotated[
        str,
        typer.Option("--role", metavar="admin|viewer", callback=one_of("admin", "viewer"), help="What they may do."),
    ] = "viewer",
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
) -> None:
    """Give a user access to a project, or another role in it."""
    client = connect_project(server, project)
    wanted = user_id(connect(server), user)
    try:
        answer = client.post("user-access", body=[{"user_id": wanted, "permissions": [role]}])
    except Conflict:
        answer = client.patch("user-access", wanted, body={"permissions": [role]})
    show.done(answer, f"{user} has the role {role} now.", as_json=as_json)


@access.command("revoke")
def revoke_access(
    user: Annotated[str, typer.Argument(metavar="USER", help="An id, or for operators a user name.")],
    *,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
) -> None:
    """Take a user's access to a project away."""
    answer = connect_project(server, project).delete("user-access", user_id(connect(server), user))
    show.done(answer, f"{user} has no access any more.", as_json=as_json)
