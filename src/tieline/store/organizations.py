"""Organizations: they own projects, and have members.

Who has access to a project of one may see it, without belonging to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg import errors, sql

from tieline.core.documents import Account, Organization, Role
from tieline.core.errors import Conflict, Invalid, NotFound
from tieline.store.accounts import account_from_row
from tieline.store.database import Connection

_COLUMNS: Final = tuple(each.name for each in fields(Organization))


@dataclass(frozen=True)
class Seen:
    """An organization as an account sees it. Admins manage its members; who belongs to it may give it projects."""

    organization: Organization
    role: Role
    belongs: bool
    since: datetime


@dataclass(frozen=True)
class Member:
    """An account that belongs to an organization."""

    account: Account
    organization: str
    role: Role
    is_owner: bool
    created_at: datetime


def _organization(row: Mapping[str, Any]) -> Organization:
    return Organization(**{name: row[name] for name in _COLUMNS})


def _seen(row: Mapping[str, Any]) -> Seen:
    return Seen(_organization(row), row["role"], row["belongs"], row["since"])


_SEEN: Final[LiteralString] = """
    with seen as (
        select organization.*, account.is_operator or member.role is not null as belongs,
            coalesce(member.created_at, organization.created_at) as since,
            case when account.is_operator or member.role = 'admin' then 'admin'
                 when member.role is not null or exists (
                    select 1 from project join project_access on project_access.project_id = project.id
                    where project.organization = organization.id and project_access.account_id = account.id)
                 then 'viewer' end as role
        from organization join account on account.id = %(account_id)s
        left join organization_member as member
            on member.organization = organization.id and member.account_id = account.id
    )
    select * from seen where role is not null
"""


async def load_seen(conn: Connection, account_id: str) -> list[Seen]:
    """The organizations that an account may see, oldest first."""
    cursor = await conn.execute(_SEEN + " order by created_at, id", {"account_id": account_id})
    return [_seen(row) for row in await cursor.fetchall()]


async def find_seen(conn: Connection, account_id: str, named: str) -> Seen | None:
    """The organization of that id or name; None when there is none that the account may see."""
    cursor = await conn.execute(_SEEN + " and %(named)s in (id, name)", {"account_id": account_id, "named": named})
    row = await cursor.fetchone()
    return None if row is None else _seen(row)


async def find_to_own(conn: Connection, account_id: str, named: str) -> Organization | None:
    """The organization of that id or name, if the account may give it a project: it belongs to it."""
    seen = await find_seen(conn, account_id, named)
    if seen is not None and seen.belongs:
        return seen.organization
    cursor = await conn.execute(
        "select * from organization where is_default and %(named)s in (id, name)", {"named": named}
    )
    row = await cursor.fetchone()
    return None if row is None else _organization(row)


async def create(conn: Connection, organization: Organization) -> None:
    """Insert an organization, whose owner becomes a member. Raises `Invalid`."""
    values = {name: getattr(organization, name) for name in _COLUMNS}
    statement = sql.SQL("insert into organization ({}) values ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, _COLUMNS)), sql.SQL(", ").join(map(sql.Placeholder, _COLUMNS))
    )
    try:
        await conn.execute(statement, values)
    except errors.UniqueViolation as error:
        raise _name_taken(organization.name) from error
    except errors.ForeignKeyViolation as error:
        raise Invalid({"owner_id": f"There is no user {organization.owner!r}."}) from error
    await add_member(conn, organization.id, organization.owner, "admin")


def _name_taken(name: str) -> Invalid:
    return Invalid({"name": f"There is an organization named {name!r} already."})


async def save(conn: Connection, id: str, name: str, label: str) -> Organization:
    """Change an organization. Raises `NotFound`, and `Invalid` when the name is taken."""
    try:
        cursor = await conn.execute(
            "update organization set name = %s, label = %s, updated_at = clock_timestamp() where id = %s returning *",
            [name, label, id],
        )
    except errors.UniqueViolation as error:
        raise _name_taken(name) from error
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("Organization not found")
    return _organization(row)


_MEMBERS: Final[LiteralString] = """
    select account.*, organization, role, organization_member.created_at as member_since,
        organization.owner = account.id as is_owner
    from organization_member join organization on organization.id = organization_member.organization
    join account on account.id = organization_member.account_id
    where organization.id = %s
"""


def _member(row: Mapping[str, Any]) -> Member:
    return Member(account_from_row(row), row["organization"], row["role"], row["is_owner"], row["member_since"])


async def load_members(conn: Connection, id: str) -> list[Member]:
    """Who belongs to an organization, the first member first."""
    cursor = await conn.execute(_MEMBERS + " order by member_since, account.id", [id])
    return [_member(row) for row in await cursor.fetchall()]


async def get_member(conn: Connection, id: str, account_id: str) -> Member:
    """One member. Raises `NotFound`."""
    cursor = await conn.execute(_MEMBERS + " and account.id = %s", [id, account_id])
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("Member not found")
    return _member(row)


async def add_member(conn: Connection, id: str, account_id: str, role: Role) -> None:
    """Have an account belong to an organization. Raises `Invalid`, and `Conflict` when it does already."""
    try:
        cursor = await conn.execute(
            """
            insert into organization_member (organization, account_id, role) values (%s, %s, %s)
            on conflict (organization, account_id) do nothing
            """,
            [id, account_id, role],
        )
    except errors.ForeignKeyViolation as error:
        raise Invalid({"user_id": f"There is no user {account_id!r}."}) from error
    if cursor.rowcount == 0:
        raise Conflict(f"The user {account_id} belongs to the organization already.")


async def remove_member(conn: Connection, id: str, account_id: str) -> None:
    """Have an account belong to it no more. Raises `NotFound`, and `Conflict` for the owner."""
    member = await get_member(conn, id, account_id)
    if member.is_owner:
        raise Conflict("The owner of an organization stays a member of it.")
    await conn.execute("delete from organization_member where organization = %s and account_id = %s", [id, account_id])
