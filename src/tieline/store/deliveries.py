"""What must reach somebody outside, and how far it got.

Deliveries of one integration with the same `order_key` go out one after the other. Only the first that is open of each
key may be claimed, with some that follow it, so that a million behind it cost nothing.

Nobody holds a lock for that. Whoever adds or ends deliveries calls `advance` once that is committed: of two who do so
at the same moment the second one sees what both did. What a crash in between leaves behind is found by `mend_order`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, LiteralString, Protocol

from psycopg.types.json import Jsonb

from tieline.core.documents import JSON
from tieline.core.frozen import frozen
from tieline.store import notify
from tieline.store.database import Connection

TOPIC: Final = "deliveries"
Kind = Literal["activity", "commit_status"]


@frozen
class NewDelivery:
    """A delivery to be added: of a message, or a `payload` of its own. Without an `order_key` it waits for no other."""

    project_id: str
    integration_id: str
    kind: Kind
    cause_id: str | None
    order_key: str | None
    message_id: int | None = None
    payload: JSON | None = None


class InOrder(Protocol):
    """A delivery, whichever of its forms."""

    @property
    def integration_id(self) -> str: ...

    @property
    def order_key(self) -> str | None: ...


async def add(conn: Connection, new: Sequence[NewDelivery]) -> bool:
    """Add deliveries, in order, and wake whoever sends them; whether any of them has to wait for another.

    If so, call `advance` when that is committed.
    """
    if not new:
        return False
    rows = [{"place": place, **vars(each)} for place, each in enumerate(new)]
    row = await (await conn.execute(_ADD, [Jsonb(rows), notify.CHANNEL])).fetchone()
    return bool(row and row["has_waiting"])


async def supersede(conn: Connection, integration_id: str) -> None:
    """Drop build statuses that a newer one of the same commit and key has overtaken."""
    await conn.execute(_SUPERSEDE, [integration_id])


async def advance(conn: Connection, touched: Iterable[InOrder]) -> int:
    """Let the next one of each key be the first; of how many keys.

    Outside of a transaction, it need not survive a crash. What is being sent is left alone: who has it says when it
    is over.
    """
    keys = sorted({(each.integration_id, each.order_key) for each in touched if each.order_key is not None})
    if not keys:
        return 0
    values = [[integration for integration, _ in keys], [key for _, key in keys]]
    return (await conn.execute(_ADVANCE, values)).rowcount


async def mend_order(conn: Connection) -> int:
    """Let the next of every key be the first, where somebody died before saying so; how many there were."""
    return (await conn.execute(_MEND_ORDER)).rowcount


async def integrations_due(conn: Connection) -> list[str]:
    """Integrations that have something to send now."""
    cursor = await conn.execute(_INTEGRATIONS_DUE)
    return [row["integration_id"] for row in await cursor.fetchall()]


async def end_activities(conn: Connection, integration_id: str) -> None:
    """Cancel the activities of what is open: the integration goes, and its deliveries with it."""
    await conn.execute(_END_ACTIVITIES, {"integration_id": integration_id, "channel": notify.CHANNEL})


async def expire(conn: Connection, keep_days: float, keep_held_days: float, limit: int = 10_000) -> None:
    """Forget deliveries that ended long ago, those held for very long, and messages that nobody waits for.

    Outside of a transaction each step of `limit` rows is one.
    """
    values = {"days": keep_days, "held_days": keep_held_days, "limit": limit}
    for statement in (_EXPIRE, _EXPIRE_MESSAGES):
        while await _gone(conn, statement, values) == limit:
            pass


async def _gone(conn: Connection, statement: LiteralString, values: Mapping[str, object]) -> int:
    row = await (await conn.execute(statement, values)).fetchone()
    return int(row["gone"]) if row else 0


_ADD: Final[LiteralString] = """
    with given as (
        select *, row_number() over (partition by integration_id, order_key order by place) as turn
        from jsonb_to_recordset(%s) as given (
            place integer, project_id text, integration_id text, kind text, cause_id text, order_key text,
            message_id bigint, payload jsonb)
    ), added as (
        insert into delivery (
            project_id, integration_id, kind, message_id, payload, cause_id, order_key, is_first)
        select project_id, integration_id, kind, message_id, nullif(payload, 'null'), cause_id, order_key,
               order_key is null or (turn = 1 and not exists (
                    select 1 from delivery as first
                    where first.integration_id = given.integration_id and first.order_key = given.order_key
                      and first.state in ('pending', 'delivering', 'waiting')))
        from given order by place
        returning integration_id, is_first
    ), known as (
        insert into receiver (integration_id) select distinct integration_id from given
        where not exists (select 1 from receiver where receiver.integration_id = given.integration_id)
        on conflict do nothing
    )
    select (select count(pg_notify(%s, 'deliveries:' || integration_id))
            from (select distinct integration_id from added) as woken) as woken,
           exists (select 1 from added where not is_first) as has_waiting
