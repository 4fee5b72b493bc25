"""What must reach somebody outside, and how far it got.

A delivery that is being sent is pending with an attempt counted, no error yet and its next attempt a lease away:
a sender that dies gives it back by saying nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg import sql
from psycopg.types.json import Jsonb

from tieline.core.documents import JSON
from tieline.store import wakeups
from tieline.store.database import Connection

LEASE_SECONDS: Final = 30
KEPT_DAYS: Final = 7


@dataclass(frozen=True)
class NewDelivery:
    """A delivery to be added. Those of one `order_key` go out one after the other, in the order they were added."""

    project_id: str
    integration_id: str
    activity_id: str | None
    kind: str
    order_key: str
    payload: JSON


@dataclass(frozen=True)
class Delivery:
    """A delivery that the caller is to send now. `attempts` counts the one under way."""

    id: int
    project_id: str
    integration_id: str
    activity_id: str | None
    kind: str
    order_key: str
    payload: JSON
    attempts: int
    created_at: datetime


def wake_key(integration_id: str) -> str:
    """The name under which one sender per integration is woken, and runs alone."""
    return f"deliveries:{integration_id}"


async def add(conn: Connection, new: NewDelivery) -> int:
    """Add a delivery and wake its sender, in the caller's transaction; its number."""
    cursor = await conn.execute(_ADD, {**vars(new), "payload": Jsonb(new.payload)})
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an insert without a conflict clause returns its row
    key = wake_key(new.integration_id)
    await wakeups.wake(conn, "send_deliveries", key, {"integration_id": new.integration_id}, key)
    return int(row["id"])


async def due(conn: Connection, integration_id: str, limit: int = 50) -> list[Delivery]:
    """Take what may go out now: the first of each order key, unless one of that key is being sent.

    A build status that a newer one of the same commit and key has overtaken is not sent any more. Call it inside
    a transaction; what it returns is leased for `LEASE_SECONDS`.
    """
    values = {"integration": integration_id, "limit": limit, "lease": LEASE_SECONDS}
    await conn.execute(_SUPERSEDE, values)
    cursor = await conn.execute(_TAKE, values)
    return sorted((_from_row(row) for row in await cursor.fetchall()), key=lambda each: each.id)


async def delivered(conn: Connection, delivery: Delivery) -> None:
    """It arrived."""
    await _record(conn, delivery, "state = 'delivered', finished_at = clock_timestamp(), last_error = null", {})


async def failed(conn: Connection, delivery: Delivery, error: str) -> None:
    """It is given up, for the reason `error`."""
    changes: LiteralString = "state = 'failed', finished_at = clock_timestamp(), last_error = %(error)s"
    await _record(conn, delivery, changes, {"error": error})


async def retry_at(conn: Connection, delivery: Delivery, moment: datetime, error: str, *, counted: bool = True) -> None:
    """Try again from `moment`; an attempt that never reached the other side is not counted."""
    changes: LiteralString = "next_attempt_at = %(at)s, last_error = %(error)s, attempts = attempts - %(uncounted)s"
    await _record(conn, delivery, changes, {"at": moment, "error": error, "uncounted": 0 if counted else 1})


async def release(conn: Connection) -> None:
    """Give back everything that is being sent: no sender can be alive."""
    await conn.execute(_RELEASE)


async def integrations_due(conn: Connection) -> list[str]:
    """Integrations that have something to send now."""
    cursor = await conn.execute(_INTEGRATIONS_DUE)
    return [row["integration_id"] for row in await cursor.fetchall()]


async def expire(conn: Connection) -> int:
    """Forget deliveries that ended long ago; how many went."""
    cursor = await conn.execute(_EXPIRE, [KEPT_DAYS])
    return cursor.rowcount


async def _record(conn: Connection, delivery: Delivery, changes: LiteralString, values: Mapping[str, object]) -> None:
    """Write the result of the attempt, unless its lease ran out and somebody else has begun another."""
    statement = sql.SQL("update delivery set {} where id = %(id)s and state = 'pending' and attempts = %(attempts)s")
    fence = {"id": delivery.id, "attempts": delivery.attempts}
    await conn.execute(statement.format(sql.SQL(changes)), {**values, **fence})


def _from_row(row: Mapping[str, Any]) -> Delivery:
    return Delivery(**{name: row[name] for name in Delivery.__dataclass_fields__})


_ADD: Final[LiteralString] = """
    insert into delivery (project_id, integration_id, activity_id, kind, order_key, payload)
    values (%(project_id)s, %(integration_id)s, %(activity_id)s, %(kind)s, %(order_key)s, %(payload)s)
    returning id
"""

_SUPERSEDE: Final[LiteralString] = """
    update delivery as old set
        state = 'delivered', finished_at = clock_timestamp(), last_error = 'Not sent: a newer state came first.'
    where old.integration_id = %(integration)s and old.state = 'pending' and old.kind = 'commit_status'
      and not (old.attempts > 0 and old.last_error is null and old.next_attempt_at > clock_timestamp())
      and exists (
        select 1 from delivery as newer
        where newer.integration_id = old.integration_id and newer.order_key = old.order_key
          and newer.state = 'pending' and newer.id > old.id)
"""

_TAKE: Final[LiteralString] = """
    with head as (
        select distinct on (order_key) id from delivery
        where integration_id = %(integration)s and state = 'pending'
        order by order_key, id
    ),
    ready as (
        select delivery.id from delivery join head using (id)
        where delivery.state = 'pending' and delivery.next_attempt_at <= clock_timestamp()
        order by delivery.id limit %(limit)s
        for update of delivery skip locked
    )
    update delivery set
        attempts = attempts + 1, last_error = null,
        next_attempt_at = clock_timestamp() + make_interval(secs => %(lease)s)
    from ready where delivery.id = ready.id
    returning delivery.*
"""

_RELEASE: Final[LiteralString] = """
    update delivery set next_attempt_at = clock_timestamp()
    where state = 'pending' and attempts > 0 and last_error is null
"""

_INTEGRATIONS_DUE: Final[LiteralString] = """
    select distinct integration_id from (
        select distinct on (integration_id, order_key) integration_id, next_attempt_at from delivery
        where state = 'pending' order by integration_id, order_key, id
    ) as head
    where next_attempt_at <= now()
"""

_EXPIRE: Final[LiteralString] = """
    delete from delivery where state <> 'pending' and finished_at < now() - make_interval(days => %s)
"""
