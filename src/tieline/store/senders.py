"""The processes that deliver: who is alive, and what is free because somebody is not."""

from collections.abc import Collection
from datetime import datetime
from typing import Final, LiteralString

from tieline.store.database import Connection


async def beat(conn: Connection, sender_id: str) -> datetime:
    """Say that a sender is alive; what time the database has."""
    row = await (await conn.execute(_BEAT, [sender_id])).fetchone()
    assert row is not None  # noqa: S101 - an upsert returns its row
    moment: datetime = row["seen_at"]
    return moment


async def leave(conn: Connection, sender_id: str) -> None:
    """A sender ends; it has given back everything."""
    await conn.execute("delete from sender where id = %s", [sender_id])


async def bury(conn: Connection, silent_seconds: float) -> int:
    """Free what was claimed by senders that are dead or were never heard of; how many deliveries.

    Who was heard of later than now is dead as well: the clock was set back since, and nobody says so any more.
    What must not be done twice stays claimed, by nobody.
    """
    await conn.execute(_DEAD, {"silent": silent_seconds})
    cursor = await conn.execute(_FREE + _OF_THE_DEAD)
    return cursor.rowcount


async def let_go(conn: Connection, sender_id: str, ids: Collection[int]) -> None:
    """Free some of what a sender has claimed."""
    if ids:
        await conn.execute(_FREE + _OF_ONE, {"sender_id": sender_id, "ids": list(ids)})


async def bury_all(conn: Connection) -> None:
    """Free everything that is claimed: no sender can be alive."""
    await conn.execute("delete from sender")
    await conn.execute(_FREE + _OF_THE_DEAD)


async def reset_waits(conn: Connection) -> None:
    """Bring what waits longer than planned back to that: the clock was set back."""
    await conn.execute(_RESET_WAITS)
    await conn.execute("update receiver set closed_until = null where closed_until is not null")


_BEAT: Final[LiteralString] = """
    insert into sender (id) values (%s) on conflict (id) do update set seen_at = clock_timestamp() returning seen_at
"""

_DEAD: Final[LiteralString] = """
    delete from sender where seen_at not between clock_timestamp() - make_interval(secs => %(silent)s)
                                             and clock_timestamp() + make_interval(secs => %(silent)s)
"""

_FREE: Final[LiteralString] = """
    update delivery set
        state = case when has_effects then state when attempts > 1 then 'waiting' else 'pending' end,
        attempts = attempts - (not has_effects)::integer, crashes = crashes + 1, claimed_by = null,
        due_at = clock_timestamp(), planned_seconds = 0
    where state = 'delivering'
"""

_OF_THE_DEAD: Final[LiteralString] = """
    and claimed_by is not null and not exists (select 1 from sender where sender.id = claimed_by)
"""

_OF_ONE: Final[LiteralString] = " and claimed_by = %(sender_id)s and id = any(%(ids)s)"

_RESET_WAITS: Final[LiteralString] = """
    update delivery set due_at = clock_timestamp() + make_interval(secs => planned_seconds)
    where state in ('pending', 'waiting') and due_at > clock_timestamp() + make_interval(secs => planned_seconds)
"""
