"""Activities: their creation, their one way through the states, and how they are listed.

A transaction that touches environments too does so before it comes here: whoever changes activities takes the
lock of their project's admission first, and one order for all keeps transactions from waiting for each other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg import sql
from psycopg.types.json import Jsonb

from tieline.core.documents import JSON, Activity, ActivityResult, ActivityState, DeploymentOutcome, NewActivity
from tieline.core.errors import Invalid, NotFound
from tieline.core.ids import new_id
from tieline.core.kinds import CANNOT_BE_CANCELLED, is_cancellable
from tieline.core.ports import Outcome
from tieline.store import outbox, wakeups
from tieline.store.database import Connection

PAGE_SIZE: Final = 25
KEPT_DAYS: Final = 30
_FIELDS: Final = tuple(each.name for each in fields(Activity))


@dataclass(frozen=True)
class ActivityQuery:
    """Which activities to list. Empty filters let everything through; `starts_at` is the newest to return."""

    environment_id: str | None = None
    integration_id: str | None = None
    types: Sequence[str] = ()
    states: Sequence[ActivityState] = ()
    results: Sequence[ActivityResult] = ()
    starts_at: datetime | None = None
    count: int = PAGE_SIZE


def from_row(row: Mapping[str, Any]) -> Activity:
    """A row of the table as a document."""
    values = {name: row[name] for name in _FIELDS}
    return Activity(**{**values, "commands": tuple(values["commands"])})


async def create(conn: Connection, new: NewActivity) -> Activity:
    """Insert one activity, and admit it when there is room; without a concurrency key it is complete at once."""
    row = await _one(conn, _INSERT, {**_new_columns(new), "id": new_id(), "days": KEPT_DAYS})
    await outbox.tell(conn, row["id"], is_new_state=True)
    if new.concurrency_key is not None:
        await wakeups.admit(conn, new.project_id)
    return from_row(row)


async def get(conn: Connection, project_id: str, id: str) -> Activity:
    """One activity of the project. Raises `NotFound`."""
    found = await get_any(conn, id)
    if found is None or found.project_id != project_id:
        raise NotFound(f"There is no activity {id!r} in project {project_id}.")
    return found


async def get_any(conn: Connection, id: str) -> Activity | None:
    """One activity of whatever project."""
    cursor = await conn.execute("select * from activity where id = %s", [id])
    row = await cursor.fetchone()
    return None if row is None else from_row(row)


async def page(conn: Connection, project_id: str, query: ActivityQuery) -> list[Activity]:
    """The newest activities that match, at most `query.count`, newest first."""
    statement = sql.SQL(_PAGE_OF_TYPES if query.types else _PAGE).format(conditions=_conditions(query))
    values = {**vars(query), "project": project_id, "types": sorted(set(query.types))}
    cursor = await conn.execute(statement, values)
    return [from_row(row) for row in await cursor.fetchall()]


def _conditions(query: ActivityQuery) -> sql.Composed:
    """What is asked for but types. States and results are written out, for the indexes of some of them only."""
    plain = [sql.SQL(condition) for name, condition in _CONDITIONS.items() if getattr(query, name) is not None]
    among = [
        sql.SQL("{} in ({})").format(sql.Identifier(name), sql.SQL(", ").join(map(sql.Literal, sorted(set(values)))))
        for name, values in (("state", query.states), ("result", query.results))
        if values
    ]
    return sql.SQL(" and ").join([sql.SQL("project_id = %(project)s"), *plain, *among])


async def begin(conn: Connection, id: str) -> Activity | None:
    """Start an admitted activity, or start it again after the worker that ran it is gone.

    Each start counts up `attempt`, which shuts out the attempt before. None when there is nothing to start.
    """
    await conn.execute(_LOCK_OF, [id])
    row = await _update(conn, _BEGIN, {"id": id})
    if row is None:
        return None
    begun = from_row(row)
    await outbox.tell(conn, id, is_new_state=begun.attempt == 1)
    return begun


async def is_current(conn: Connection, activity: Activity) -> bool:
    """Whether this attempt still is the one that counts; holds until the transaction ends."""
    statement = "select 1 from activity where id = %s and attempt = %s and state = 'in_progress' for share"
    cursor = await conn.execute(statement, [activity.id, activity.attempt])
    return await cursor.fetchone() is not None


async def is_final(conn: Connection, id: str) -> bool:
    """Whether nothing will be added to it any more: complete, cancelled, or gone."""
    statement = "select 1 from activity where id = %s and state not in ('complete', 'cancelled')"
    cursor = await conn.execute(statement, [id])
    return await cursor.fetchone() is None


async def finish(conn: Connection, activity: Activity, outcome: Outcome) -> bool:
    """Complete the attempt. False, and nothing changed, when another attempt has taken over or it has ended."""
    values = {
        "result": outcome.result,
        "failure_reason": outcome.failure_reason,
        "payload": Jsonb(outcome.payload),
        "timings": Jsonb(dict(outcome.timings)),
        "commands": Jsonb(list(outcome.commands)),
    }
    return await _end(conn, activity, _FINISH, values)


async def finish_cancelled(conn: Connection, activity: Activity) -> bool:
    """Mark a running attempt as cancelled. False when another attempt has taken over or it has ended."""
    return await _end(conn, activity, _FINISH_CANCELLED, {})


async def cancel_untold(conn: Connection, activity: Activity) -> None:
    """Mark a running activity as cancelled, without a word to integrations: it is what one of them was to be told."""
    await _change(conn, _FINISH_CANCELLED, {"id": activity.id, "attempt": activity.attempt})


async def cancel(conn: Connection, project_id: str, id: str) -> Activity:
    """Cancel what a person asks to: at once while pending, else as soon as its worker hears of it.

    Raises `NotFound`, and `Invalid` with the sentence that clients look for when it is too late or never possible.
    """
    await lock(conn, project_id)
    activity = await get(conn, project_id, id)
    if not is_cancellable(activity):
        raise Invalid({}, CANNOT_BE_CANCELLED)
    if not await cancel_pending(conn, activity) and not await request_cancel(conn, activity):
        raise Invalid({}, CANNOT_BE_CANCELLED)
    return await get(conn, project_id, id)


async def cancel_pending(conn: Connection, activity: Activity) -> bool:
    """Cancel an activity that has not begun. False when it has."""
    await lock(conn, activity.project_id)
    changed = await _enter(conn, _CANCEL_PENDING, {"id": activity.id})
    if changed is not None:
        await wakeups.admit(conn, activity.project_id)
    return changed is not None


async def request_cancel(conn: Connection, activity: Activity) -> bool:
    """Ask the worker of a running activity to end it. False when it is not running."""
    await lock(conn, activity.project_id)
    return await _change(conn, _REQUEST_CANCEL, {"id": activity.id}) is not None


async def pending_of(conn: Connection, concurrency_key: str, activity_type: str) -> Activity | None:
    """The oldest activity of a type that waits under the key (`core.kinds.environment_key`, `.integration_key`)."""
    found = await open_of(conn, concurrency_key)
    return next((each for each in found if each.state == "pending" and each.type == activity_type), None)


async def open_of(conn: Connection, concurrency_key: str) -> list[Activity]:
    """Everything that waits or runs under the key, oldest first."""
    cursor = await conn.execute(_OPEN_OF, [concurrency_key])
    return [from_row(row) for row in await cursor.fetchall()]


async def merge_parameters(conn: Connection, activity: Activity, merge: Callable[[JSON], JSON]) -> bool:
    """Replace the parameters of a pending activity by `merge` of what they are. False when it has begun."""
    await lock(conn, activity.project_id)
    cursor = await conn.execute(
        "select parameters from activity where id = %s and state = 'pending' for update", [activity.id]
    )
    row = await cursor.fetchone()
    if row is None:
        return False
    merged = Jsonb(merge(row["parameters"]))
    return await _change(conn, _SET_PARAMETERS, {"id": activity.id, "parameters": merged}) is not None


async def ever_began(conn: Connection, project_id: str, environment_id: str) -> bool:
    """Whether a worker ever started to build or deploy this environment, as far back as activities are kept."""
    cursor = await conn.execute(_EVER_BEGAN, [project_id, environment_id])
    return await cursor.fetchone() is not None


async def last_deployments(
    conn: Connection, project_id: str, environment_ids: Sequence[str]
) -> dict[str, DeploymentOutcome]:
    """By environment, how the activity ended that deployed it last or failed to; cancelled ones do not count."""
    cursor = await conn.execute(_LAST_DEPLOYMENTS, {"project": project_id, "ids": list(environment_ids)})
    return {
        row["environment_id"]: DeploymentOutcome(
            row["result"], row["failure_reason"], row["completed_at"], tuple(row["commands"])
        )
        for row in await cursor.fetchall()
    }


async def expire(conn: Connection, at_once: int = 1000) -> int:
    """Remove final activities, with their logs, that are past their time, `at_once` in a step; how many went."""
    removed = 0
    while count := (await conn.execute(_EXPIRE, [at_once])).rowcount:
        removed += count
    return removed


async def lock(conn: Connection, project_id: str) -> None:
    """Take the lock of a project's activities, which admission takes too; it is held to the end of the transaction."""
    await conn.execute("select pg_advisory_xact_lock(hashtextextended('activity:' || %s, 0))", [project_id])


