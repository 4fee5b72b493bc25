"""Projects."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, LiteralString

from psycopg import sql
from psycopg.types.json import Jsonb

from tieline.core.documents import Project
from tieline.core.errors import NotFound
from tieline.store.database import Connection

_COLUMNS: Final = tuple(each.name for each in fields(Project))
_SAVED: Final = frozenset({"title", "description", "attributes", "default_branch", "timezone", "region"})
_SELECT: Final[LiteralString] = "select * from project where id = %s"
_SELECT_LOCKED: Final[LiteralString] = _SELECT + " for no key update"


def from_row(row: Mapping[str, Any]) -> Project:
    """A row of the table as a document."""
    return Project(**{name: row[name] for name in _COLUMNS})


def _stored(name: str, value: object) -> object:
    return Jsonb(value) if name == "attributes" else value


async def create(conn: Connection, project: Project) -> None:
    """Insert a project. Its owner gets no access by this alone."""
    values = {name: _stored(name, getattr(project, name)) for name in _COLUMNS}
    statement = sql.SQL("insert into project ({}) values ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, _COLUMNS)), sql.SQL(", ").join(map(sql.Placeholder, _COLUMNS))
    )
    await conn.execute(statement, values)


async def get(conn: Connection, id: str, *, lock: bool = False) -> Project:
    """One project. Raises `NotFound`. `lock` keeps other writers of its row away until the transaction ends."""
    cursor = await conn.execute(_SELECT_LOCKED if lock else _SELECT, [id])
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("Project not found")
    return from_row(row)


async def load_all(conn: Connection) -> list[Project]:
    """Every project, oldest first."""
    cursor = await conn.execute("select * from project order by created_at, id")
    return [from_row(row) for row in await cursor.fetchall()]


async def load_visible(conn: Connection, account_id: str) -> list[Project]:
    """The projects that an account was given access to, oldest first."""
    cursor = await conn.execute(
        """
        select project.* from project join project_access on project_access.project_id = project.id
        where project_access.account_id = %s order by project.created_at, project.id
        """,
        [account_id],
    )
    return [from_row(row) for row in await cursor.fetchall()]


async def save(conn: Connection, id: str, **columns: object) -> Project:
    """Set the named columns of one project. Raises `NotFound`."""
    unknown = columns.keys() - _SAVED
    if unknown:
        raise ValueError(f"not columns of a project that change: {sorted(unknown)}")
    changes = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in columns]
    query = sql.SQL("update project set {}, updated_at = clock_timestamp() where id = %(_id)s returning *")
    values = {name: _stored(name, value) for name, value in columns.items()}
    cursor = await conn.execute(query.format(sql.SQL(", ").join(changes)), {**values, "_id": id})
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("Project not found")
    return from_row(row)
