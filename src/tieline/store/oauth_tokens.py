"""What OAuth keeps: refresh tokens by their digests, and access tokens that were revoked before their end.

The API remembers whom a token speaks for, so revoking tells listeners of the topic `token`, from the same transaction.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tieline.core.secret import Secret
from tieline.store import notify
from tieline.store.accounts import token_digest
from tieline.store.database import Connection

MOST_REFRESH_TOKENS: Final = 100


@dataclass(frozen=True)
class RefreshToken:
    """A refresh token without its value. It ends with the API token that it came from."""

    id: str
    api_token_id: str
    account_id: str
    expires_at: datetime


async def create_refresh(conn: Connection, token: RefreshToken, value: Secret) -> None:
    """Keep a token's digest. The oldest of the same API token make room beyond `MOST_REFRESH_TOKENS`."""
    await conn.execute(
        "insert into refresh_token (id, api_token_id, digest, expires_at) values (%s, %s, %s, %s)",
        [token.id, token.api_token_id, token_digest(value), token.expires_at],
    )
    cursor = await conn.execute(
        """
        delete from refresh_token where id in (
            select id from refresh_token where api_token_id = %s order by created_at desc, id offset %s)
        returning id
        """,
        [token.api_token_id, MOST_REFRESH_TOKENS],
    )
    for row in await cursor.fetchall():
        await notify.changed(conn, "token", row["id"])


async def find_refresh(conn: Connection, value: Secret) -> RefreshToken | None:
    """The token of that value; None when it is unknown, was revoked or has expired."""
    cursor = await conn.execute(
        """
        select refresh_token.id, api_token_id, account_id, refresh_token.expires_at
        from refresh_token join api_token on api_token.id = api_token_id
        where refresh_token.digest = %s and refresh_token.expires_at > now()
        """,
        [token_digest(value)],
    )
    row = await cursor.fetchone()
    return None if row is None else RefreshToken(**row)


async def revoke_refresh(conn: Connection, value: Secret) -> str | None:
    """End a refresh token, and the access tokens that came from it. Returns its id; None when it is unknown."""
    cursor = await conn.execute("delete from refresh_token where digest = %s returning id", [token_digest(value)])
    row = await cursor.fetchone()
    if row is None:
        return None
    await notify.changed(conn, "token", row["id"])
    return str(row["id"])


async def revoke_access(conn: Connection, id: str, expires_at: datetime) -> None:
    """End an access token, which would have expired at `expires_at`."""
    await conn.execute(
        "insert into revoked_token (id, expires_at) values (%s, %s) on conflict (id) do nothing", [id, expires_at]
    )
    await notify.changed(conn, "token", id)


async def is_revoked(conn: Connection, id: str, refresh_id: str | None) -> bool:
    """Whether an access token was revoked, or the refresh token that it came from, if it did."""
    cursor = await conn.execute(
        """
        select exists (select 1 from revoked_token where id = %(id)s)
            or (%(refresh_id)s::text is not null and not exists (select 1 from refresh_token where id = %(refresh_id)s))
            as is_revoked
        """,
        {"id": id, "refresh_id": refresh_id},
    )
    row = await cursor.fetchone()
    return row is None or bool(row["is_revoked"])


async def trim(conn: Connection) -> None:
    """Forget what has expired. Access tokens that came from a refresh token just before its end outlive it a while."""
    await conn.execute("delete from revoked_token where expires_at < now()")
    await conn.execute("delete from refresh_token where expires_at < now() - interval '1 hour'")
