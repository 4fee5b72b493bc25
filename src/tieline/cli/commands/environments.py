"""`tieline environment`: what branches and pull requests became."""

from typing import Annotated, Any, Final

import typer

from tieline.cli import show
from tieline.cli.ask import confirm
from tieline.cli.client import Answer, Client
from tieline.cli.failure import Failure, Status
from tieline.cli.fields import suggest
from tieline.cli.follow import wait_for
from tieline.cli.options import SERVER, AsJSON, NoWait, Project, Server, Yes, connect_project, one_of
from tieline.cli.text import short

app = typer.Typer(no_args_is_help=True, help="Environments: what branches and pull requests became.")

_COLUMNS: Final = (
    show.Column("ID"),
    show.Column("BRANCH"),
    show.Column("STATUS", fit="keep"),
    show.Column("PARENT"),
    show.Column("COMMIT", fit="keep"),
    show.Column("URL"),
)
_INITS: Final = ("default", "minimum", "parent", "manual")

Identifier = Annotated[str, typer.Argument(metavar="ENVIRONMENT", help="The id of the environment, or its branch.")]


@app.command("list")
def list_environments(*, server: Server = SERVER, project: Project = None, as_json: AsJSON = False) -> None:
    """List the environments of a project."""
    answer = connect_project(server, project).get("environments")
    empty = "There are none yet. An integration with a Git host brings them: tieline integration add --help"
    show.listing(answer, _COLUMNS, _row, empty=empty, as_json=as_json)


def _row(environment: dict[str, Any]) -> show.Row:
    return (
        environment["id"],
        environment["name"],
        _status(environment),
        environment["parent"] or "-",
        short(environment["head_commit"]),
        _url(environment) or "-",
    )


def _status(environment: dict[str, Any]) -> str:
    """A commit of a fork is built only when a person says so, and a person has to know."""
    status = str(environment["status"])
    return f"{status}, needs approval" if environment.get("awaiting_approval") else status


def _url(environment: dict[str, Any]) -> str:
    return str(environment["_links"].get("public-url", {}).get("href", ""))


@app.command("get")
def get_environment(
    environment: Identifier, *, server: Server = SERVER, project: Project = None, as_json: AsJSON = False
) -> None:
    """Show an environment."""
    answer = find_environment(connect_project(server, project), environment)
    show.entity(answer, as_json=as_json, url=_url(answer.entity))


def find_environment(client: Client, wanted: str) -> Answer:
    """An environment by its id, or by the name of its branch."""
    try:
        return client.get("environments", wanted)
    except Failure as failure:
        if failure.status != Status.NOT_FOUND:
            raise
    return client.get("environments", _id_of_branch(client.get("environments").items, wanted))


def _id_of_branch(environments: list[dict[str, Any]], branch: str) -> str:
    branches = {str(each["name"]): str(each["id"]) for each in environments if not each["is_pr"]}
    if branch not in branches:
        known = {*branches, *(each["id"] for each in environments)}
        sentence = f"There is no environment and no branch {branch!r}{suggest(branch, known)}"
        raise Failure(Status.NOT_FOUND, sentence, "`tieline environment list` shows what there is.")
    return branches[branch]


@app.command("activate")
def activate_environment(
    environment: Identifier,
    *,
    init: Annotated[
        str | None,
        typer.Option(
            "--init", metavar="|".join(_INITS), callback=one_of(*_INITS), help="The resources of its services at start."
        ),
    ] = None,
    commit: Annotated[
        str | None, typer.Option("--commit", metavar="SHA", help="Only if its branch is still at the commit you saw.")
    ] = None,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
    no_wait: NoWait = False,
) -> None:
    """Build and deploy an inactive environment; for the pull request of a fork, this is the approval."""
    body = {**({"resources": {"init": init}} if init else {}), **({"commit": commit} if commit else {})}
    _operate(connect_project(server, project), environment, "activate", body, as_json=as_json, no_wait=no_wait)


@app.command("deactivate")
def deactivate_environment(
    environment: Identifier,
    *,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
    no_wait: NoWait = False,
    yes: Yes = False,
) -> None:
    """Take down what runs, and its data; the code stays."""
    confirm(f"Take {environment} down?", agreed=yes)
    _operate(connect_project(server, project), environment, "deactivate", as_json=as_json, no_wait=no_wait)


@app.command("pause")
def pause_environment(
    environment: Identifier,
    *,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
    no_wait: NoWait = False,
) -> None:
    """Stop what runs; its data stays."""
    _operate(connect_project(server, project), environment, "pause", as_json=as_json, no_wait=no_wait)


@app.command("resume")
def resume_environment(
    environment: Identifier,
    *,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
    no_wait: NoWait = False,
) -> None:
    """Build and deploy a paused environment again."""
    _operate(connect_project(server, project), environment, "resume", as_json=as_json, no_wait=no_wait)


@app.command("redeploy")
def redeploy_environment(
    environment: Identifier,
    *,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
    no_wait: NoWait = False,
) -> None:
    """Deploy again what is deployed."""
    _operate(connect_project(server, project), environment, "redeploy", as_json=as_json, no_wait=no_wait)


@app.command("synchronize")
def synchronize_environment(
    environment: Identifier,
    *,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
    no_wait: NoWait = False,
    yes: Yes = False,
) -> None:
    """Replace the environment's data with a copy of its parent's."""
    confirm(f"Replace the data of {environment} with its parent's?", agreed=yes)
    body = {"synchronize_data": True}
    _operate(connect_project(server, project), environment, "synchronize", body, as_json=as_json, no_wait=no_wait)


@app.command("delete")
def delete_environment(
    environment: Identifier,
    *,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
    no_wait: NoWait = False,
    yes: Yes = False,
) -> None:
    """Remove an inactive environment. A branch that is still there comes back with the next synchronisation."""
    client = connect_project(server, project)
    found = find_environment(client, environment).entity["id"]
    confirm(f"Remove the environment {found}?", agreed=yes)
    _finish(client, client.delete("environments", found), as_json=as_json, no_wait=no_wait)


def _operate(client: Client, wanted: str, operation: str, body: Any = None, *, as_json: bool, no_wait: bool) -> None:
    found = find_environment(client, wanted).entity["id"]
    answer = client.post("environments", found, operation, body=body)
    _finish(client, answer, as_json=as_json, no_wait=no_wait)


def _finish(client: Client, answer: Answer, *, as_json: bool, no_wait: bool) -> None:
    if as_json:
        show.document(answer)
    if not no_wait:
        wait_for(client, answer.activities)
