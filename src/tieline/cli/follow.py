"""Logs of activities, live, and how activities end."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import typer

from tieline.cli.client import Client
from tieline.cli.failure import Failure, LostConnection, Status
from tieline.cli.show import remark
from tieline.cli.text import local_time, printable

# A stream is asked for anew before anything between here and there takes it for dead.
_STREAM_SECONDS: Final = 25
_PATIENCE_SECONDS: Final = 60
_PAUSE_SECONDS: Final = 0.5
_AT_ONCE: Final = -1
_OPEN: Final = ("pending", "in_progress", "scheduled", "staged")


def read_log(client: Client, activity: str) -> Iterator[bytes]:
    """The lines of a log as it is now, as JSON."""
    return client.lines("activities", activity, "log", query={"max_delay": _AT_ONCE})


def follow_log(client: Client, activity: str) -> Iterator[bytes]:
    """The lines of a log until it is sealed, as JSON. A stream that breaks is taken up where it was."""
    position, heard_at = 0, time.monotonic()
    while True:
        query = {"start_at": position, "max_delay": _STREAM_SECONDS}
        try:
            for line in client.lines("activities", activity, "log", query=query):
                yield line
                if is_seal(line):
                    return
                position, heard_at = json.loads(line)["_id"], time.monotonic()
            heard_at = time.monotonic()
        except LostConnection:
            if time.monotonic() - heard_at > _PATIENCE_SECONDS:
                raise
            time.sleep(_PAUSE_SECONDS)


def is_seal(line: bytes) -> bool:
    """Whether nothing follows."""
    return bool(json.loads(line).get("seal"))


def tell_line(line: bytes, *, timestamps: bool = False, err: bool = False) -> None:
    """Print a line of a log as its writer meant it; at a terminal without what would steer that."""
    entry = json.loads(line)
    if entry.get("seal"):
        return
    message = str(entry["data"]["message"]).removesuffix("\n")
    stream = sys.stderr if err else sys.stdout
    shown = printable(message) if stream.isatty() else message
    text = f"{local_time(entry['data']['timestamp'])}  {shown}" if timestamps else shown
    # `color` keeps what a pipe is to get as it is; for a terminal it was taken out above.
    typer.echo(text, err=err, color=True)


def wait_for(client: Client, activities: Sequence[dict[str, Any]]) -> None:
    """Show the logs of activities on standard error until they end. Raises `Failure` when one does not succeed."""
    try:
        outcomes = {each["id"]: _watch(client, each) for each in activities}
    except KeyboardInterrupt:
        remark("What was begun goes on; `tieline activity list` shows how far it is.")
        raise typer.Exit(Status.INTERRUPTED) from None
    failed = [f"The activity {one} ended as: {ended}." for one, ended in outcomes.items() if ended != "success"]
    if failed:
        raise Failure(Status.FAILED, *failed)


def _watch(client: Client, activity: dict[str, Any]) -> str:
    remark(f"{activity['text']} ({activity['type']}, {activity['id']})")
    for line in follow_log(client, activity["id"]):
        tell_line(line, err=True)
    return outcome_of(client, activity["id"])


def outcome_of(client: Client, activity: str) -> str:
    """`success`, `failure` or `cancelled`, once it has ended."""
    return outcome(client.get("activities", activity).document)


def outcome(activity: dict[str, Any]) -> str:
    """How an activity ended, or how far it is."""
    return str(activity["result"] or activity["state"])


def is_open(activity: dict[str, Any]) -> bool:
    """Whether it waits or runs."""
    return activity["state"] in _OPEN
