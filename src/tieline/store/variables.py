"""The variables of integrations. Sensitive values are sealed; whoever reads them here gets them opened."""

from collections.abc import Mapping
from typing import Any, Final, LiteralString

from psycopg.types.json import Jsonb

from tieline.core.documents import Variable
from tieline.core.errors import NotFound
from tieline.core.secret import Secret
from tieline.store.database import Connection
from tieline.store.seal import SecretBox


def variable_context(integration_id: str, name: str) -> str:
    """What a variable's sealed bytes are bound to, so that they open nowhere else."""
    return f"{integration_id}/variable/{name}"


async def load_all(conn: Connection, box: SecretBox, integration_id: str) -> list[Variable]:
    """Every variable of an integration with its value, by name."""
    cursor = await conn.execute(_SELECT + " order by name", {"integration_id": integration_id})
    return [_from_row(row, box) for row in await cursor.fetchall()]


async def get(conn: Connection, box: SecretBox, integration_id: str, name: str, *, lock: bool = False) -> Variable:
    """One variable. `lock` keeps other writers of it away until the transaction ends. Raises `NotFound`."""
    query: LiteralString = _SELECT + " and name = %(name)s" + (" for update" if lock else "")
    cursor = await conn.execute(query, {"integration_id": integration_id, "name": name})
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("Variable not found")
    return _from_row(row, box)


async def count(conn: Connection, integration_id: str) -> int:
    """How many an integration has."""
    statement = "select count(*) as total from integration_variable where integration_id = %s"
    cursor = await conn.execute(statement, [integration_id])
    row = await cursor.fetchone()
    return int(row["total"]) if row else 0


async def create(conn: Connection, box: SecretBox, variable: Variable) -> bool:
    """Insert a variable. False, and nothing changed, when there is one of that name already."""
    cursor = await conn.execute(_INSERT, _columns(variable, box))
    return cursor.rowcount > 0


async def save(conn: Connection, box: SecretBox, variable: Variable) -> None:
    """Replace everything of a variable but its name. Raises `NotFound`."""
    cursor = await conn.execute(_UPDATE, _columns(variable, box))
    if cursor.rowcount == 0:
        raise NotFound("Variable not found")


async def remove(conn: Connection, integration_id: str, name: str) -> None:
    """Delete a variable. Raises `NotFound`."""
    statement = "delete from integration_variable where integration_id = %s and name = %s"
    cursor = await conn.execute(statement, [integration_id, name])
    if cursor.rowcount == 0:
        raise NotFound("Variable not found")


def _from_row(row: Mapping[str, Any], box: SecretBox) -> Variable:
    context = variable_context(row["integration_id"], row["name"])
    value = box.open(row["key_id"], row["sealed"], context) if row["is_sensitive"] else Secret(row["value"])
    return Variable(**{name: row[name] for name in _PLAIN}, value=value)


def _columns(variable: Variable, box: SecretBox) -> dict[str, Any]:
    key_id, sealed, value = None, None, variable.value.reveal()
    if variable.is_sensitive:
        key_id, sealed = box.seal(value, variable_context(variable.integration_id, variable.name))
    plain = {name: getattr(variable, name) for name in _PLAIN}
    stored = None if variable.is_sensitive else value
    return {
        **plain,
        "attributes": Jsonb(dict(variable.attributes)),
        "value": stored,
        "key_id": key_id,
        "sealed": sealed,
    }


_PLAIN: Final = ("integration_id", "name", "attributes", "is_json", "is_sensitive", "created_at", "updated_at")

_SELECT: Final[LiteralString] = "select * from integration_variable where integration_id = %(integration_id)s"

_INSERT: Final[LiteralString] = """
    insert into integration_variable (
        integration_id, name, value, key_id, sealed, attributes, is_json, is_sensitive, created_at
    ) values (
        %(integration_id)s, %(name)s, %(value)s, %(key_id)s, %(sealed)s, %(attributes)s, %(is_json)s,
        %(is_sensitive)s, %(created_at)s
    ) on conflict do nothing
"""

_UPDATE: Final[LiteralString] = """
    update integration_variable set
        value = %(value)s, key_id = %(key_id)s, sealed = %(sealed)s, attributes = %(attributes)s,
        is_json = %(is_json)s, is_sensitive = %(is_sensitive)s, updated_at = clock_timestamp()
    where integration_id = %(integration_id)s and name = %(name)s
"""
