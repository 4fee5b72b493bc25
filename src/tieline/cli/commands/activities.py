"""`tieline activity`: what is done, was done and will be done."""

from typing import Annotated, Any, Final

import typer

from tieline.cli import show
from tieline.cli.client import Client
from tieline.cli.commands.environments import find_environment
from tieline.cli.commands.integrations import find_integration
from tieline.cli.failure import Failure, Status
from tieline.cli.follow import follow_log, is_open, is_seal, outcome, outcome_of, read_log, tell_line
from tieline.cli.options import SERVER, AsJSON, Project, Server, connect_project
from tieline.cli.text import local_time

app = typer.Typer(no_args_is_help=True, help="Activities: what is done, was done and waits, with their logs.")

_COLUMNS: Final = (
    show.Column("ID", fit="keep"),
    show.Column("CREATED", fit="keep"),
    show.Column("STATE", fit="keep"),
    show.Column("ACTIVITY", fit="cut"),
)

Identifier = Annotated[str, typer.Argument(metavar="ID", help="The activity.")]
Newest = Annotated[str | None, typer.Argument(metavar="ID", help="The activity; the newest, when it is not given.")]
Environment = Annotated[
    str | None, typer.Option("--environment", "-e", metavar="ID", help="Only those of this environment, or branch.")
]
Integration = Annotated[
    str | None, typer.Option("--integration", "-i", metavar="ID", help="Only those of this integration, or type.")
]


def _side(client: Client, environment: str | None, integration: str | None) -> Client:
    """From where to look: the whole project, or one thing in it."""
    if environment and integration:
        raise Failure(Status.USAGE, "Give --environment or --integration, not both.")
    if environment:
        return client.within("environments", find_environment(client, environment).entity["id"])
    if integration:
        return client.within("integrations", find_integration(client, integration).entity["id"])
    return client


@app.command("list")
def list_activities(  # noqa: PLR0913 - as many as there are options
    *,
    environment: Environment = None,
    integration: Integration = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only this type, e.g. environment.push.")] = None,
    states: Annotated[
        list[str] | None, typer.Option("--state", help="Only pending, in_progress, complete or cancelled ones.")
    ] = None,
    results: Annotated[list[str] | None, typer.Option("--result", help="Only those with success or failure.")] = None,
    starts_at: Annotated[
        str | None, typer.Option("--before", metavar="MOMENT", help="Only those created until then.")
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, max=100, help="How many.")] = 25,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
) -> None:
    """List the newest activities first. --type, --state and --result may be given again and again."""
    query = {"type": types, "state": states, "result": results, "starts_at": starts_at, "count": count}
    answer = _side(connect_project(server, project), environment, integration).get("activities", query=query)
    show.listing(answer, _COLUMNS, _row, empty="There are none.", as_json=as_json)


def _row(activity: dict[str, Any]) -> show.Row:
    # The vendor's stars around names are for its console.
    text = activity["text"].replace("**", "")
    return activity["id"], local_time(activity["created_at"]), outcome(activity), text


@app.command("get")
def get_activity(
    activity: Newest = None,
    *,
    environment: Environment = None,
    integration: Integration = None,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
) -> None:
    """Show an activity."""
    client = connect_project(server, project)
    found = activity or _newest(_side(client, environment, integration))
    show.entity(client.get("activities", found), as_json=as_json, but=() if as_json else ("payload", "description"))


def _newest(side: Client) -> str:
    found = side.get("activities", query={"count": 1}).items
    if not found:
        raise Failure(Status.NOT_FOUND, "There are no activities yet.")
    return str(found[0]["id"])


@app.command("cancel")
def cancel_activity(
    activity: Identifier, *, server: Server = SERVER, project: Project = None, as_json: AsJSON = False
) -> None:
    """End an activity that waits or runs."""
    answer = connect_project(server, project).post("activities", activity, "cancel")
    state = "is asked to end" if is_open(answer.entity) else "has ended"
    show.done(answer, f"The activity {activity} {state}.", as_json=as_json)


@app.command("log")
def show_log(
    activity: Newest = None,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Wait for more until it ends; 1 when it did not succeed.")
    ] = False,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="Begin each line with its time.")] = False,
    environment: Environment = None,
    integration: Integration = None,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
) -> None:
    """Print the log of an activity."""
    client = connect_project(server, project)
    found = activity or _newest(_side(client, environment, integration))
    sealed = False
    for line in (follow_log if follow else read_log)(client, found):
        sealed = is_seal(line)
        if as_json:
            show.raw(line)
        else:
            tell_line(line, timestamps=timestamps)
    _conclude(client, found, follow=follow, sealed=sealed)


def _conclude(client: Client, activity: str, *, follow: bool, sealed: bool) -> None:
    if not follow and not sealed:
        show.remark("It goes on; --follow waits for the rest.")
    if follow and (ended := outcome_of(client, activity)) != "success":
        raise Failure(Status.FAILED, f"The activity {activity} ended as: {ended}.")
