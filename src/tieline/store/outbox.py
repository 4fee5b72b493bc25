"""The outbox: what happened, written by the transaction that made it so, until those who want to know have been found.

The events of a project are committed in the order of their numbers, because whoever writes one holds the lock of the
project's activities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, LiteralString, get_type_hints

from psycopg.types.json import Jsonb

from tieline.core.documents import Activity
from tieline.store import notify
from tieline.store.database import Connection
from tieline.store.deliveries import NewDelivery

TOPIC: Final = "events"
_MOMENTS: Final = frozenset(
    name for name, hint in get_type_hints(Activity).items() if datetime in (hint, *getattr(hint, "__args__", ()))
)


@dataclass(frozen=True)
class Event:
    """An activity that entered a state, as it was at that moment; or something that one integration is to be told."""

    id: int
    at: datetime
    activity: Activity | None = None
    delivery: NewDelivery | None = None


async def tell(conn: Connection, activity_id: str, *, is_new_state: bool) -> None:
    """Tell listeners that an activity changed; where its state did and somebody wants to know, keep an event."""
    await conn.execute(_KEEP if is_new_state else _TELL, {"id": activity_id, "channel": notify.CHANNEL})


async def deliver(conn: Connection, new: NewDelivery) -> None:
    """Have something delivered when the transaction commits. The caller holds the lock of the project's activities."""
    await conn.execute(_DELIVER, {"project": new.project_id, "delivery": Jsonb(vars(new)), "channel": notify.CHANNEL})


async def waiting_projects(conn: Connection) -> list[str]:
    """Projects that have events which nobody has looked at, those that wait longest first."""
    cursor = await conn.execute("select project_id from activity_event group by project_id order by min(id)")
    return [row["project_id"] for row in await cursor.fetchall()]


async def take(conn: Connection, project_id: str, limit: int) -> list[Event]:
    """The oldest events of a project, in order, which are gone when the transaction commits.

    One process after the other: who comes second gets nothing while the first has not ended.
    """
    cursor = await conn.execute(_TAKE, {"project": project_id, "limit": limit})
    return sorted((_from_row(row) for row in await cursor.fetchall()), key=lambda event: event.id)


def _from_row(row: Mapping[str, Any]) -> Event:
    activity, delivery = row["activity"], row["delivery"]
    return Event(
        row["id"],
        row["at"],
        None if activity is None else _activity(activity),
        None if delivery is None else NewDelivery(**delivery),
    )


def _activity(stored: Mapping[str, Any]) -> Activity:
    values = {name: _parse(name, stored[name]) for name in _FIELDS}
    return Activity(**{**values, "commands": tuple(values["commands"])})


def _parse(name: str, value: Any) -> Any:
    return datetime.fromisoformat(value) if name in _MOMENTS and value is not None else value


_FIELDS: Final[Sequence[str]] = tuple(each.name for each in fields(Activity))

_TELL: Final[LiteralString] = "select pg_notify(%(channel)s, 'activity:' || %(id)s)"

_KEEP: Final[LiteralString] = """
    with kept as (
        insert into activity_event (project_id, activity)
        select project_id, to_jsonb(activity) from activity
        where id = %(id)s and exists (
            select 1 from integration
            where integration.project_id = activity.project_id and is_sink and deleted_at is null)
        returning project_id
    )
    select pg_notify(%(channel)s, 'activity:' || %(id)s),
           (select pg_notify(%(channel)s, 'events:' || project_id) from kept)
"""

_TAKE: Final[LiteralString] = """
    with turn as materialized (
        select pg_try_advisory_xact_lock(hashtextextended('events:' || %(project)s, 0)) as is_mine
    )
    delete from activity_event where id = any(array(
        select id from activity_event where project_id = %(project)s and (select is_mine from turn)
        order by id limit %(limit)s))
    returning id, activity, delivery, at
"""

_DELIVER: Final[LiteralString] = """
    with kept as (
        insert into activity_event (project_id, delivery) values (%(project)s, %(delivery)s) returning project_id)
    select pg_notify(%(channel)s, 'events:' || project_id) from kept
"""
