"""What became of deliveries, with everything that is written of it, in one statement."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, LiteralString, TypedDict

from psycopg.types.json import Jsonb

from tieline.core.deliveries import DeliveryState
from tieline.core.documents import JSON, ActivityResult
from tieline.core.frozen import frozen
from tieline.store import notify
from tieline.store.claims import Delivery
from tieline.store.database import Connection


class AttemptRow(TypedDict):
    """What is kept of an attempt. `request` has `method`, `url` and `headers`; `answer` is its beginning."""

    started_at: datetime
    seconds: float
    verdict: str
    sentence: str
    error: str | None
    status: int | None
    address: str | None
    request: JSON | None
    answer: bytes


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


@frozen
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


async def record(conn: Connection, results: Sequence[Result], sender_id: str, *, may_be_lost: bool = False) -> set[int]:
    """Write what became of deliveries, each with its attempt, its activity and its log; those that were still ours.

    Call `advance` when that is committed. What `may_be_lost` with the database is only sent again then.
    """
    rows = [_given(each, sender_id) for each in results]
    commit = "off" if may_be_lost else "on"
    cursor = await conn.execute(_RECORD, {"rows": Jsonb(rows), "channel": notify.CHANNEL, "commit": commit})
    return {row["id"] for row in await cursor.fetchall()}


def _given(result: Result, sender_id: str) -> JSON:
    """As `_RECORD` reads it."""
    attempt = result.attempt
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
        "has_attempt": attempt is not None,
        "has_activity": result.activity is not None,
        "attempt": None if attempt is None else {**attempt, "answer": attempt["answer"].hex()},
        "activity": result.activity,
    }


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
