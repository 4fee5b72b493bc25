"""The key that secrets are sealed with and its rotation; and sealing what former versions did not."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg.types.json import Jsonb

from tieline.core.documents import JSON
from tieline.core.errors import Unavailable
from tieline.core.secret import Secret
from tieline.store.database import Connection, Database
from tieline.store.integrations import seal_secret, secret_context
from tieline.store.seal import SecretBox
from tieline.store.variables import variable_context


@dataclass(frozen=True)
class _Sealed:
    """A table of sealed bytes: what is sealed with another key than the current one, and how it is replaced."""

    context: Callable[[str, str], str]
    otherwise: LiteralString
    replace: LiteralString


async def adopt_key(database: Database, box: SecretBox) -> int:
    """Make the current key the one that every secret is sealed with; returns how many were sealed again.

    All or nothing. Raises `Unavailable`, and changes nothing, when something is sealed with a key that is not ours.
    """
    async with database.transaction() as conn:
        await conn.execute("lock table sealing_key in exclusive mode")  # one process after the other
        await _replace_key(conn, box)
        return sum([await _reseal_all(conn, box, table) for table in _TABLES])


async def seal_fields(database: Database, box: SecretBox, fields: Mapping[str, Collection[str]]) -> int:
    """Seal what former versions kept among the other fields of integrations; returns how many values that were.

    `fields` are their names by type of integration. All or nothing, and harmless when there is nothing to do.
    """
    async with database.transaction() as conn:
        return sum([await _seal_type(conn, box, type_key, names) for type_key, names in fields.items()])


async def _replace_key(conn: Connection, box: SecretBox) -> None:
    cursor = await conn.execute("select id from sealing_key")
    for row in await cursor.fetchall():
        if row["id"] not in box.key_ids:
            raise Unavailable(
                f"The secrets of this database are sealed with the key {row['id']}, which is not the one given. Every"
                " process on a database needs the same TIELINE_SECRET_KEY; where none was set, it is in the file"
                " secret-key of the data folder. To change it, put the former one behind the new one, after a comma."
            )
    await conn.execute("delete from sealing_key where id <> %s", [box.current_key_id])
    await conn.execute("insert into sealing_key (id) values (%s) on conflict do nothing", [box.current_key_id])


async def _reseal_all(conn: Connection, box: SecretBox, table: _Sealed) -> int:
    cursor = await conn.execute(table.otherwise, [box.current_key_id])
    rows = await cursor.fetchall()
    for row in rows:
        await _reseal(conn, box, table, row)
    return len(rows)


async def _reseal(conn: Connection, box: SecretBox, table: _Sealed, row: dict[str, Any]) -> None:
    context = table.context(row["integration_id"], row["name"])
    key_id, sealed = box.seal(box.open(row["key_id"], row["sealed"], context).reveal(), context)
    await conn.execute(table.replace, [key_id, sealed, row["integration_id"], row["name"]])


async def _seal_type(conn: Connection, box: SecretBox, type_key: str, names: Collection[str]) -> int:
    cursor = await conn.execute(_UNSEALED, {"type": type_key, "names": list(names)})
    return sum([await _seal_config(conn, box, row["id"], row["config"], names) for row in await cursor.fetchall()])


async def _seal_config(conn: Connection, box: SecretBox, id: str, config: JSON, names: Collection[str]) -> int:
    values = {name: config[name] for name in names if config.get(name)}
    for name, value in values.items():
        await seal_secret(conn, box, id, name, Secret.of(value))
    rest = {name: value for name, value in config.items() if name not in names}
    await conn.execute("update integration set config = %s where id = %s", [Jsonb(rest), id])
    return len(values)


_UNSEALED: Final = "select id, config from integration where type = %(type)s and config ?| %(names)s for update"

_TABLES: Final = (
    _Sealed(
        secret_context,
        "select integration_id, name, key_id, sealed from integration_secret where key_id <> %s for update",
        "update integration_secret set key_id = %s, sealed = %s where integration_id = %s and name = %s",
    ),
    _Sealed(
        variable_context,
        "select integration_id, name, key_id, sealed from integration_variable where key_id <> %s for update",
        "update integration_variable set key_id = %s, sealed = %s where integration_id = %s and name = %s",
    ),
)
