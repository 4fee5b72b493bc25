"""What activity scripts keep between runs, and the variables they are given."""

from collections.abc import Sequence
from typing import Final, LiteralString

from tieline.core.documents import Variable
from tieline.core.errors import Invalid
from tieline.store import variables
from tieline.store.database import Database
from tieline.store.seal import SecretBox

LONGEST_KEY: Final = 255
LONGEST_VALUE: Final = 64 * 1024
MOST_KEYS: Final = 1000


class PostgresScriptStore:
    """Implements `core.ports.ScriptStore`. Each call is a transaction of its own."""

    def __init__(self, db: Database, box: SecretBox) -> None:
        self._db = db
        self._box = box

    async def variables(self, integration_id: str) -> Sequence[Variable]:
        async with self._db.connection() as conn:
            return await variables.load_all(conn, self._box, integration_id)

    async def get(self, integration_id: str, key: str) -> str | None:
        if "\0" in key:
            return None
        statement = "select value from script_storage where integration_id = %s and key = %s"
        async with self._db.connection() as conn:
            row = await (await conn.execute(statement, [integration_id, key])).fetchone()
        return row["value"] if row else None

    async def set(self, integration_id: str, key: str, value: str) -> None:
        _check(key, value)
        given = {"integration_id": integration_id, "key": key, "value": value, "most": MOST_KEYS}
        async with self._db.connection() as conn:
            cursor = await conn.execute(_SET, given)
        if cursor.rowcount == 0:
            raise Invalid({"key": f"storage: there are {MOST_KEYS} keys already, or the integration is gone"})

    async def remove(self, integration_id: str, key: str) -> None:
        if "\0" in key:
            return
        statement = "delete from script_storage where integration_id = %s and key = %s"
        async with self._db.connection() as conn:
            await conn.execute(statement, [integration_id, key])

    async def clear(self, integration_id: str) -> None:
        async with self._db.connection() as conn:
            await conn.execute("delete from script_storage where integration_id = %s", [integration_id])


def _check(key: str, value: str) -> None:
    if len(key) > LONGEST_KEY:
        raise Invalid({"key": f"storage: a key of {len(key)} characters is too long; {LONGEST_KEY} are allowed"})
    if len(value) > LONGEST_VALUE:
        shown = key[:40]
        sentence = f"storage: the value of {shown!r} has {len(value)} characters; {LONGEST_VALUE} are allowed"
        raise Invalid({"value": sentence})
    if "\0" in key or "\0" in value:
        raise Invalid({"value": "storage: neither keys nor values may have NUL characters in them"})


_SET: Final[LiteralString] = """
    insert into script_storage (integration_id, key, value)
    select id, %(key)s, %(value)s from integration
    where id = %(integration_id)s and (
        exists (select from script_storage where integration_id = %(integration_id)s and key = %(key)s)
        or (select count(*) from script_storage where integration_id = %(integration_id)s) < %(most)s
    )
    for key share of integration -- or it might be gone before this is written
    on conflict (integration_id, key) do update set value = excluded.value, updated_at = clock_timestamp()
"""
