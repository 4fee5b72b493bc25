"""Environments: one row each, and the bulk statements that keep two thousand branches cheap.

Every function that writes tells listeners on the topic `environments` (key: the project) from the same
transaction.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg import sql
from psycopg.types.json import Jsonb

from tieline.core.clock import iso
from tieline.core.documents import Deployment, Environment, EnvironmentStatus, PullInfo
from tieline.core.errors import NotFound
from tieline.store import notify
from tieline.store.database import Connection

_COLUMNS: Final = (
    "project_id",
    "id",
    "integration_id",
    "name",
    "machine_name",
    "title",
    "attributes",
    "type",
    "status",
    "parent",
    "is_main",
    "pull",
    "head_commit",
    "has_remote",
    "awaiting_approval",
    "clone_parent_on_create",
    "init_resources",
    "http_access",
    "enable_smtp",
    "restrict_robots",
    "deployment",
    "data_synced_at",
    "last_active_at",
    "created_at",
    "updated_at",
)
_JSON: Final = frozenset({"attributes", "pull", "http_access", "deployment"})
_SAVED: Final = frozenset(_COLUMNS) - {"project_id", "id", "created_at", "updated_at"}

_SELECT: Final[LiteralString] = """
    select environment.*, busy.environment_id is not null as has_pending_activity
    from environment left join (
        select distinct environment_id from activity
        where project_id = %(project)s and environment_id is not null and state in ('pending', 'in_progress')
    ) as busy on busy.environment_id = environment.id
    where project_id = %(project)s
"""


def from_row(row: Mapping[str, Any]) -> Environment:
    """A row of `_SELECT` (or of the bare table) as a document."""
    fields = {name: row[name] for name in _COLUMNS}
    fields["pull"] = PullInfo(**row["pull"]) if row["pull"] else None
    fields["deployment"] = _parse_deployment(row["deployment"])
    return Environment(**fields, has_pending_activity=row.get("has_pending_activity", False))


def _parse_deployment(stored: Mapping[str, Any] | None) -> Deployment | None:
    if stored is None:
        return None
    deployed_at = datetime.fromisoformat(stored["deployed_at"])
    return Deployment(commit=stored["commit"], urls=tuple(stored["urls"]), deployed_at=deployed_at)


def _stored(name: str, value: object) -> object:
    """A column's value as PostgreSQL takes it."""
    if value is None or name not in _JSON:
        return value
    if isinstance(value, Deployment):
        return Jsonb({"commit": value.commit, "urls": list(value.urls), "deployed_at": iso(value.deployed_at)})
    if isinstance(value, PullInfo):
        return Jsonb(asdict(value))
    return Jsonb(value)


async def load_all(conn: Connection, project_id: str) -> list[Environment]:
    """Every environment of the project, by id; one query."""
    cursor = await conn.execute(_SELECT + " order by environment.id", {"project": project_id})
    return [from_row(row) for row in await cursor.fetchall()]


async def load_some(conn: Connection, project_id: str, ids: Collection[str]) -> list[Environment]:
    """Those of the project's environments that have one of the ids."""
    if not ids:
        return []
    query = _SELECT + " and environment.id = any(%(ids)s)"
    cursor = await conn.execute(query, {"project": project_id, "ids": list(ids)})
    return [from_row(row) for row in await cursor.fetchall()]


async def find(conn: Connection, project_id: str, id: str, *, lock: bool = False) -> Environment | None:
    """One environment, or None. `lock` keeps other writers of its row away until the transaction ends."""
    query: LiteralString = _SELECT + " and environment.id = %(id)s" + (" for update of environment" if lock else "")
    cursor = await conn.execute(query, {"project": project_id, "id": id})
    row = await cursor.fetchone()
    return None if row is None else from_row(row)


async def get(conn: Connection, project_id: str, id: str, *, lock: bool = False) -> Environment:
    """One environment. Raises `NotFound`."""
    found = await find(conn, project_id, id, lock=lock)
    if found is None:
        raise NotFound(f"There is no environment {id!r} in project {project_id}.")
    return found


async def create(conn: Connection, environment: Environment) -> bool:
    """Insert one environment. False when there is one of that id or branch already."""
    return bool(await create_many(conn, [environment]))


async def create_many(conn: Connection, environments: Iterable[Environment]) -> frozenset[str]:
    """Insert environments of one project, in one statement; gives the ids that are new.

    One that exists already, by id or by branch, stays as it is: a run that was killed half way comes here again.
    """
    rows = list(environments)
    if not rows:
        return frozenset()
    query = sql.SQL(
        "insert into environment ({columns}) select {columns} from {recordset} on conflict do nothing returning id"
    )
    cursor = await conn.execute(
        query.format(
            columns=sql.SQL(", ").join(map(sql.Identifier, _COLUMNS)),
            recordset=sql.SQL("jsonb_populate_recordset(null::environment, %s)"),
        ),
        [Jsonb([_record(each) for each in rows])],
    )
    await notify.changed(conn, "environments", rows[0].project_id)
    return frozenset([row["id"] for row in await cursor.fetchall()])


