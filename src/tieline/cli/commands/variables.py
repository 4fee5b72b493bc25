"""`tieline integration variable`: what scripts are told by name."""

from typing import Annotated, Any, Final

import typer

from tieline.cli import show
from tieline.cli.ask import confirm
from tieline.cli.client import Answer, Client
from tieline.cli.commands.integrations import Identifier, find_integration
from tieline.cli.failure import Failure, Status
from tieline.cli.options import SERVER, AsJSON, Project, Server, Yes, connect_project
from tieline.cli.sources import parse_source, read_source

app = typer.Typer(no_args_is_help=True, help="Variables of an integration, which scripts read by name.")

_COLUMNS: Final = (
    show.Column("NAME", fit="keep"),
    show.Column("VALUE"),
    show.Column("JSON", fit="keep"),
)
_HIDDEN: Final = "(sensitive)"

Name = Annotated[str, typer.Argument(help="The name that scripts know it by.")]


def _variables_of(integration: str, server: str, project: str | None) -> Client:
    client = connect_project(server, project)
    return client.within("integrations", find_integration(client, integration).entity["id"], "variables")


@app.command("list")
def list_variables(
    integration: Identifier, *, server: Server = SERVER, project: Project = None, as_json: AsJSON = False
) -> None:
    """List the variables of an integration; the values of sensitive ones are never shown."""
    answer = _variables_of(integration, server, project).get()
    show.listing(answer, _COLUMNS, _row, empty="There are none.", as_json=as_json)


def _row(variable: dict[str, Any]) -> show.Row:
    return variable["name"], variable.get("value", _HIDDEN), "yes" if variable["is_json"] else "no"


@app.command("set")
def set_variable(
    integration: Identifier,
    name: Name,
    *,
    value: Annotated[
        str | None, typer.Option("--value", metavar="TEXT", help="What it holds, for everybody to see.")
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option("--secret", metavar="SOURCE", help="Where its secret is: @FILE, env:NAME, - or prompt."),
    ] = None,
    is_json: Annotated[bool, typer.Option("--is-json", help="The value is JSON.")] = False,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
) -> None:
    """Create a variable, or change the one of that name. A secret is sensitive: it is never shown again."""
    given = {"value": _value(name, value, secret), "is_json": is_json, "is_sensitive": secret is not None}
    answer = _put(_variables_of(integration, server, project), name, given)
    show.done(answer, f"The variable {name} is set.", as_json=as_json)


def _value(name: str, value: str | None, secret: str | None) -> str:
    if (value is None) == (secret is None):
        raise Failure(Status.USAGE, "Give either --value, or --secret for what nobody may see.")
    if secret is None:
        return value or ""
    try:
        return read_source(parse_source(secret), name)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--secret") from None


def _put(variables: Client, name: str, given: dict[str, Any]) -> Answer:
    """The variable that is there is changed, so that nobody who reads it meanwhile misses it."""
    try:
        return variables.patch(name, body=given)
    except Failure as failure:
        if failure.status != Status.NOT_FOUND:
            raise
    return variables.post(body={"name": name, **given})


@app.command("delete")
def delete_variable(
    integration: Identifier,
    name: Name,
    *,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
    yes: Yes = False,
) -> None:
    """Take a variable away."""
    variables = _variables_of(integration, server, project)
    confirm(f"Remove the variable {name}?", agreed=yes)
    show.done(variables.delete(name), f"The variable {name} is removed.", as_json=as_json)
