"""Who sends which delivery: what a process has claimed is its own as long as it lives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from psycopg import sql
from psycopg.rows import args_row
from psycopg.types.json import Jsonb

from tieline.core.documents import JSON
from tieline.core.frozen import frozen
from tieline.store.database import Connection
from tieline.store.deliveries import Kind


@frozen
class Delivery:
    """A delivery that the caller is to send now. `attempts` and `tries` count the one under way.

    `is_well` says whether its receiver took the last thing that it was told, as far as is known.
    """

    id: int
    project_id: str
    integration_id: str
    kind: Kind
    message_id: int | None
    payload: JSON | None
    cause_id: str | None
    activity_id: str | None
    order_key: str | None
    attempts: int
    tries: int
    crashes: int
    has_effects: bool
    created_at: datetime
    is_well: bool = False


@dataclass(frozen=True)
class Claim:
    """How much a sender takes of one integration at once.

    `lanes` may go out side by side, of each key `run` in a row; where the receiver fails, `lanes_failing` one by one,
    and `lanes_closed` where the breaker has just let it be tried again.
    """

    integration_id: str
    lanes: int
    run: int
    lanes_failing: int
    lanes_closed: int


async def claim(conn: Connection, sender_id: str, wanted: Sequence[Claim]) -> list[Delivery]:
    """Take what may go out now, in order; fresh ones have their share however many are tried again.

    Nothing where the receiver is paused or left alone. Called outside of a transaction, as it is to be, it may be lost
    with the database, and only means that something is sent again.
    """
    rows = Jsonb([vars(each) for each in wanted])
    return await _taken(conn, _CLAIM, {"wanted": rows, "sender_id": sender_id})


async def claim_next(conn: Connection, sender_id: str, wanted: Sequence[tuple[Delivery, int]]) -> list[Delivery]:
    """Take what follows deliveries that the caller has, in the order of each and at most so many in a row.

    Nothing behind one that is not the caller's any more: that is for others to take.
    """
    rows = [
        {
            "id": last.id,
            "tries": last.tries,
            "integration_id": last.integration_id,
            "order_key": last.order_key,
            "run": run,
        }
        for last, run in wanted
    ]
    return await _taken(conn, _CLAIM_NEXT, {"wanted": Jsonb(rows), "sender_id": sender_id})


async def begin_effects(conn: Connection, delivery: Delivery, sender_id: str) -> bool:
    """Note that it does what must not be done twice from now on. False when it is not ours any more."""
    query = """
        update delivery set has_effects = true
        where id = %s and state = 'delivering' and claimed_by = %s and tries = %s
    """
    cursor = await conn.execute(query, [delivery.id, sender_id, delivery.tries])
    return cursor.rowcount == 1


async def adopt_interrupted(conn: Connection, sender_id: str) -> list[Delivery]:
    """Take over, to say how they ended, those that were interrupted while they did what must not be done twice."""
    return await _taken(conn, _ADOPT, {"sender_id": sender_id})


async def lock(conn: Connection, claimed: Sequence[Delivery], sender_id: str) -> set[int]:
    """Those that are still the caller's, and remain so to the end of the transaction; their numbers."""
    rows = Jsonb([{"id": each.id, "tries": each.tries} for each in claimed])
    cursor = await conn.execute(_LOCK, {"claimed": rows, "sender_id": sender_id})
    return {row["id"] for row in await cursor.fetchall()}


async def claimed_by(conn: Connection, sender_id: str) -> set[int]:
    """The numbers of what a sender has claimed."""
    cursor = await conn.execute("select id from delivery where state = 'delivering' and claimed_by = %s", [sender_id])
    return {row["id"] for row in await cursor.fetchall()}


async def _taken(conn: Connection, statement: bytes, values: Mapping[str, object]) -> list[Delivery]:
    """What a statement that is `_taking` returned, in order."""
    async with conn.cursor(row_factory=args_row(Delivery)) as cursor:
        await cursor.execute(statement, values)
        return sorted(await cursor.fetchall(), key=lambda each: each.id)


# What a delivery is taken with; its last field is not kept.
_DELIVERY: Final = sql.SQL(", ").join(
    sql.Identifier("delivery", name) for name in Delivery.__dataclass_fields__ if name != "is_well"
)


def _taking(statement: LiteralString) -> bytes:
    """A statement that returns deliveries and whether their receivers are well."""
    return sql.SQL(statement).format(delivery=_DELIVERY).as_bytes()