def _record(environment: Environment) -> dict[str, Any]:
    """The row as JSON, for `jsonb_populate_recordset`."""
    record: dict[str, Any] = {name: getattr(environment, name) for name in _COLUMNS}
    for name in _JSON:
        stored = _stored(name, record[name])
        record[name] = stored.obj if isinstance(stored, Jsonb) else stored
    for name in ("data_synced_at", "last_active_at", "created_at", "updated_at"):
        record[name] = iso(record[name])
    return record


async def save(conn: Connection, project_id: str, id: str, **columns: object) -> None:
    """Set the named columns of one environment. Raises `NotFound`."""
    unknown = columns.keys() - _SAVED
    if unknown:
        raise ValueError(f"not columns of an environment that change: {sorted(unknown)}")
    changes = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in columns]
    template: LiteralString = (
        "update environment set {}, updated_at = now() where project_id = %(_project)s and id = %(_id)s"
    )
    values = {name: _stored(name, value) for name, value in columns.items()}
    query = sql.SQL(template).format(sql.SQL(", ").join(changes))
    cursor = await conn.execute(query, {**values, "_project": project_id, "_id": id})
    if cursor.rowcount == 0:
        raise NotFound(f"There is no environment {id!r} in project {project_id}.")
    await notify.changed(conn, "environments", project_id)


async def set_status(conn: Connection, project_id: str, id: str, status: EnvironmentStatus) -> None:
    """Raises `NotFound`."""
    await save(conn, project_id, id, status=status)


async def set_parents(conn: Connection, project_id: str, ids: Collection[str], parent: str) -> None:
    """Put many environments below one, in one statement."""
    await conn.execute(
        "update environment set parent = %s, updated_at = now() where project_id = %s and id = any(%s)",
        [parent, project_id, list(ids)],
    )
    await notify.changed(conn, "environments", project_id)


async def update_heads(conn: Connection, project_id: str, heads: Mapping[str, str]) -> None:
    """Set the head commit of many environments that do not follow it by a build, by id, in one statement.

    One that somebody activates meanwhile keeps its own, so that the next reconcile sees it behind and builds it.
    """
    await conn.execute(
        """
        update environment set head_commit = given.head, updated_at = now()
        from unnest(%s::text[], %s::text[]) as given (id, head)
        where environment.project_id = %s and environment.id = given.id
          and (environment.status in ('inactive', 'paused') or environment.awaiting_approval)
          and not exists (
            select from activity
            where activity.project_id = environment.project_id and activity.environment_id = environment.id
              and activity.state in ('pending', 'in_progress')
              and activity.type in ('environment.activate', 'environment.resume'))
        """,
        [list(heads.keys()), list(heads.values()), project_id],
    )
    await notify.changed(conn, "environments", project_id)


async def set_remote(conn: Connection, project_id: str, ids: Collection[str], *, has_remote: bool) -> None:
    """Say of many environments whether their branch is there on the host."""
    await conn.execute(
        "update environment set has_remote = %s, updated_at = now() where project_id = %s and id = any(%s)",
        [has_remote, project_id, list(ids)],
    )
    await notify.changed(conn, "environments", project_id)


async def adopt(conn: Connection, project_id: str, ids: Collection[str], integration_id: str) -> None:
    """Tie environments that a removed integration left behind to the one that follows them now."""
    await conn.execute(
        "update environment set integration_id = %s, updated_at = now() where project_id = %s and id = any(%s)",
        [integration_id, project_id, list(ids)],
    )
    await notify.changed(conn, "environments", project_id)


async def make_main(conn: Connection, project_id: str, id: str) -> None:
    """Make this one the production environment, and a former one a development environment below it."""
    await conn.execute(
        """
        update environment set is_main = false, type = 'development', parent = %(id)s, updated_at = now()
        where project_id = %(project)s and is_main and id <> %(id)s
        """,
        {"project": project_id, "id": id},
    )
    await save(conn, project_id, id, is_main=True, type="production", parent=None)


async def give_up_removals(conn: Connection) -> None:
    """Make inactive again what nobody is removing any more: the next reconcile, or a person, tries once more.

    A removal that ends in whatever failure leaves such an environment behind.
    """
    cursor = await conn.execute(_GIVE_UP_REMOVALS)
    for row in await cursor.fetchall():
        await notify.changed(conn, "environments", row["project_id"])


async def remove(conn: Connection, project_id: str, id: str) -> None:
    """Delete the row; its children hang below its own parent from then on. Idempotent."""
    await conn.execute(
        """
        update environment as child set parent = gone.parent, updated_at = now() from environment as gone
        where gone.project_id = %(project)s and gone.id = %(id)s
          and child.project_id = gone.project_id and child.parent = gone.id
        """,
        {"project": project_id, "id": id},
    )
    await conn.execute("delete from environment where project_id = %s and id = %s", [project_id, id])
    await notify.changed(conn, "environments", project_id)


_GIVE_UP_REMOVALS: Final[LiteralString] = """
    update environment set status = 'inactive', updated_at = now()
    where status = 'deleting' and not exists (
        select 1 from activity
        where activity.project_id = environment.project_id and activity.environment_id = environment.id
          and activity.state in ('pending', 'in_progress'))
    returning project_id
"""
