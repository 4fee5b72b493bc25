"""What must reach somebody outside, and how far it got.

Deliveries of one integration with the same `order_key` go out one after the other. Only the first that is open of each
key may be claimed, with some that follow it, so that a million behind it cost nothing.

Nobody holds a lock for that. Whoever adds or ends deliveries calls `advance` once that is committed: of two who do so
at the same moment the second one sees what both did. What a crash in between leaves behind is found by `mend_order`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, LiteralString, TypedDict

from psycopg import sql
from psycopg.rows import args_row, class_row
from psycopg.types.json import Jsonb

from tieline.core.deliveries import DeliveryState
from tieline.core.documents import JSON, ActivityResult
from tieline.store import notify
from tieline.store.database import Connection

TOPIC: Final = "deliveries"
Kind = Literal["activity", "commit_status"]


@dataclass(frozen=True)
class NewMessage:
    """What receivers will be told of an activity that entered a state."""

    project_id: str
    cause_id: str
    type: str
    state: str
    result: str | None
    environment_id: str | None
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class KeptMessage:
    """A message as it is sent."""

    id: int
    cause_id: str
    type: str
    state: str
    environment_id: str | None
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class NewDelivery:
    """A delivery to be added: of a message, or a `payload` of its own. Without an `order_key` it waits for no other."""

    project_id: str
    integration_id: str
    kind: Kind
    cause_id: str | None
    order_key: str | None
    message_id: int | None = None
    payload: JSON | None = None


@dataclass(frozen=True)
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


class AttemptRow(TypedDict):
    """What is kept of an attempt. `request` has `method`, `url` and `headers`; `answer` is its beginning, in hex."""

    started_at: datetime
    seconds: float
    verdict: str
    sentence: str
    error: str | None
    status: int | None
    address: str | None
    request: JSON | None
    answer: str


class ActivityRow(TypedDict):
    """The activity that a delivery is: added with its first attempt, and changed by those that follow."""

    id: str
    is_new: bool
    type: str
    state: Literal["in_progress", "complete"]
    result: ActivityResult | None
    description: str
    text: str
    payload: JSON
    parameters: JSON
    lines: Sequence[tuple[datetime, str]]


@dataclass(frozen=True)
class Result:
    """What became of a delivery that was claimed.

    Without an attempt it is given back, as if it had never been taken; but one that had begun to do what must not be
    done twice is left for `adopt_interrupted`.
    `wait_seconds` is until it is due again; an attempt that is not `counted` leaves the schedule where it is.
    """

    delivery: Delivery
    state: DeliveryState
    wait_seconds: float = 0.0
    counted: bool = True
    error: str | None = None
    attempt: AttemptRow | None = None
    activity: ActivityRow | None = None


async def add_messages(conn: Connection, new: Sequence[NewMessage]) -> list[int]:
    """Keep messages; their numbers, in the same order."""
    columns = {name: [getattr(each, name) for each in new] for name in NewMessage.__dataclass_fields__}
    cursor = await conn.execute(_ADD_MESSAGES, columns)
    return sorted(row["id"] for row in await cursor.fetchall())


async def add(conn: Connection, new: Sequence[NewDelivery]) -> bool:
    """Add deliveries, in order, and wake whoever sends them; whether any of them has to wait for another.

    If so, call `advance` when that is committed.
    """
    if not new:
        return False
    rows = [{"place": place, **vars(each)} for place, each in enumerate(new)]
    row = await (await conn.execute(_ADD, [Jsonb(rows), notify.CHANNEL])).fetchone()
    return bool(row and row["has_waiting"])


async def messages(conn: Connection, message_ids: Collection[int], most_bytes: int) -> dict[int, KeptMessage]:
    """Messages by number; beyond so many bytes of bodies the later ones are left out, but never the first."""
    async with conn.cursor(binary=True, row_factory=class_row(KeptMessage)) as cursor:
        await cursor.execute(_MESSAGES, [list(message_ids), most_bytes])
        return {message.id: message for message in await cursor.fetchall()}


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


async def supersede(conn: Connection, integration_id: str) -> None:
    """Drop build statuses that a newer one of the same commit and key has overtaken."""
    await conn.execute(_SUPERSEDE, [integration_id])


async def record(conn: Connection, results: Sequence[Result], sender_id: str, *, may_be_lost: bool = False) -> set[int]:
    """Write what became of deliveries, each with its attempt, its activity and its log; those that were still ours.

    Call `advance` when that is committed. What `may_be_lost` with the database is only sent again then.
    """
    rows = [_given(each, sender_id) for each in results]
    commit = "off" if may_be_lost else "on"
    cursor = await conn.execute(_RECORD, {"rows": Jsonb(rows), "channel": notify.CHANNEL, "commit": commit})
    return {row["id"] for row in await cursor.fetchall()}


async def advance(conn: Connection, touched: Iterable[Delivery | NewDelivery]) -> int:
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


async def claimed_by(conn: Connection, sender_id: str) -> set[int]:
    """The numbers of what a sender has claimed."""
    cursor = await conn.execute("select id from delivery where state = 'delivering' and claimed_by = %s", [sender_id])
    return {row["id"] for row in await cursor.fetchall()}


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


def _given(result: Result, sender_id: str) -> JSON:
    """As `_RECORD` reads it."""
    return {
        "id": result.delivery.id,
        "tries": result.delivery.tries,
        "sender": sender_id,
        "state": result.state,
        "wait_seconds": result.wait_seconds,
        "counted": result.counted,
        "error": result.error,
        "integration_id": result.delivery.integration_id,
        "project_id": result.delivery.project_id,
        "has_attempt": result.attempt is not None,
        "has_activity": result.activity is not None,
        "attempt": result.attempt,
        "activity": result.activity,
    }


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


_ADD_MESSAGES: Final[LiteralString] = """
    insert into message (project_id, cause_id, type, state, result, environment_id, body)
    select project_id, cause_id, type, state, result, environment_id, body
    from unnest(%(project_id)s::text[], %(cause_id)s::text[], %(type)s::text[], %(state)s::text[], %(result)s::text[],
                %(environment_id)s::text[], %(body)b::bytea[]) with ordinality
        as given (project_id, cause_id, type, state, result, environment_id, body, place)
    order by place
    returning id