# Rows are found by their ids alone, lest the plan that is kept for a statement be one for an empty table.
_CLAIM: Final = _taking("""
    with wanted as materialized (
        select * from jsonb_to_recordset(%(wanted)s) as wanted (
            integration_id text, lanes integer, run integer, lanes_failing integer, lanes_closed integer)
    ), ready as materialized (
        -- Whoever changes how it stands with a receiver waits for this, and the other way round.
        select wanted.integration_id,
               case when failures = 0 then wanted.lanes when closed_until is null then wanted.lanes_failing
                    else wanted.lanes_closed end as lanes,
               case when failures = 0 then wanted.run else 1 end as run,
               coalesce(resumed_at, '-infinity') as resumed_at,
               set_config('synchronous_commit', 'off', true) as relaxed
        from receiver join wanted using (integration_id)
        where paused_at is null and (closed_until is null or closed_until <= clock_timestamp())
        order by integration_id
        for share of receiver
    ), first as materialized (
        select ready.integration_id, ready.run, ready.resumed_at, next.* from ready cross join lateral (
            -- Who comes second sees that the first is taken, and then has nothing of what is behind it either.
            select id, order_key, is_fresh from (
                (select id, order_key, true as is_fresh, row_number() over (order by due_at) as place from (
                    select id, order_key, due_at from delivery
                    where integration_id = ready.integration_id and is_first and state = 'pending'
                      and due_at <= clock_timestamp()
                    order by due_at limit ready.lanes for update skip locked) as fresh)
                union all
                (select id, order_key, false, row_number() over (order by due_at) from (
                    select id, order_key, due_at from delivery
                    where integration_id = ready.integration_id and is_first and state = 'waiting'
                      and (due_at <= clock_timestamp()
                        or due_at - make_interval(secs => planned_seconds) <= ready.resumed_at)
                    order by due_at limit ready.lanes for update skip locked) as again)
            ) as either
            order by place, is_fresh desc limit ready.lanes) as next
    ), chosen as (
        select id from first
        union all
        select next.id from first cross join lateral (
            select id, bool_and(state = 'pending') over (order by id) as is_next from (
                select id, state from delivery
                where integration_id = first.integration_id and order_key = first.order_key and id > first.id
                  and state in ('pending', 'delivering', 'waiting')
                order by id limit first.run - 1) as behind) as next
        where first.is_fresh and next.is_next
    )
    update delivery set
        state = 'delivering', claimed_by = %(sender_id)s, tries = tries + 1,
        attempts = 1 + case when state = 'waiting' and due_at - make_interval(secs => planned_seconds) <= (
            select resumed_at from ready where ready.integration_id = delivery.integration_id) then 0 else attempts end
    where id = any(array(select id from chosen)) and state in ('pending', 'waiting')
    returning {delivery}, (
        select failing_since is null from receiver where receiver.integration_id = delivery.integration_id) as is_well
""")

_CLAIM_NEXT: Final = _taking("""
    with wanted as materialized (
        select * from jsonb_to_recordset(%(wanted)s) as wanted (
            id bigint, tries integer, integration_id text, order_key text, run integer)
    ), ready as materialized (
        select receiver.integration_id, set_config('synchronous_commit', 'off', true) as relaxed from receiver
        where integration_id = any(array(select integration_id from wanted)) and paused_at is null and failures = 0
        order by integration_id
        for share
    ), last as materialized (
        select delivery.id, wanted.integration_id, wanted.order_key, wanted.run
        from delivery join wanted on wanted.id = delivery.id and wanted.tries = delivery.tries
        where delivery.id = any(array(select id from wanted))
          and delivery.state = 'delivering' and delivery.claimed_by = %(sender_id)s
        for share of delivery
    ), chosen as (
        select next.id from last join ready using (integration_id) cross join lateral (
            select id, bool_and(state = 'pending') over (order by id) as is_next from (
                select id, state from delivery
                where integration_id = last.integration_id and order_key = last.order_key and id > last.id
                  and state in ('pending', 'delivering', 'waiting')
                order by id limit last.run) as behind) as next
        where next.is_next
    )
    update delivery set
        state = 'delivering', claimed_by = %(sender_id)s, attempts = attempts + 1, tries = tries + 1
    where id = any(array(select id from chosen)) and state = 'pending'
    returning {delivery}, true as is_well
""")

_LOCK: Final[LiteralString] = """
    with claimed as materialized (
        select * from jsonb_to_recordset(%(claimed)s) as claimed (id bigint, tries integer)
    )
    select delivery.id from delivery join claimed on claimed.id = delivery.id and claimed.tries = delivery.tries
    where delivery.id = any(array(select id from claimed))
      and delivery.state = 'delivering' and delivery.claimed_by = %(sender_id)s
    order by delivery.id
    for no key update of delivery
"""

_ADOPT: Final = _taking("""
    update delivery set claimed_by = %(sender_id)s where state = 'delivering' and claimed_by is null
    returning {delivery}, false as is_well
""")
