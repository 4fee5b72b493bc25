"""Activities with their logs, read and written. Only those that have ended: what runs cannot be put into a file."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any

from tieline.core.clock import iso
from tieline.core.documents import JSON, Activity, LogLine
from tieline.core.ids import ID_LENGTH, short_hash
from tieline.seeds.models import ActivityPart, LogLinePart
from tieline.seeds.problems import Names, enumerated
from tieline.seeds.seed import Reading, SeededActivity, compact
from tieline.store.activities import KEPT_DAYS


def read_activities(reading: Reading, place: str, project_id: str, values: list[Any]) -> tuple[SeededActivity, ...]:
    """The activities of a project, oldest first as the file has them."""
    moments = Names(reading.problems, "created_at")
    found = []
    for index, (each_place, value) in enumerate(enumerated(place, values)):
        part = reading.problems.parse(ActivityPart, each_place, value)
        if part is None:
            continue
        created = part.created_at or reading.moment - timedelta(seconds=len(values) - index)
        activity = _activity(reading, project_id, part, created, index)
        _check_state(reading, each_place, part)
        reading.ids("activity").add(f"{each_place}.id", activity.id)
        moments.add(f"{each_place}.created_at", str(iso(created)))
        found.append(SeededActivity(activity, _log(reading, f"{each_place}.log", part.log, activity)))
    return tuple(found)


def _activity(reading: Reading, project_id: str, part: ActivityPart, created: datetime, index: int) -> Activity:
    text = part.type if part.text is None else part.text
    began = part.started_at if "started_at" in part.model_fields_set else created
    ended = part.completed_at or began or created
    return Activity(
        id=part.id or short_hash("activity", project_id, str(index), length=ID_LENGTH),
        project_id=project_id,
        type=part.type,
        state=part.state,
        result=part.result or ("success" if part.state == "complete" else "failure"),
        created_at=created,
        updated_at=part.updated_at,
        integration_id=part.integration,
        environment_id=part.environment,
        parameters=part.parameters,
        payload=part.payload,
        failure_reason=part.failure_reason,
        started_at=began,
        completed_at=ended,
        cancelled_at=(part.cancelled_at or ended) if part.state == "cancelled" else None,
        expires_at=_expiry(reading, part.expires_at),
        completion_percent=part.completion_percent,
        timings=part.timings,
        description=escape(text) if part.description is None else part.description,
        text=text,
        commands=tuple(part.commands),
        queue=part.queue,
    )


def _expiry(reading: Reading, given: datetime | None) -> datetime:
    """What has expired since it was written would be removed at once, so it gets the time of a new one."""
    is_to_come = given is not None and given > reading.moment
    return given if given is not None and is_to_come else reading.moment + timedelta(days=KEPT_DAYS)


def _check_state(reading: Reading, place: str, part: ActivityPart) -> None:
    if part.state == "complete" and part.cancelled_at is not None:
        reading.problems.add(f"{place}.cancelled_at", "Only a cancelled activity has this; its state is complete.")


def _log(reading: Reading, place: str, given: str | list[Any], activity: Activity) -> tuple[LogLine, ...]:
    at = activity.completed_at or activity.created_at
    if isinstance(given, str):
        lines = [(at, f"{line}\n") for line in given.splitlines()]
    else:
        parsed = (reading.problems.parse(LogLinePart, *each) for each in enumerated(place, given))
        lines = [(line.at, line.message) for line in parsed if line is not None]
    return tuple(LogLine(seq, moment, message) for seq, (moment, message) in enumerate(lines, 1))


def write_activity(activity: Activity, log: Sequence[LogLine]) -> JSON:
    """An activity as the file has it."""
    values = {
        "id": activity.id,
        "type": activity.type,
        "state": activity.state,
        "result": activity.result,
        "failure_reason": activity.failure_reason,
        "integration": activity.integration_id,
        "environment": activity.environment_id,
        "parameters": activity.parameters,
        "payload": activity.payload,
        "description": activity.description,
        "text": activity.text,
        "timings": dict(activity.timings),
        "commands": list(activity.commands),
        "completion_percent": activity.completion_percent,
        "queue": activity.queue,
        "created_at": activity.created_at,
        "updated_at": activity.updated_at,
        "started_at": activity.started_at,
        "completed_at": activity.completed_at,
        "cancelled_at": activity.cancelled_at,
        "expires_at": activity.expires_at,
        "log": [{"at": iso(line.at), "message": line.message} for line in log] or "",
    }
    return compact(ActivityPart, values, "started_at")