"""

_MESSAGES: Final[LiteralString] = """
    select id, cause_id, type, state, environment_id, body from (
        select *, sum(octet_length(body)) over (order by id) - octet_length(body) as before
        from message where id = any(%s)) as measured
    where before < %s
"""

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

_RECORD: Final[LiteralString] = """
    with given as materialized (
        select given.*, set_config('synchronous_commit', %(commit)s, true)
        from jsonb_to_recordset(%(rows)s) as given (
            id bigint, tries integer, sender text, state text, wait_seconds real, counted boolean, error text,
            integration_id text, project_id text, has_attempt boolean, has_activity boolean,
            attempt jsonb, activity jsonb)
    ), done as (
        update delivery set
            state = case when delivery.has_effects and not given.has_attempt then 'delivering' else given.state end,
            attempts = delivery.attempts - (not given.counted)::integer,
            tries = delivery.tries - (not given.has_attempt)::integer,
            due_at = clock_timestamp() + make_interval(secs => given.wait_seconds),
            planned_seconds = given.wait_seconds,
            claimed_by = null,
            has_effects = delivery.has_effects and not given.has_attempt,
            last_error = given.error,
            activity_id = coalesce(given.activity ->> 'id', delivery.activity_id),
            finished_at = case when given.state in ('delivered', 'failed') then clock_timestamp() end
        from given
        where delivery.id = any(array(select id from given)) and delivery.id = given.id
          and delivery.state = 'delivering' and delivery.claimed_by = given.sender
          and delivery.tries = given.tries
        returning delivery.id
    ), mine as materialized (
        select given.* from given join done using (id)
    ), attempted as (
        insert into delivery_attempt (
            delivery_id, number, started_at, seconds, verdict, sentence, error, status, address, request, answer)
        select mine.id, mine.tries, made.started_at, made.seconds, made.verdict, made.sentence, made.error, made.status,
               made.address, nullif(made.request, 'null'), decode(made.answer, 'hex')
        from mine cross join lateral jsonb_to_record(mine.attempt) as made (
            started_at timestamptz, seconds real, verdict text, sentence text, error text, status integer,
            address text, request jsonb, answer text)
        where mine.has_attempt
    ), told as materialized (
        select mine.id as delivery_id, mine.project_id, mine.integration_id, shown.*,
               (mine.attempt ->> 'started_at')::timestamptz as started_at, (mine.attempt ->> 'seconds')::real as seconds
        from mine cross join lateral jsonb_to_record(mine.activity) as shown (
            id text, is_new boolean, type text, state text, result text, description text, text text, payload jsonb,
            parameters jsonb, lines jsonb)
        where mine.has_activity
    ), moment as materialized (
        select project_id, tieline_delivery_time(project_id) as now
        from (select distinct project_id from told where is_new order by project_id) as projects
    ), begun as (
        insert into activity (
            id, project_id, integration_id, type, parameters, state, result, failure_reason, payload, description, text,
            timings, completion_percent, created_at, started_at, completed_at, expires_at, queue)
        select told.id, told.project_id, told.integration_id, told.type, told.parameters, told.state, told.result,
               case when told.result = 'failure' then 'error' end, told.payload, told.description, told.text,
               jsonb_build_object('execute', round(told.seconds::numeric, 3)),
               case when told.state = 'complete' then 100 else 0 end,
               moment.now + row_number() over (partition by told.project_id order by delivery_id)
                   * interval '2 microseconds',
               told.started_at, case when told.state = 'complete' then moment.now end,
               moment.now + interval '30 days', 'integrations'
        from told join moment using (project_id) where told.is_new
    ), changed as (
        update activity set
            state = told.state, result = told.result,
            failure_reason = case when told.result = 'failure' then 'error' end,
            updated_at = clock_timestamp(), timings = timings || tieline_execute_time(activity.started_at),
            completion_percent = case when told.state = 'complete' then 100 else 0 end,
            completed_at = case when told.state = 'complete' then clock_timestamp() end
        from told where not told.is_new and activity.id = told.id and activity.state = 'in_progress'
        returning activity.id
    ), logged as (
        insert into activity_log (activity_id, seq, at, message)
        select told.id, line.place + case when told.is_new then 0 else (
                   select coalesce(max(seq), 0) from activity_log where activity_id = told.id) end,
               (line.value ->> 0)::timestamptz, line.value ->> 1
        from told cross join lateral jsonb_array_elements(told.lines) with ordinality as line (value, place)
        where told.is_new or told.id in (select id from changed)
    )
    select id, (select count(pg_notify(%(channel)s, topic || id)) from changed,
                       (values ('activity:'), ('log:')) as topics (topic)) as notified
    from done
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

_ADOPT: Final = _taking("""
    update delivery set claimed_by = %(sender_id)s where state = 'delivering' and claimed_by is null
    returning {delivery}, false as is_well
""")

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

# Deliveries are added with their message, so that those of old messages are the old ones.
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
