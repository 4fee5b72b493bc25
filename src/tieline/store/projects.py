"""Projects."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg import sql
from psycopg.types.json import Jsonb

from tieline.core.documents import Project, Role
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


async def create(conn: Connection, project: Project) -> Project:
    """Insert a project, as part of the server's own organization if it names none.

    Its owner gets no access by this alone. Returns it as stored.
    """
    named = [name for name in _COLUMNS if name != "organization" or project.organization is not None]
    statement = sql.SQL("insert into project ({}) values ({}) returning *").format(
        sql.SQL(", ").join(map(sql.Identifier, named)), sql.SQL(", ").join(map(sql.Placeholder, named))
    )
    cursor = await conn.execute(statement, {name: _stored(name, getattr(project, name)) for name in named})
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an insert that returns has a row, or raises
    return from_row(row)


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


@dataclass(frozen=True)
class Reach:
    """A project that an account may see, as what and since when."""

    project: Project
    role: Role
    granted_at: datetime


async def load_reach(conn: Connection, account_id: str, ids: Collection[str] | None = None) -> list[Reach]:
    """The projects that an account may see, oldest first: all of them for operators. Only those in `ids`, if given."""
    cursor = await conn.execute(_REACH, {"account_id": account_id, "ids": None if ids is None else list(ids)})
    return [Reach(from_row(row), row["role"], row["granted_at"]) for row in await cursor.fetchall()]


async def load_of_organization(conn: Connection, account_id: str, organization: str) -> list[Project]:
    """The projects of an organization that an account may see, oldest first."""
    cursor = await conn.execute(
        _REACHED + " and project.organization = %(organization)s order by project.created_at, project.id",
        {"account_id": account_id, "organization": organization},
    )
    return [from_row(row) for row in await cursor.fetchall()]


_REACHED: Final[LiteralString] = """
    select project.*, case when account.is_operator then 'admin' else project_access.role end as role,
        coalesce(project_access.granted_at, project.created_at) as granted_at
    from project join account on account.id = %(account_id)s
    left join project_access on project_access.project_id = project.id and project_access.account_id = account.id
    where (account.is_operator or project_access.role is not null)
"""
_REACH: Final[LiteralString] = (
    _REACHED + " and (%(ids)s::text[] is null or project.id = any(%(ids)s)) order by project.created_at, project.id"
)


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
