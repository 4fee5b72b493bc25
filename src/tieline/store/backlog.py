"""How many deliveries of an integration are not delivered, counted in bounded time however many there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, LiteralString

from tieline.store.database import Connection

MOST: Final = 10_000
_COUNTED: Final = ("pending", "delivering", "waiting", "held", "failed")


@dataclass(frozen=True)
class Backlog:
    """How many there are by state. Those that are open, and those given up, are counted up to a limit each."""

    counts: Mapping[str, int]
    is_complete: bool


async def count(conn: Connection, integration_id: str, most: int = MOST) -> Backlog:
    """Count what one integration has, looking at no more than `most` of those that are open, and of the others."""
    cursor = await conn.execute(_COUNT, {"integration_id": integration_id, "most": most})
    rows = await cursor.fetchall()
    found = {row["state"]: row["total"] for row in rows}
    return Backlog({state: found.get(state, 0) for state in _COUNTED}, all(row["seen"] < most for row in rows))


# Each along its own index. What is open is held while the integration is paused, unless it is on its way.
_COUNT: Final[LiteralString] = """
    with open as (
        select state from delivery
        where integration_id = %(integration_id)s and state in ('pending', 'delivering', 'waiting')
        limit %(most)s
    ), shown as (
        select case when state <> 'delivering' and exists (
                   select 1 from receiver where integration_id = %(integration_id)s and paused_at is not null)
               then 'held' else state end as state from open
    ), failed as (
        select state from delivery where integration_id = %(integration_id)s and state = 'failed'
        order by id desc limit %(most)s
    )
    select state, count(*) as total, (select count(*) from open) as seen from shown group by state
    union all
    select state, count(*), (select count(*) from failed) from failed group by state
"""
