"""The lines of activity logs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

from tieline.core.documents import Activity, LogLine
from tieline.store import notify
from tieline.store.database import Connection


async def append(conn: Connection, activity: Activity, lines: Sequence[tuple[datetime, str]]) -> bool:
    """Add lines (moment, text with its newline) in order.

    False, and nothing added, when another attempt has taken over or the activity has ended. Call it inside a
    transaction.
    """
    # Two attempts may write at the same moment: the numbers are given out one writer at a time.
    await conn.execute("select pg_advisory_xact_lock(hashtextextended('log:' || %s, 0))", [activity.id])
    values = {
        "id": activity.id,
        "attempt": activity.attempt,
        "moments": [moment for moment, _ in lines],
        "messages": [message for _, message in lines],
    }
    cursor = await conn.execute(_APPEND, values)
    if cursor.rowcount == 0:
        return not lines
    await notify.changed(conn, "log", activity.id)
    return True


async def load(conn: Connection, activity_id: str, after: int = 0, limit: int = 500) -> list[LogLine]:
    """Lines whose `seq` is above `after`, in order."""
    cursor = await conn.execute(_LOAD, [activity_id, after, limit])
    return [_from_row(row) for row in await cursor.fetchall()]


async def tails(conn: Connection, activity_ids: Sequence[str], most: int) -> dict[str, tuple[str, bool]]:
    """By activity, the last `most` characters of its log, and whether there is more before them; none without lines."""
    cursor = await conn.execute(_TAILS, {"ids": list(activity_ids), "most": most})
    return {row["activity_id"]: (row["tail"], row["is_cut"]) for row in await cursor.fetchall()}


def _from_row(row: dict[str, Any]) -> LogLine:
    return LogLine(seq=row["seq"], at=row["at"], message=row["message"])


_APPEND: Final[LiteralString] = """
    insert into activity_log (activity_id, seq, at, message)
    select activity.id, last.seq + line.place, line.at, line.message
    from activity,
         (select coalesce(max(seq), 0) as seq from activity_log where activity_id = %(id)s) as last,
         unnest(%(moments)s::timestamptz[], %(messages)s::text[]) with ordinality as line (at, message, place)
    where activity.id = %(id)s and activity.attempt = %(attempt)s and activity.state = 'in_progress'
"""

_LOAD: Final[LiteralString] = """
    select seq, at, message from activity_log where activity_id = %s and seq > %s order by seq limit %s
"""

_TAILS: Final[LiteralString] = """
    select activity_id, right(string_agg(message, '' order by seq), %(most)s) as tail,
           sum(length(message)) > %(most)s as is_cut
    from activity_log where activity_id = any(%(ids)s) group by activity_id
"""
