"""Counts for the metrics and for the question whether this installation is alive."""

from dataclasses import dataclass
from typing import Final, LiteralString

from tieline.core.errors import Unavailable
from tieline.store.database import DISK_FULL, Connection

# A worker says that it is alive every few seconds; one that has not for so long is gone.
FRESH_SECONDS: Final = 30
NO_ROOM: Final = "There is no room left on the disk of the database."


@dataclass(frozen=True)
class Figure:
    """How many rows of a kind are in a state."""

    kind: str
    state: str
    count: int


async def load_counts(conn: Connection) -> list[Figure]:
    """Open activities, jobs and deliveries by state, and what waits to be read.

    What is over is not counted: it may be hundreds of thousands of rows, and somebody asks every few seconds.
    """
    cursor = await conn.execute(_COUNTS)
    return [Figure(**row) for row in await cursor.fetchall()]


async def live_workers(conn: Connection) -> int:
    """How many workers have said lately that they are alive."""
    cursor = await conn.execute(_WORKERS, [FRESH_SECONDS])
    row = await cursor.fetchone()
    return row["count"] if row else 0


async def check_room(conn: Connection) -> None:
    """Write to the database's disk, wherever that is, in a transaction of the caller's. Raises `Unavailable`."""
    await conn.execute("set local work_mem = '64kB'")
    try:
        # More than fits into that memory, so it goes to a file, which is gone at once.
        await conn.execute("select count(*) from generate_series(1, 20000)")
    except DISK_FULL as error:
        raise Unavailable(NO_ROOM) from error


_COUNTS: Final[LiteralString] = """
    select 'activities' as kind, 'pending' as state, count(*)::int as count from activity where state = 'pending'
    union all select 'activities', 'in_progress', count(*)::int from activity where state = 'in_progress'
    union all select 'deliveries', state, count(*)::int from (
        select case when paused_at is not null and state <> 'delivering' then 'held' else state end as state
        from delivery left join receiver using (integration_id) where state in ('pending', 'delivering', 'waiting')
    ) as open group by state
    union all select 'deliveries', 'failed', count(*)::int from delivery where state = 'failed'
    union all select 'events', 'unread', count(*)::int from activity_event
    union all select 'jobs', status::text, count(*)::int from procrastinate_jobs group by status
    union all select 'hooks', 'unread', count(*)::int from hook_delivery where read_at is null
"""

_WORKERS: Final[LiteralString] = """
    select count(*)::int as count from procrastinate_workers
    where last_heartbeat > now() - make_interval(secs => %s)
"""