async def _end(conn: Connection, activity: Activity, statement: LiteralString, values: Mapping[str, Any]) -> bool:
    await lock(conn, activity.project_id)
    fence = {"id": activity.id, "attempt": activity.attempt}
    ended = await _enter(conn, statement, {**values, **fence})
    if ended is not None:
        await wakeups.admit(conn, activity.project_id)
    return ended is not None


async def _enter(conn: Connection, statement: LiteralString, values: Mapping[str, Any]) -> Activity | None:
    """A change that leads to another state."""
    row = await _update(conn, statement, values)
    if row is not None:
        await outbox.tell(conn, row["id"], is_new_state=True)
    return None if row is None else from_row(row)


async def _change(conn: Connection, statement: LiteralString, values: Mapping[str, Any]) -> Activity | None:
    """A change within a state."""
    row = await _update(conn, statement, values)
    if row is not None:
        await outbox.tell(conn, row["id"], is_new_state=False)
    return None if row is None else from_row(row)


async def _update(conn: Connection, statement: LiteralString, values: Mapping[str, Any]) -> dict[str, Any] | None:
    return await (await conn.execute(statement, values)).fetchone()


async def _one(conn: Connection, statement: LiteralString, values: Mapping[str, Any]) -> dict[str, Any]:
    cursor = await conn.execute(statement, values)
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an insert without a conflict clause returns its row
    return row


