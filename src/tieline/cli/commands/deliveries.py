"""`tieline delivery`: what was sent to those who are told of activities, and what is sent again."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from tieline.cli import show
from tieline.cli.client import Client
from tieline.cli.commands.integrations import Identifier, find_integration
from tieline.cli.failure import Failure, Status
from tieline.cli.moments import EXPLANATION, parse_moment
from tieline.cli.options import SERVER, AsJSON, Project, Server, connect_project
from tieline.cli.text import local_time, printable, short

app = typer.Typer(no_args_is_help=True, help="Deliveries: what was sent to whoever is told of activities.")

_COLUMNS: Final = (
    show.Column("ID", fit="keep"),
    show.Column("CREATED", fit="keep"),
    show.Column("STATE", fit="keep"),
    show.Column("TRIES", fit="keep"),
    show.Column("WHAT", fit="cut"),
)
_ATTEMPT_COLUMNS: Final = (
    show.Column("TRY", fit="keep"),
    show.Column("BEGAN", fit="keep"),
    show.Column("TOOK", fit="keep"),
    show.Column("STATUS", fit="keep"),
    show.Column("OUTCOME"),
)
# Shown apart, or of no use to people.
_NOT_IN_TABLE: Final = ("attempts", "request", "attempt_count")

Delivery = Annotated[str, typer.Argument(metavar="DELIVERY", help="The delivery, as `tieline delivery list` names it.")]
Newest = Annotated[
    str | None, typer.Argument(metavar="DELIVERY", help="The delivery; the newest, when it is not given.")
]


def _moment(value: str | None) -> str | None:
    try:
        return None if value is None else parse_moment(value, datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Since = typer.Option("--since", metavar="MOMENT", callback=_moment, help=f"Only those added since then, {EXPLANATION}.")


def _of(server: str, project: str | None, integration: str) -> tuple[Client, str]:
    """A client of one integration's documents, and the integration's id."""
    client = connect_project(server, project)
    found = str(find_integration(client, integration).entity["id"])
    return client.within("integrations", found), found


@app.command("list")
def list_deliveries(  # noqa: PLR0913 - as many as there are options
    integration: Identifier,
    *,
    states: Annotated[
        list[str] | None,
        typer.Option("--state", help="Only pending, delivering, delivered, waiting, failed or held ones."),
    ] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Only of this type of activity, e.g. environment.push.")
    ] = None,
    environment: Annotated[
        str | None, typer.Option("--environment", "-e", metavar="ID", help="Only what happened in this environment.")
    ] = None,
    activity: Annotated[
        str | None, typer.Option("--activity", metavar="ID", help="Only what tells of this activity.")
    ] = None,
    since: Annotated[str | None, Since] = None,
    before: Annotated[
        str | None, typer.Option("--before", metavar="DELIVERY", help="Only those that are older than this one.")
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, max=100, help="How many.")] = 25,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
) -> None:
    """List the newest deliveries first. --state and --type may be given again and again."""
    query = {
        "state": states,
        "type": types,
        "environment": environment,
        "activity": activity,
        "since": since,
        "before": before,
        "count": count,
    }
    client, _ = _of(server, project, integration)
    answer = client.get("deliveries", query=query)
    show.listing(answer, _COLUMNS, _row, empty="There are none.", as_json=as_json)
    if len(answer.items) == count and not as_json:
        show.remark(f"There may be older ones: --before {answer.items[-1]['id']}")


def _row(delivery: dict[str, Any]) -> show.Row:
    tries = str(delivery["attempt_count"])
    return delivery["id"], local_time(delivery["created_at"]), delivery["state"], tries, _what(delivery)


def _what(delivery: dict[str, Any]) -> str:
    """What it tells, in a few words."""
    if (status := delivery["build_status"]) is not None:
        return f"build {status['state']} of {short(status['commit'])}"
    told = delivery["activity"] or {}
    place = f" of {delivery['environment']}" if delivery["environment"] else ""
    return f"{told.get('type')}{place} ({told.get('state')})"


@app.command("get")
def get_delivery(
    integration: Identifier,
    delivery: Newest = None,
    *,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
) -> None:
    """Show a delivery: its attempts, what was sent and what came back last."""
    client, _ = _of(server, project, integration)
    answer = client.get("deliveries", delivery or _newest(client))
    show.entity(answer, as_json=as_json, but=() if as_json else _NOT_IN_TABLE)
    if not as_json:
        _show_attempts(answer.entity["attempts"])
        _show_request(answer.entity)


def _newest(client: Client) -> str:
    found = client.get("deliveries", query={"count": 1}).items
    if not found:
        raise Failure(Status.NOT_FOUND, "There are no deliveries yet.")
    return str(found[0]["id"])


def _show_attempts(attempts: list[dict[str, Any]]) -> None:
    if attempts:
        typer.echo()
        show.table(_ATTEMPT_COLUMNS, [_attempt_row(each) for each in attempts])


def _attempt_row(attempt: dict[str, Any]) -> show.Row:
    address = f" [{attempt['address']}]" if attempt["address"] else ""
    return (
        str(attempt["number"]),
        local_time(attempt["started_at"]),
        f"{attempt['seconds']:.3f} s",
        str(attempt["status"] or "-"),
        attempt["sentence"] + address,
    )


def _show_request(delivery: dict[str, Any]) -> None:
    """The request as it was sent last, its body, and what was answered."""
    last = delivery["attempts"][-1] if delivery["attempts"] else {}
    if (sent := last.get("request")) is not None:
        typer.echo()
        typer.echo(printable(f"{sent['method']} {sent['url']}"))
        for name, value in sent["headers"].items():
            typer.echo(printable(f"{name}: {value}"))
    if delivery["request"] is not None:
        typer.echo()
        show.raw(delivery["request"]["body"].encode() + b"\n")
    if last.get("answer"):
        typer.echo(f"\nThe answer was:\n{printable(last['answer'])}")


@app.command("replay")
def replay_delivery(
    integration: Identifier,
    delivery: Delivery,
    *,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
) -> None:
    """Send a delivery again that was delivered or given up: the same message, with its id."""
    client, found = _of(server, project, integration)
    answer = client.post("deliveries", delivery, "replay")
    is_held = answer.entity["state"] == "held"
    show.done(answer, _held(found) if is_held else f"The delivery {delivery} is sent again.", as_json=as_json)


def _held(integration: str) -> str:
    return f"The integration is paused, so this waits for: tieline integration resume {integration}"


@app.command("replay-failed")
def replay_failed_deliveries(
    integration: Identifier,
    *,
    since: Annotated[str, Since],
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
) -> None:
    """Send everything again that was given up and was added since a moment, in its order."""
    client, found = _of(server, project, integration)
    answer = client.post("deliveries", "replay", body={"since": since})
    count = answer.document["deliveries"]
    show.done(answer, f"Deliveries that are sent again: {count}", as_json=as_json)
    if count and not as_json and client.get("receiver").document["paused"]:
        show.remark(_held(found))


@app.command("status")
def show_status(
    integration: Identifier, *, server: Server = SERVER, project: Project = None, as_json: AsJSON = False
) -> None:
    """Show whether an integration is paused or fails, and how many deliveries are to go out."""
    client, _ = _of(server, project, integration)
    show.entity(client.get("receiver"), as_json=as_json)
