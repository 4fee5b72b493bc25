"""How it stands with those who are told of activities: their failures, the breaker, pauses.

A transaction that takes the lock of a project's activities too does so after that of the receiver.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final, LiteralString

from tieline.core.deliveries import Receiver
from tieline.store import notify
from tieline.store.database import Connection


async def lock(conn: Connection, integration_ids: Collection[str]) -> dict[str, Receiver]:
    """The receivers of these integrations, locked to the end of the transaction; new ones are as good as any.

    Those of integrations that are gone are left out.
    """
    found = await _lock(conn, integration_ids)
    if missing := set(integration_ids) - found.keys():
        await conn.execute(_ADD, [sorted(missing)])
        found |= await _lock(conn, missing)
    return found


async def _lock(conn: Connection, integration_ids: Collection[str]) -> dict[str, Receiver]:
    cursor = await conn.execute(_LOCK, [sorted(integration_ids)])
    return {row["integration_id"]: _from_row(row) for row in await cursor.fetchall()}


async def find(conn: Connection, integration_id: str) -> Receiver:
    """How it stands with one receiver."""
    row = await (await conn.execute("select * from receiver where integration_id = %s", [integration_id])).fetchone()
    return Receiver(integration_id) if row is None else _from_row(row)


async def save(conn: Connection, receiver: Receiver) -> None:
    """Write all of it."""
    await conn.execute(_SAVE, vars(receiver))


async def wake(conn: Connection, integration_id: str) -> None:
    """Have the deliveries of an integration looked at when the transaction commits."""
    await notify.changed(conn, "deliveries", integration_id)


async def mark_sinks(conn: Connection, types: Collection[str]) -> None:
    """Note which integrations want to be told of activities: those of the types that do so in this version."""
    query = "update integration set is_sink = (type = any(%(types)s)) where is_sink <> (type = any(%(types)s))"
    await conn.execute(query, {"types": sorted(types)})


def _from_row(row: Mapping[str, Any]) -> Receiver:
    return Receiver(**{name: row[name] for name in Receiver.__dataclass_fields__})


_LOCK: Final[LiteralString] = """
    select * from receiver where integration_id = any(%s) order by integration_id for no key update
"""

_ADD: Final[LiteralString] = """
    insert into receiver (integration_id) select id from integration where id = any(%s) order by id
    on conflict do nothing
"""

_SAVE: Final[LiteralString] = """
    update receiver set
        failures = %(failures)s, failing_since = %(failing_since)s, closed_until = %(closed_until)s,
        paused_at = %(paused_at)s, paused_because = %(paused_because)s, resumed_at = %(resumed_at)s
    where integration_id = %(integration_id)s
"""