def _new_columns(new: NewActivity) -> dict[str, Any]:
    columns = {each.name: getattr(new, each.name) for each in fields(NewActivity)}
    return {**columns, "parameters": Jsonb(new.parameters), "payload": Jsonb(new.payload)}


# Whoever keeps an event holds this lock, so that events are committed in the order of their numbers.
_LOCK_OF: Final[LiteralString] = """
    select pg_advisory_xact_lock(hashtextextended('activity:' || project_id, 0)) from activity where id = %s
"""

_INSERT: Final[LiteralString] = """
    with moment as materialized (
        select tieline_activity_time(%(project_id)s) as now, %(concurrency_key)s::text is null as done
    )
    insert into activity (
        id, project_id, integration_id, environment_id, type, parameters, payload, description, text, queue,
        concurrency_key, is_production, created_at, expires_at,
        state, result, completion_percent, started_at, completed_at
    )
    select
        %(id)s, %(project_id)s, %(integration_id)s, %(environment_id)s, %(type)s, %(parameters)s, %(payload)s,
        %(description)s, %(text)s, %(queue)s,
        %(concurrency_key)s, %(is_production)s, now, now + make_interval(days => %(days)s),
        case when done then 'complete' else 'pending' end, case when done then 'success' end,
        case when done then 100 else 0 end, case when done then now end, case when done then now end
    from moment
    returning *
"""

