"""Accounts, their API tokens, and which projects they may see.

What decides access is cached by the API, so writers tell listeners: topic `access` (key: the account) and
topic `token` (key: the token), from the same transaction.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg import errors, sql

from tieline.core.documents import Account, APIToken, Role
from tieline.core.errors import Conflict, Invalid, NotFound
from tieline.core.ids import new_id
from tieline.core.secret import Secret
from tieline.store import notify
from tieline.store.database import Connection

_ACCOUNT: Final = tuple(each.name for each in fields(Account))
_TOKEN: Final = tuple(each.name for each in fields(APIToken))
MOST_TOKENS: Final = 100


@dataclass(frozen=True)
class Grant:
    """One account's access to one project."""

    account_id: str
    project_id: str
    project_title: str
    organization: str
    role: Role
    granted_at: datetime


def token_digest(token: Secret) -> bytes:
    """What is kept of a token: its SHA-256, since 256 random bits leave nothing to guess."""
    return hashlib.sha256(token.reveal().encode("utf-8", "surrogateescape")).digest()


def account_from_row(row: Mapping[str, Any]) -> Account:
    """A row of the table as a document."""
    return Account(**{name: row[name] for name in _ACCOUNT})


def _token(row: Mapping[str, Any]) -> APIToken:
    return APIToken(**{name: row[name] for name in _TOKEN})


async def create(conn: Connection, account: Account) -> None:
    """Insert an account. Raises `Invalid` when its username is taken."""
    values = {name: getattr(account, name) for name in _ACCOUNT}
    statement = sql.SQL("insert into account ({}) values ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, _ACCOUNT)), sql.SQL(", ").join(map(sql.Placeholder, _ACCOUNT))
    )
    try:
        await conn.execute(statement, values)
    except errors.UniqueViolation as error:
        raise _username_taken(account.username) from error


def _username_taken(username: str) -> Invalid:
    return Invalid({"username": f"There is a user named {username!r} already."})


async def load_all(conn: Connection) -> list[Account]:
    """Every account, oldest first."""
    cursor = await conn.execute("select * from account order by created_at, id")
    return [account_from_row(row) for row in await cursor.fetchall()]


async def get(conn: Connection, id: str) -> Account:
    """One account. Raises `NotFound`."""
    cursor = await conn.execute("select * from account where id = %s", [id])
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("User not found")
    return account_from_row(row)


async def find_named(conn: Connection, key: str, value: str) -> str | None:
    """The id of the account whose `username` or `email` has that value; the oldest, should there be several."""
    found = sql.SQL("select id from account where {} = %s order by created_at, id limit 1").format(sql.Identifier(key))
    cursor = await conn.execute(found, [value])
    row = await cursor.fetchone()
    return None if row is None else str(row["id"])


async def create_token(conn: Connection, token: APIToken, value: Secret) -> None:
    """Keep a token's digest. Raises `Conflict` when the account has `MOST_TOKENS`, `Invalid` for a value in use."""
    await _check_room(conn, token.account_id)
    try:
        await conn.execute(
            """
            insert into api_token (id, account_id, name, digest, created_at, expires_at)
            values (%s, %s, %s, %s, %s, %s)
            """,
            [token.id, token.account_id, token.name, token_digest(value), token.created_at, token.expires_at],
        )
    except errors.UniqueViolation as error:
        raise Invalid({"token": "This token is in use already; make another one."}) from error


async def _check_room(conn: Connection, account_id: str) -> None:
    # Whoever makes another token at the same time waits here, to be counted.
    await conn.execute("select 1 from account where id = %s for no key update", [account_id])
    cursor = await conn.execute("select count(*) as tokens from api_token where account_id = %s", [account_id])
    row = await cursor.fetchone()
    if row is not None and row["tokens"] >= MOST_TOKENS:
        raise Conflict(f"A user has at most {MOST_TOKENS} API tokens; revoke one first.")


