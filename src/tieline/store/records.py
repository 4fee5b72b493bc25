"""Activities that are over when they are written: what they did is done, and nobody is told of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg.types.json import Jsonb

from tieline.core.documents import ActivityResult, NewActivity
from tieline.core.ids import new_id
from tieline.store import notify
from tieline.store.activities import KEPT_DAYS
from tieline.store.database import Connection


async def add(
    conn: Connection, new: NewActivity, result: ActivityResult, lines: Sequence[tuple[datetime, str]]
) -> None:
    """Insert a complete activity with its log, whose lines (moment, text with its newline) are in order."""
    values: dict[str, Any] = {
        **vars(new),
        "id": new_id(),
        "parameters": Jsonb(new.parameters),
        "payload": Jsonb(new.payload),
        "result": result,
        "days": KEPT_DAYS,
        "moments": [moment for moment, _ in lines],
        "messages": [message for _, message in lines],
        "channel": notify.CHANNEL,
    }
    await conn.execute(_ADD, values)


_ADD: Final[LiteralString] = """
    with moment as materialized (
        select tieline_activity_time(%(project_id)s) as now
    ), made as (
        insert into activity (
            id, project_id, integration_id, environment_id, type, parameters, payload, description, text, queue,
            created_at, started_at, completed_at, expires_at, state, result, failure_reason, completion_percent)
        select %(id)s, %(project_id)s, %(integration_id)s, %(environment_id)s, %(type)s, %(parameters)s, %(payload)s,
               %(description)s, %(text)s, %(queue)s, now, now, now, now + make_interval(days => %(days)s),
               'complete', %(result)s, case when %(result)s = 'failure' then 'error' end, 100
        from moment
        returning id
    ), logged as (
        insert into activity_log (activity_id, seq, at, message)
        select made.id, line.place, line.at, line.message
        from made, unnest(%(moments)s::timestamptz[], %(messages)s::text[]) with ordinality as line (at, message, place)
    )
    select pg_notify(%(channel)s, 'activity:' || id) from made
"""
