"""One request budget per credential, shared by every process on the database."""

from datetime import timedelta
from typing import Final

from tieline.core.clock import now
from tieline.core.errors import RateLimited
from tieline.store.database import Connection, Database


class PostgresLimiter:
    """Counts requests in minutes over a rolling hour. Implements `core.ports.Limiter`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, credential: str, per_hour: int) -> None:
        """Spend one request; raises `RateLimited` when the hour's budget is gone or a block is in force."""
        async with self._database.connection() as conn:
            cursor = await conn.execute(_TAKE, {"credential": credential, "per_hour": per_hour})
            row = await cursor.fetchone()
        if row is not None and row["until"] is not None:
            raise RateLimited("The host's request limit is used up.", row["until"])

    async def block(self, credential: str, seconds: float) -> None:
        """Nobody uses this credential for so long; a longer block that is in force stays."""
        until = now() + timedelta(seconds=seconds)
        async with self._database.connection() as conn:
            await conn.execute(_BLOCK, [credential, until])


async def trim(conn: Connection) -> None:
    """Forget minutes that no longer count and blocks that are over."""
    await conn.execute("delete from rate_use where minute < now() - interval '61 minutes'")
    await conn.execute("delete from rate_block where until < now() - interval '1 hour'")


_TAKE: Final = """
    with blocked as (
        select until from rate_block where credential = %(credential)s and until > clock_timestamp()
    ),
    spent as (
        select coalesce(sum(used), 0) as used, min(minute) as oldest from rate_use
        where credential = %(credential)s and minute > now() - interval '60 minutes'
    ),
    taken as (
        insert into rate_use (credential, minute, used)
        select %(credential)s, date_trunc('minute', now()), 1 from spent
        where used < %(per_hour)s and not exists (select 1 from blocked)
        on conflict (credential, minute) do update set used = rate_use.used + 1
        returning 1
    )
    select case when exists (select 1 from taken) then null
                else coalesce((select until from blocked), (select oldest + interval '61 minutes' from spent))
           end as until
"""

_BLOCK: Final = """
    insert into rate_block (credential, until) values (%s, %s)
    on conflict (credential) do update set until = greatest(rate_block.until, excluded.until)
"""