async def load_tokens(conn: Connection, account_id: str) -> list[APIToken]:
    """The tokens of an account, oldest first."""
    cursor = await conn.execute("select * from api_token where account_id = %s order by created_at, id", [account_id])
    return [_token(row) for row in await cursor.fetchall()]


async def get_token(conn: Connection, account_id: str, id: str) -> APIToken:
    """One token of an account. Raises `NotFound`."""
    cursor = await conn.execute("select * from api_token where account_id = %s and id = %s", [account_id, id])
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("API token not found")
    return _token(row)


async def remove_token(conn: Connection, account_id: str, id: str) -> None:
    """Revoke a token and every access token that came from it. Raises `NotFound`."""
    cursor = await conn.execute("delete from api_token where account_id = %s and id = %s", [account_id, id])
    if cursor.rowcount == 0:
        raise NotFound("API token not found")
    await notify.changed(conn, "token", id)


_BEARER: Final[LiteralString] = """
    select account.*, api_token.id as token_id, api_token.expires_at as token_expires_at
    from api_token join account on account.id = api_token.account_id
    where (api_token.expires_at is null or api_token.expires_at > now())
"""


@dataclass(frozen=True)
class Bearer:
    """Whom a token speaks for. `expires_at` is the API token's own end."""

    account: Account
    token_id: str
    expires_at: datetime | None


def _bearer(row: Mapping[str, Any] | None) -> Bearer | None:
    return None if row is None else Bearer(account_from_row(row), row["token_id"], row["token_expires_at"])


async def find_bearer(conn: Connection, token: Secret) -> Bearer | None:
    """Whom an API token speaks for; None when it is unknown or has expired."""
    cursor = await conn.execute(_BEARER + " and api_token.digest = %s", [token_digest(token)])
    return _bearer(await cursor.fetchone())


async def find_bearer_of(conn: Connection, token_id: str, account_id: str) -> Bearer | None:
    """Whom somebody speaks for who once showed an API token, as long as that is there."""
    cursor = await conn.execute(_BEARER + " and api_token.id = %s and account.id = %s", [token_id, account_id])
    return _bearer(await cursor.fetchone())


async def touch_token(conn: Connection, id: str) -> None:
    """Remember that a token was used just now, to the minute."""
    await conn.execute(
        """
        update api_token set last_used_at = clock_timestamp()
        where id = %s and (last_used_at is null or last_used_at < clock_timestamp() - interval '1 minute')
        """,
        [id],
    )


async def ensure_operator(conn: Connection, token: Secret) -> Account:
    """The account of the first administrator, with `token` as one of its API tokens, and its organization. Idempotent.

    A token named `initial` that has another value is replaced: the operator has set a new one.
    """
    await conn.execute(
        """
        insert into account (id, username, email, first_name, is_operator)
        values (%s, 'admin', 'admin@localhost', 'Administrator', true) on conflict (username) do nothing
        """,
        [new_id()],
    )
    cursor = await conn.execute("select * from account where username = 'admin' for update")
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("User not found")
    await _replace_initial_token(conn, row["id"], token_digest(token))
    await conn.execute("select tieline_default_organization()")
    return account_from_row(row)


async def _replace_initial_token(conn: Connection, account_id: str, digest: bytes) -> None:
    cursor = await conn.execute(
        "delete from api_token where account_id = %s and name = 'initial' and digest <> %s returning id",
        [account_id, digest],
    )
    for row in await cursor.fetchall():
        await notify.changed(conn, "token", row["id"])
    await conn.execute(
        """
        insert into api_token (id, account_id, name, digest) values (%s, %s, 'initial', %s)
        on conflict (digest) do nothing
        """,
        [new_id(), account_id, digest],
    )


async def find_role(conn: Connection, account_id: str, project_id: str) -> Role | None:
    """What the account may do in the project: operators are admins everywhere. None: it may not know of it."""
    cursor = await conn.execute(
        """
        select case when account.is_operator then 'admin' else project_access.role end as role
        from project join account on account.id = %s
        left join project_access
            on project_access.project_id = project.id and project_access.account_id = account.id
        where project.id = %s
        """,
        [account_id, project_id],
    )
    row = await cursor.fetchone()
    return None if row is None else row["role"]


