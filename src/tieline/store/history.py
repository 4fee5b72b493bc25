"""What became of deliveries, for people who ask; and what they may have done about it: replay, or give up."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg import sql

from tieline.core.clock import now
from tieline.core.deliveries import DeliveryState
from tieline.core.documents import JSON, Activity
from tieline.core.errors import Invalid, NotFound
from tieline.core.kinds import CANNOT_BE_CANCELLED
from tieline.store import activities, logs, receivers
from tieline.store.database import Connection


@dataclass(frozen=True)
class DeliveryQuery:
    """Which deliveries of an integration to list; empty filters let everything through.

    `before` is the number of the last one seen, for the next page; `since` is when the oldest was added.
    """

    states: Sequence[DeliveryState] = ()
    types: Sequence[str] = ()
    environment_id: str | None = None
    cause_id: str | None = None
    since: datetime | None = None
    before: int | None = None
    count: int = 25


@dataclass(frozen=True)
class PastDelivery:
    """A delivery as people see it. `cause_*` is the activity that it tells of; `due_at` when it is tried next."""

    id: int
    project_id: str
    integration_id: str
    kind: str
    state: DeliveryState
    attempts: int
    tries: int
    created_at: datetime
    due_at: datetime | None
    finished_at: datetime | None
    last_error: str | None
    activity_id: str | None
    cause_id: str | None
    cause_type: str | None
    cause_state: str | None
    cause_result: str | None
    environment_id: str | None
    message_id: int | None
    payload: JSON | None = field(repr=False)


@dataclass(frozen=True)
class PastAttempt:
    """One attempt. `request` has `method`, `url` and `headers`; its body is the message's."""

    number: int
    started_at: datetime
    seconds: float
    verdict: str
    sentence: str
    error: str | None
    status: int | None
    address: str | None
    request: JSON | None = field(repr=False)
    answer: bytes = field(repr=False)


async def page(conn: Connection, integration_id: str, query: DeliveryQuery) -> list[PastDelivery]:
    """The newest deliveries that match, newest first."""
    wanted = [sql.SQL(text) for name, text in _CONDITIONS.items() if getattr(query, name)]
    statement = sql.SQL(_PAGE).format(shown=sql.SQL(_SHOWN), conditions=sql.SQL(" and ").join([sql.SQL(_OWN), *wanted]))
    values = {
        **vars(query),
        "integration_id": integration_id,
        "states": list(query.states),
        "stored": [stored for shown in query.states for stored in _STORED.get(shown, (shown,))],
        "types": list(query.types),
    }
    cursor = await conn.execute(statement, values)
    return [_from_row(row) for row in await cursor.fetchall()]


async def get(conn: Connection, integration_id: str, id: int) -> PastDelivery:
    """One delivery of an integration. Raises `NotFound`."""
    statement = sql.SQL(_PAGE).format(shown=sql.SQL(_SHOWN), conditions=sql.SQL(_OWN + " and delivery.id = %(id)s"))
    row = await (await conn.execute(statement, {"integration_id": integration_id, "id": id, "count": 1})).fetchone()
    if row is None:
        raise NotFound("Delivery not found")
    return _from_row(row)


async def attempts(conn: Connection, delivery_id: int) -> list[PastAttempt]:
    """Every attempt, oldest first."""
    cursor = await conn.execute("select * from delivery_attempt where delivery_id = %s order by number", [delivery_id])
    return [PastAttempt(**{name: row[name] for name in _ATTEMPT}) for row in await cursor.fetchall()]


async def body(conn: Connection, message_id: int) -> bytes | None:
    """The body that was sent; None when it is not kept any more."""
    row = await (await conn.execute("select body from message where id = %s", [message_id])).fetchone()
    return None if row is None else bytes(row["body"])


async def replay(conn: Connection, integration_id: str, ids: Collection[int]) -> int:
    """Send deliveries that ended once more, from the beginning of the schedule; how many.

    Those of one order go out in that order, before what waits in it. They are held while the integration is paused.
    A build status that a newer one has overtaken would hide that, and is left as it is.
    """
    return await _replay(conn, integration_id, sql.SQL("delivery.id = any(%(ids)s)"), {"ids": list(ids)})


async def replay_failed(conn: Connection, integration_id: str, since: datetime) -> int:
    """Send again what was given up and was added at `since` or later; how many."""
    condition = sql.SQL("delivery.state = 'failed' and delivery.created_at >= %(since)s")
    return await _replay(conn, integration_id, condition, {"since": since})


async def give_up(conn: Connection, activity: Activity, delivery_id: int, because: str) -> Activity:
    """End a delivery that waits for another attempt, and the activity that it is; the activity as it is then.

    Call `go_on` when that is committed. `because` is a sentence for its log. Raises `Invalid` with the sentence that
    clients look for when it has ended, or is being sent.
    """
    await receivers.lock(conn, [activity.integration_id or ""])
    await activities.lock(conn, activity.project_id)
    values = {"id": delivery_id, "activity_id": activity.id, "because": because}
    if (await conn.execute(_GIVE_UP, values)).rowcount == 0:
        raise Invalid({}, CANNOT_BE_CANCELLED)
    await logs.append(conn, activity, [(now(), f"{because}\n")])
    await activities.cancel_untold(conn, activity)
    return await activities.get(conn, activity.project_id, activity.id)