"""

_SUPERSEDE: Final[LiteralString] = """
    with overtaken as (
        update delivery as old set
            state = 'delivered', finished_at = clock_timestamp(), last_error = 'Not sent: a newer state came first.'
        where old.integration_id = %s and old.kind = 'commit_status' and old.state in ('pending', 'waiting')
          and exists (
            select 1 from delivery as newer
            where newer.integration_id = old.integration_id and newer.order_key = old.order_key
              and newer.state = 'pending' and newer.id > old.id)
        returning old.id, old.integration_id, old.order_key
    )
    update delivery set is_first = true from (
        select distinct on (order_key) delivery.id from delivery join overtaken using (integration_id, order_key)
        where delivery.state in ('pending', 'delivering', 'waiting')
          and delivery.id not in (select id from overtaken)
        order by order_key, delivery.id) as first
    where delivery.id = first.id and not is_first
"""

_ADVANCE: Final[LiteralString] = """
    with relaxed as materialized (select set_config('synchronous_commit', 'off', true))
    update delivery set is_first = true from (
        select next.id from relaxed
        cross join unnest(%s::text[], %s::text[]) as ended (integration_id, order_key)
        cross join lateral (
            select id, is_first, state from delivery
            where delivery.integration_id = ended.integration_id and delivery.order_key = ended.order_key
              and state in ('pending', 'delivering', 'waiting')
            order by id limit 1) as next
        where not next.is_first and next.state <> 'delivering') as first
    where delivery.id = first.id
"""

_MEND_ORDER: Final[LiteralString] = """
    with recursive key as (
        (select integration_id, order_key from delivery
         where state in ('pending', 'delivering', 'waiting') and order_key is not null
         order by integration_id, order_key limit 1)
        union all
        select next.integration_id, next.order_key from key cross join lateral (
            select integration_id, order_key from delivery
            where state in ('pending', 'delivering', 'waiting') and order_key is not null
              and (integration_id, order_key) > (key.integration_id, key.order_key)
            order by integration_id, order_key limit 1) as next
    )
    update delivery set is_first = true from (
        select next.id from key cross join lateral (
            select id, is_first, state from delivery
            where delivery.integration_id = key.integration_id and delivery.order_key = key.order_key
              and state in ('pending', 'delivering', 'waiting')
            order by id limit 1) as next
        where not next.is_first and next.state <> 'delivering') as first
    where delivery.id = first.id
"""

_INTEGRATIONS_DUE: Final[LiteralString] = """
    select integration_id from receiver
    where paused_at is null and (closed_until is null or closed_until <= clock_timestamp())
      and (exists (
            select 1 from delivery where delivery.integration_id = receiver.integration_id
              and is_first and state = 'pending' and due_at <= clock_timestamp())
        or exists (
            select 1 from delivery where delivery.integration_id = receiver.integration_id
              and is_first and state = 'waiting'
              and (due_at <= clock_timestamp()
                or due_at - make_interval(secs => planned_seconds) <= receiver.resumed_at)))
"""

_END_ACTIVITIES: Final[LiteralString] = """
    with ended as (
        update activity set
            state = 'cancelled', result = 'failure', completion_percent = 100,
            cancelled_at = clock_timestamp(), completed_at = clock_timestamp(), updated_at = clock_timestamp()
        from delivery
        where delivery.integration_id = %(integration_id)s and delivery.activity_id = activity.id
          and delivery.state in ('pending', 'delivering', 'waiting') and activity.state = 'in_progress'
        returning activity.id
    )
    select pg_notify(%(channel)s, 'activity:' || id) from ended
"""

_EXPIRE: Final[LiteralString] = """
    with gone as (
        delete from delivery where id = any(array(
            select id from delivery
            where created_at < now() - make_interval(secs => %(days)s * 86400)
              and case when state in ('delivered', 'failed')
                  then finished_at < now() - make_interval(secs => %(days)s * 86400)
                  else state in ('pending', 'waiting')
                      and created_at < now() - make_interval(secs => %(held_days)s * 86400)
                      and integration_id in (select integration_id from receiver where paused_at is not null) end
            limit %(limit)s))
        returning activity_id
    ), ended as (
        update activity set
            state = 'cancelled', result = 'failure', completion_percent = 100,
            cancelled_at = clock_timestamp(), completed_at = clock_timestamp(), updated_at = clock_timestamp()
        where id = any(array(select activity_id from gone)) and state = 'in_progress'
    )
    select count(*) as gone from gone
"""

# Deliveries are added with their message, so that those of old messages are the old ones.
_EXPIRE_MESSAGES: Final[LiteralString] = """
    with gone as (
        delete from message where id = any(array(
            select id from message
            where created_at < now() - make_interval(secs => %(days)s * 86400)
              and id not in (
                select message_id from delivery
                where created_at < now() - make_interval(secs => %(days)s * 86400 - 3600) and message_id is not null)
            limit %(limit)s))
        returning id
    )
    select count(*) as gone from gone
"""
