"""Webhooks as they arrived: kept until they are read, and a while longer for whoever wonders what came."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg.types.json import Jsonb

from tieline.store import notify, wakeups
from tieline.store.database import Connection

KEPT_DAYS: Final = 7
READ_AT_ONCE: Final = 1000


@dataclass(frozen=True)
class NewHook:
    """A webhook to be kept. The `body` of one that is not signed is never read, so it is empty."""

    integration_id: str
    headers: Mapping[str, str]
    body: bytes
    is_signed: bool


@dataclass(frozen=True)
class Hook:
    """A webhook that nobody has read yet. Header names are lower case."""

    id: int
    integration_id: str
    received_at: datetime
    headers: Mapping[str, str]
    body: bytes
    is_signed: bool


async def insert_many(conn: Connection, rows: Sequence[NewHook]) -> None:
    """Keep webhooks of any integrations and wake a reader for each of those, in one statement each.

    Rows of an integration that is gone meanwhile are dropped.
    """
    if not rows:
        return
    cursor = await conn.execute(
        _INSERT,
        {
            "integrations": [each.integration_id for each in rows],
            "headers": [Jsonb(dict(each.headers)) for each in rows],
            "bodies": [each.body for each in rows],
            "signed": [each.is_signed for each in rows],
        },
    )
    kept = {row["integration_id"] for row in await cursor.fetchall()}
    for integration_id in sorted(kept):
        await wake_reader(conn, integration_id)
    await _remember_signed(conn, {each.integration_id for each in rows if each.is_signed})


async def wake_reader(conn: Connection, integration_id: str) -> None:
    """Have a worker read what has arrived."""
    key = f"hooks:{integration_id}"
    await wakeups.wake(conn, "read_hooks", key, {"integration_id": integration_id}, key)


async def _remember_signed(conn: Connection, integrations: set[str]) -> None:
    """From the first signed hook on, only signed ones count."""
    if not integrations:
        return
    cursor = await conn.execute(_REMEMBER_SIGNED, [sorted(integrations)])
    for row in await cursor.fetchall():
        await notify.changed(conn, "integrations", row["project_id"])


async def unread(conn: Connection, integration_id: str, limit: int = READ_AT_ONCE) -> list[Hook]:
    """The oldest webhooks that nobody has read."""
    cursor = await conn.execute(_UNREAD, [integration_id, limit])
    return [_from_row(row) for row in await cursor.fetchall()]


async def mark_read(conn: Connection, outcomes: Mapping[int, str]) -> None:
    """Note what became of each webhook, by its id."""
    await conn.execute(_MARK_READ, [list(outcomes.keys()), list(outcomes.values())])


async def integrations_unread(conn: Connection, older_than_seconds: float) -> list[str]:
    """Integrations with webhooks that should have been read by now."""
    cursor = await conn.execute(_INTEGRATIONS_UNREAD, [older_than_seconds])
    return [row["integration_id"] for row in await cursor.fetchall()]


async def trim(conn: Connection, limit: int = 10_000) -> int:
    """Forget webhooks that were read long ago; how many went."""
    cursor = await conn.execute(_TRIM, [KEPT_DAYS, limit])
    return cursor.rowcount


def _from_row(row: Mapping[str, Any]) -> Hook:
    return Hook(**{name: row[name] for name in Hook.__dataclass_fields__})


# An integration that is removed at this moment would fail the foreign key, and the hooks of all others with it.
_INSERT: Final[LiteralString] = """
    insert into hook_delivery (integration_id, headers, body, is_signed)
    select given.integration_id, given.headers, given.body, given.is_signed
    from unnest(%(integrations)s::text[], %(headers)s::jsonb[], %(bodies)s::bytea[], %(signed)s::boolean[])
        with ordinality as given (integration_id, headers, body, is_signed, place)
    join (
        select id from integration where id = any(%(integrations)s) and deleted_at is null for key share
    ) as alive on alive.id = given.integration_id
    order by given.place
    returning integration_id
"""

_REMEMBER_SIGNED: Final[LiteralString] = """
    update integration set signed_hook_seen = true
    where id = any(%s) and not signed_hook_seen
    returning project_id
"""

_UNREAD: Final[LiteralString] = """
    select id, integration_id, received_at, headers, body, is_signed from hook_delivery
    where integration_id = %s and read_at is null order by id limit %s
"""

_MARK_READ: Final[LiteralString] = """
    update hook_delivery set read_at = clock_timestamp(), outcome = given.outcome
    from unnest(%s::bigint[], %s::text[]) as given (id, outcome) where hook_delivery.id = given.id
"""

_INTEGRATIONS_UNREAD: Final[LiteralString] = """
    select distinct integration_id from hook_delivery
    where read_at is null and received_at < clock_timestamp() - make_interval(secs => %s)
"""

_TRIM: Final[LiteralString] = """
    delete from hook_delivery where id in (
        select id from hook_delivery
        where received_at < now() - make_interval(days => %s) and read_at is not null limit %s)
"""
