"""Webhooks as they arrived: kept until they are read, and a while longer for whoever wonders what came."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg.types.json import Jsonb

from tieline.core.documents import JSON
from tieline.store import notify, wakeups
from tieline.store.database import Connection

KEPT_DAYS: Final = 7
READ_AT_ONCE: Final = 100
BYTES_AT_ONCE: Final = 16 * 1024 * 1024
KEPT_BYTES: Final = 256 * 1024


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
    headers: Mapping[str, str]
    body: bytes
    is_signed: bool


async def insert_many(conn: Connection, rows: Sequence[NewHook]) -> None:
    """Keep webhooks of any integrations and wake a reader for each of those, in one statement: all or nothing.

    Rows of an integration that is gone meanwhile are dropped. From the first signed hook on, only signed ones count.
    """
    if not rows:
        return
    await conn.execute(_INSERT, [Jsonb([_given(place, each) for place, each in enumerate(rows)]), notify.CHANNEL])


def _given(place: int, hook: NewHook) -> JSON:
    """As `_INSERT` reads it. One JSON document costs a third of four arrays."""
    return {
        "place": place,
        "integration_id": hook.integration_id,
        "headers": hook.headers,
        "body": base64.b64encode(hook.body).decode(),
        "is_signed": hook.is_signed,
    }


async def wake_reader(conn: Connection, integration_id: str) -> None:
    """Have a worker read what has arrived."""
    key = f"hooks:{integration_id}"
    await wakeups.wake(conn, "read_hooks", key, {"integration_id": integration_id}, key)


async def unread(conn: Connection, integration_id: str, limit: int = READ_AT_ONCE) -> list[Hook]:
    """The oldest webhooks that nobody has read: `limit` of them, and fewer where their bodies are long."""
    cursor = await conn.execute(_UNREAD, [integration_id, limit, BYTES_AT_ONCE])
    return [_from_row(row) for row in await cursor.fetchall()]


async def mark_read(conn: Connection, outcomes: Mapping[int, str]) -> None:
    """Note what became of each webhook, by its id. Bodies that are longer than `KEPT_BYTES` go."""
    await conn.execute(_MARK_READ, [KEPT_BYTES, list(outcomes.keys()), list(outcomes.values())])


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
    with given as (
        select * from jsonb_to_recordset(%s)
            as given (place integer, integration_id text, headers jsonb, body text, is_signed boolean)
    ), alive as (
        select id from integration
        where id in (select integration_id from given) and deleted_at is null for key share
    ), kept as (
        insert into hook_delivery (integration_id, headers, body, is_signed)
        select given.integration_id, given.headers, decode(given.body, 'base64'), given.is_signed
        from given join alive on alive.id = given.integration_id order by given.place
        returning integration_id, is_signed
    ), first_signed as (
        update integration set signed_hook_seen = true
        where id in (select integration_id from kept where is_signed) and not signed_hook_seen
        returning project_id
    ), told as (
        select pg_notify(%s, 'integrations:' || project_id) from first_signed
    ), woken as (
        select tieline_wake('read_hooks', 'hooks:' || id, jsonb_build_object('integration_id', id), 'hooks:' || id)
        from (select distinct integration_id as id from kept order by id) as integrations
    )
    select (select count(*) from told) as told, (select count(*) from woken) as woken
"""

_UNREAD: Final[LiteralString] = """
    select id, integration_id, headers, body, is_signed from (
        select *, sum(octet_length(body)) over (order by id) - octet_length(body) as bytes_before from (
            select * from hook_delivery where integration_id = %s and read_at is null order by id limit %s
        ) as oldest
    ) as measured
    where bytes_before < %s order by id
"""

_MARK_READ: Final[LiteralString] = """
    update hook_delivery set
        read_at = clock_timestamp(), outcome = given.outcome,
        body = case when octet_length(body) > %s then '' else body end
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
