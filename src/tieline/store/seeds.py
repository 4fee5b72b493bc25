"""Rows written whole, with the ids and times that they had: what a seed brings back."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, Final, Literal, LiteralString

from psycopg import errors, sql
from psycopg.types.json import Jsonb

from tieline.core.clock import iso
from tieline.core.documents import Activity, APIToken, LogLine, Organization, Role, Variable
from tieline.core.errors import Invalid
from tieline.core.secret import Secret
from tieline.store import activities, notify
from tieline.store.accounts import token_digest
from tieline.store.database import Connection

Table = Literal["account", "organization", "project", "integration", "activity"]
_TOKEN: Final = tuple(each.name for each in fields(APIToken))
_ORGANIZATION: Final = tuple(each.name for each in fields(Organization))
_ACTIVITY: Final = tuple(each.name for each in fields(Activity))


async def lock(conn: Connection) -> None:
    """Let one transaction at a time load a seed."""
    await conn.execute("select pg_advisory_xact_lock(hashtextextended('seed', 0))")


async def present(conn: Connection, table: Table, ids: Collection[str]) -> frozenset[str]:
    """Those of the ids that are in use."""
    query = sql.SQL("select id from {} where id = any(%s)").format(sql.Identifier(table))
    cursor = await conn.execute(query, [list(ids)])
    return frozenset([row["id"] for row in await cursor.fetchall()])


async def organization_ids(conn: Connection) -> dict[str, str]:
    """The ids of all organizations by name."""
    cursor = await conn.execute("select name, id from organization")
    return {row["name"]: row["id"] for row in await cursor.fetchall()}


async def load_organizations(conn: Connection) -> list[Organization]:
    """Every organization, oldest first."""
    cursor = await conn.execute("select * from organization order by created_at, id")
    return [Organization(**{name: row[name] for name in _ORGANIZATION}) for row in await cursor.fetchall()]


async def restore_organization(
    conn: Connection, organization: Organization, members: Iterable[tuple[str, Role, datetime]]
) -> None:
    """Insert an organization with its members, by the ids of their accounts; another one may be the default already."""
    await _insert(conn, "organization", _ORGANIZATION, [asdict(organization)])
    rows = [
        {"organization": organization.id, "account_id": account_id, "role": role, "created_at": created_at}
        for account_id, role, created_at in members
    ]
    await _insert(conn, "organization_member", ("organization", "account_id", "role", "created_at"), rows)


async def has_default_organization(conn: Connection) -> bool:
    """Whether there is one for projects that name none."""
    cursor = await conn.execute("select 1 from organization where is_default")
    return await cursor.fetchone() is not None


async def restore_token(conn: Connection, token: APIToken, value: Secret) -> None:
    """Insert an API token. Raises `Invalid` when its value or its id is in use already."""
    columns = [sql.Identifier(each) for each in (*_TOKEN, "digest")]
    values = [*(getattr(token, name) for name in _TOKEN), token_digest(value)]
    query = sql.SQL("insert into api_token ({}) values ({})").format(
        sql.SQL(", ").join(columns), sql.SQL(", ").join([sql.Placeholder()] * len(columns))
    )
    try:
        await conn.execute(query, values)
    except errors.UniqueViolation as error:
        raise Invalid({"token": "This token, or its id, is in use already."}) from error


async def restore_grants(conn: Connection, project_id: str, grants: Iterable[tuple[str, Role, datetime]]) -> None:
    """Give accounts access to a project, each since its own moment."""
    given = list(grants)
    rows = [
        {"project_id": project_id, "account_id": account_id, "role": role, "granted_at": granted_at}
        for account_id, role, granted_at in given
    ]
    await _insert(conn, "project_access", ("project_id", "account_id", "role", "granted_at"), rows)
    for account_id, _, _ in given:
        await notify.changed(conn, "access", account_id)


async def restore_updated_at(conn: Connection, integration_id: str, moment: datetime | None) -> None:
    """Say when an integration was last changed."""
    await conn.execute("update integration set updated_at = %s where id = %s", [moment, integration_id])


async def restore_variable_times(conn: Connection, variable: Variable) -> None:
    """Say when a variable was last changed."""
    await conn.execute(
        "update integration_variable set updated_at = %s where integration_id = %s and name = %s",
        [variable.updated_at, variable.integration_id, variable.name],
    )


async def restore_activities(conn: Connection, restored: Iterable[Activity]) -> None:
    """Insert activities that have ended."""
    rows = [{**asdict(each), "commands": list(each.commands)} for each in restored]
    await _insert(conn, "activity", _ACTIVITY, rows)


async def restore_logs(conn: Connection, logs: Mapping[str, Sequence[LogLine]]) -> None:
    """Insert the logs of activities."""
    rows = [
        {"activity_id": activity_id, "seq": line.seq, "at": line.at, "message": line.message}
        for activity_id, lines in logs.items()
        for line in lines
    ]
    await _insert(conn, "activity_log", ("activity_id", "seq", "at", "message"), rows)


async def _insert(
    conn: Connection, table: LiteralString, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]
) -> None:
    records = [{name: _plain(value) for name, value in row.items()} for row in rows]
    if not records:
        return
    query = sql.SQL("insert into {table} ({columns}) select {columns} from {records}").format(
        table=sql.Identifier(table),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        records=sql.SQL("jsonb_populate_recordset(null::{}, %s)").format(sql.Identifier(table)),
    )
    await conn.execute(query, [Jsonb(records)])


def _plain(value: Any) -> Any:
    return iso(value) if isinstance(value, datetime) else value


async def weigh(conn: Connection, project_id: str) -> int:
    """About how many bytes the activities of a project have, with their logs."""
    cursor = await conn.execute(_WEIGH, {"project": project_id})
    row = await cursor.fetchone()
    return int(row["bytes"]) if row else 0


async def load_ended(conn: Connection, project_id: str) -> list[Activity]:
    """The activities of a project that have ended, oldest first."""
    cursor = await conn.execute(_ENDED, [project_id])
    return [activities.from_row(row) for row in await cursor.fetchall()]


async def load_logs(conn: Connection, project_id: str) -> dict[str, list[LogLine]]:
    """The logs of a project's activities that have ended, by activity."""
    cursor = await conn.execute(_LOGS, [project_id])
    logs: dict[str, list[LogLine]] = {}
    for row in await cursor.fetchall():
        logs.setdefault(row["activity_id"], []).append(LogLine(row["seq"], row["at"], row["message"]))
    return logs


_ENDED: Final[LiteralString] = """
    select * from activity where project_id = %s and state in ('complete', 'cancelled') order by created_at
"""
_LOGS: Final[LiteralString] = """
    select activity_log.* from activity_log join activity on activity.id = activity_id
    where project_id = %s and state in ('complete', 'cancelled') order by activity_id, seq
"""
_WEIGH: Final[LiteralString] = """
    select coalesce(sum(length(parameters::text) + length(payload::text) + length(description) + length(text) + 500), 0)
        + coalesce((select sum(length(message) + 60) from activity_log join activity on activity.id = activity_id
                    where project_id = %(project)s), 0) as bytes
    from activity where project_id = %(project)s
"""