_CONDITIONS: Final[Mapping[str, LiteralString]] = {
    "environment_id": "environment_id = %(environment_id)s",
    "integration_id": "integration_id = %(integration_id)s",
    "starts_at": "created_at <= %(starts_at)s",
}

_PAGE: Final[LiteralString] = "select * from activity where {conditions} order by created_at desc limit %(count)s"

# Type by type, each along an index: a type of which there are few is not looked for among all the others.
_PAGE_OF_TYPES: Final[LiteralString] = """
    select found.* from unnest(%(types)s::text[]) as wanted (type) cross join lateral (
        select * from activity where {conditions} and type = wanted.type order by created_at desc limit %(count)s
    ) as found
    order by created_at desc limit %(count)s
"""

_BEGIN: Final[LiteralString] = """
    update activity set
        state = 'in_progress', attempt = attempt + 1, updated_at = clock_timestamp(),
        started_at = coalesce(started_at, clock_timestamp()),
        timings = timings || jsonb_build_object(
            'wait', round(extract(epoch from coalesce(started_at, clock_timestamp()) - created_at), 3))
    where id = %(id)s and (state = 'in_progress' or (state = 'pending' and admitted_at is not null))
    returning *
"""

_FINISH: Final[LiteralString] = """
    update activity set
        state = 'complete', result = %(result)s, failure_reason = %(failure_reason)s,
        payload = payload || %(payload)s, commands = %(commands)s,
        timings = timings || %(timings)s || tieline_execute_time(started_at),
        completion_percent = 100, completed_at = clock_timestamp(), updated_at = clock_timestamp()
    where id = %(id)s and attempt = %(attempt)s and state = 'in_progress'
    returning *
"""

_FINISH_CANCELLED: Final[LiteralString] = """
    update activity set
        state = 'cancelled', result = 'failure', completion_percent = 100,
        timings = timings || tieline_execute_time(started_at),
        cancelled_at = clock_timestamp(), completed_at = clock_timestamp(), updated_at = clock_timestamp()
    where id = %(id)s and attempt = %(attempt)s and state = 'in_progress'
    returning *
"""

_CANCEL_PENDING: Final[LiteralString] = """
    update activity set
        state = 'cancelled', result = 'failure', completion_percent = 100, cancel_requested_at = clock_timestamp(),
        cancelled_at = clock_timestamp(), completed_at = clock_timestamp(), updated_at = clock_timestamp()
    where id = %(id)s and state = 'pending'
    returning *
"""

_REQUEST_CANCEL: Final[LiteralString] = """
    update activity set
        cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()), updated_at = clock_timestamp()
    where id = %(id)s and state = 'in_progress'
    returning *
"""

_SET_PARAMETERS: Final[LiteralString] = """
    update activity set parameters = %(parameters)s, updated_at = clock_timestamp() where id = %(id)s returning *
"""

_OPEN_OF: Final[LiteralString] = """
    select * from activity where concurrency_key = %s and state in ('pending', 'in_progress') order by created_at
"""

_EVER_BEGAN: Final[LiteralString] = """
    select 1 from activity
    where project_id = %s and environment_id = %s and started_at is not null
      and type in ('environment.push', 'environment.activate', 'environment.redeploy', 'environment.resume',
                   'environment.synchronize')
    limit 1
"""

_LAST_DEPLOYMENTS: Final[LiteralString] = """
    select last.* from unnest(%(ids)s::text[]) as wanted (id)
    cross join lateral (
        select environment_id, result, failure_reason, completed_at, commands from activity
        where project_id = %(project)s and environment_id = wanted.id and state = 'complete'
          and type in ('environment.push', 'environment.activate', 'environment.redeploy', 'environment.resume')
        order by created_at desc limit 1
    ) as last
"""

_EXPIRE: Final[LiteralString] = """
    delete from activity where id in (
        select id from activity where expires_at < now() and state in ('complete', 'cancelled') limit %s)
"""