_GRANTS: Final[LiteralString] = """
    select account_id, project_id, project.title as project_title, project.organization, role, granted_at
    from project_access join project on project.id = project_id
    where project_id = %s
"""


async def load_grants(conn: Connection, project_id: str) -> list[Grant]:
    """Who has access to a project, oldest grant first."""
    cursor = await conn.execute(_GRANTS + " order by granted_at, account_id", [project_id])
    return [Grant(**row) for row in await cursor.fetchall()]


async def get_grant(conn: Connection, project_id: str, account_id: str) -> Grant:
    """One account's access to a project. Raises `NotFound`."""
    cursor = await conn.execute(_GRANTS + " and account_id = %s", [project_id, account_id])
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("User access not found")
    return Grant(**row)


async def grant(conn: Connection, project_id: str, account_id: str, role: Role) -> bool:
    """Give access. False, and nothing changed, when the account has some already."""
    try:
        cursor = await conn.execute(
            """
            insert into project_access (project_id, account_id, role) values (%s, %s, %s)
            on conflict (project_id, account_id) do nothing
            """,
            [project_id, account_id, role],
        )
    except errors.ForeignKeyViolation as error:
        raise Invalid({"user_id": f"There is no user {account_id!r}."}) from error
    await notify.changed(conn, "access", account_id)
    return cursor.rowcount == 1


async def change_grant(conn: Connection, project_id: str, account_id: str, role: Role) -> None:
    """Give another role. Raises `NotFound`."""
    cursor = await conn.execute(
        "update project_access set role = %s where project_id = %s and account_id = %s", [role, project_id, account_id]
    )
    if cursor.rowcount == 0:
        raise NotFound("User access not found")
    await notify.changed(conn, "access", account_id)


async def revoke(conn: Connection, project_id: str, account_id: str) -> None:
    """Take access away. Raises `NotFound`."""
    cursor = await conn.execute(
        "delete from project_access where project_id = %s and account_id = %s", [project_id, account_id]
    )
    if cursor.rowcount == 0:
        raise NotFound("User access not found")
    await notify.changed(conn, "access", account_id)


async def load_referenced(conn: Connection, viewer_id: str, ids: Collection[str]) -> list[Account]:
    """Those of the accounts that `viewer_id` may know of.

    They are itself, those that it shares a project or an organization with as an admin, and whoever owns an
    organization or a project that it sees. Operators know everybody.
    """
    cursor = await conn.execute(_REFERENCED, {"viewer": viewer_id, "ids": list(ids)})
    return [account_from_row(row) for row in await cursor.fetchall()]


_REFERENCED: Final[LiteralString] = """
    select account.* from account join account as viewer on viewer.id = %(viewer)s
    where account.id = any(%(ids)s) and (
        viewer.is_operator or account.id = viewer.id
        or exists (select 1 from project_access as mine join project_access as theirs using (project_id)
                   where mine.account_id = viewer.id and mine.role = 'admin' and theirs.account_id = account.id)
        or exists (select 1 from organization_member as mine join organization_member as theirs using (organization)
                   where mine.account_id = viewer.id and mine.role = 'admin' and theirs.account_id = account.id)
        or exists (select 1 from project_access as mine join project on project.id = mine.project_id
                   join organization on organization.id = project.organization
                   where mine.account_id = viewer.id and account.id in (project.owner, organization.owner))
        or exists (select 1 from organization_member as mine
                   join organization on organization.id = mine.organization
                   where mine.account_id = viewer.id and organization.owner = account.id))
"""


async def load_roles(conn: Connection, account_id: str) -> dict[str, Role]:
    """The account's roles by project, as they were granted."""
    cursor = await conn.execute("select project_id, role from project_access where account_id = %s", [account_id])
    return {row["project_id"]: row["role"] for row in await cursor.fetchall()}