async def go_on(conn: Connection, delivery_id: int) -> None:
    """Have sent what waited for a delivery that was given up."""
    query = "select integration_id, order_key from delivery where id = %s"
    row = await (await conn.execute(query, [delivery_id])).fetchone()
    if row is not None:
        await conn.execute(_STEP_FORWARD, {"integration_id": row["integration_id"], "keys": [row["order_key"]]})
        await receivers.wake(conn, row["integration_id"])


async def _replay(conn: Connection, integration_id: str, condition: sql.SQL, values: Mapping[str, object]) -> int:
    receiver = (await receivers.lock(conn, [integration_id])).get(integration_id)
    if receiver is None:
        return 0
    given = {**values, "integration_id": integration_id}
    cursor = await conn.execute(sql.SQL(_REPLAY).format(condition=condition), given)
    again = await cursor.fetchall()
    keys = sorted({row["order_key"] for row in again if row["order_key"] is not None})
    await conn.execute(_STEP_BACK, {"integration_id": integration_id, "keys": keys})
    await conn.execute(_STEP_FORWARD, {"integration_id": integration_id, "keys": keys})
    await receivers.wake(conn, integration_id)
    return len(again)


def _from_row(row: Mapping[str, Any]) -> PastDelivery:
    return PastDelivery(**{name: row[name] for name in PastDelivery.__dataclass_fields__})


_ATTEMPT: Final = tuple(PastAttempt.__dataclass_fields__)
# What is not sent because the integration is paused is held.
_SHOWN: Final[LiteralString] = """
    case when receiver.paused_at is not null and delivery.state in ('pending', 'waiting') then 'held'
         else delivery.state end"""
_STORED: Final[Mapping[str, Sequence[str]]] = {"held": ("pending", "waiting")}
_OWN: Final[LiteralString] = "delivery.integration_id = %(integration_id)s"

_CONDITIONS: Final[Mapping[str, LiteralString]] = {
    "states": "delivery.state = any(%(stored)s) and " + _SHOWN + " = any(%(states)s)",
    "types": "message.type = any(%(types)s)",
    "environment_id": "message.environment_id = %(environment_id)s",
    "cause_id": "delivery.cause_id = %(cause_id)s",
    "since": "delivery.created_at >= %(since)s",
    "before": "delivery.id < %(before)s",
}

_PAGE: Final[LiteralString] = """
    select delivery.id, delivery.project_id, delivery.integration_id, delivery.kind, delivery.attempts,
           delivery.tries, delivery.created_at, delivery.finished_at, delivery.last_error, delivery.activity_id,
           delivery.cause_id, delivery.message_id, delivery.payload,
           case when delivery.state in ('pending', 'waiting') and receiver.paused_at is null then delivery.due_at end
               as due_at,
           message.type as cause_type, message.state as cause_state, message.result as cause_result,
           message.environment_id,
           {shown} as state
    from delivery
    left join message on message.id = delivery.message_id
    left join receiver on receiver.integration_id = delivery.integration_id
    where {conditions} order by delivery.id desc limit %(count)s
"""

# What it said of itself is over: the next attempt begins an activity of its own.
_REPLAY: Final[LiteralString] = """
    update delivery set
        state = 'pending', attempts = 0, crashes = 0, due_at = clock_timestamp(), planned_seconds = 0,
        finished_at = null, last_error = null, activity_id = null, is_first = order_key is null
    where integration_id = %(integration_id)s and delivery.state in ('delivered', 'failed') and {condition}
      and (kind <> 'commit_status' or id in (
        select max(id) from delivery
        where integration_id = %(integration_id)s and kind = 'commit_status' group by order_key))
    returning order_key
"""

_GIVE_UP: Final[LiteralString] = """
    update delivery set state = 'failed', finished_at = clock_timestamp(), last_error = %(because)s
    where id = %(id)s and activity_id = %(activity_id)s and state in ('pending', 'waiting', 'held')
"""

# What is on its way may have to wait afterwards, and does so behind what is replayed.
_STEP_BACK: Final[LiteralString] = """
    update delivery set is_first = false
    where integration_id = %(integration_id)s and order_key = any(%(keys)s) and is_first
      and state in ('pending', 'delivering', 'waiting')
"""

_STEP_FORWARD: Final[LiteralString] = """
    update delivery set is_first = true from (
        select next.id from unnest(%(keys)s::text[]) as wanted (order_key)
        cross join lateral (
            select id from delivery
            where integration_id = %(integration_id)s and delivery.order_key = wanted.order_key
              and state in ('pending', 'delivering', 'waiting')
            order by id limit 1) as next) as first
    where delivery.id = first.id
"""
