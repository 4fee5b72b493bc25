"""The pool of connections and what a transaction is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString, Self

import orjson
import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tieline.core.errors import DatabaseAway

Connection = psycopg.AsyncConnection[dict[str, Any]]

# What says that the database is away, before a statement or in the middle of it: the same may work a moment later.
TROUBLE: Final = (psycopg.OperationalError, psycopg.InterfaceError, DatabaseAway)
# What says that there is no room left on its disk, which is trouble, too.
DISK_FULL: Final = psycopg.errors.DiskFull
# How long whoever wants a connection waits for one.
PATIENCE_SECONDS: Final = 5.0
# A pool that cannot connect waits longer and longer between attempts, up to this long in all; then whoever asks next
# makes it try at once. So it is back soon after the database is, however long that was away.
RECONNECT_SECONDS: Final = 2.0

# For the same few large statements again and again: each is planned once, along indexes since the tables may be empty
# at that time.
_PLAN_ONCE: Final[LiteralString] = """
    select set_config('plan_cache_mode', 'force_generic_plan', false), set_config('enable_seqscan', 'off', false),
           set_config('enable_bitmapscan', 'off', false), set_config('jit', 'off', false)
"""

set_json_dumps(orjson.dumps)
set_json_loads(orjson.loads)


class Database:
    """A pool on one PostgreSQL. Open it once per process, and once for who asks the same all the time (`plans_once`).

    `transaction()` commits at the end and rolls back on any exception; `connection()` is for single reads.
    Both raise `DatabaseAway` when no connection can be had within `patience` seconds.
    """

    def __init__(
        self, dsn: str, *, max_size: int = 12, patience: float = PATIENCE_SECONDS, plans_once: bool = False
    ) -> None:
        self.dsn = dsn
        self._pool = AsyncConnectionPool(
            dsn,
            connection_class=Connection,
            kwargs={
                "row_factory": dict_row,
                "autocommit": True,
                "application_name": "tieline",
                "prepare_threshold": 0 if plans_once else 5,
            },
            configure=_plan_once if plans_once else None,
            min_size=1,
            max_size=max_size,
            timeout=patience,
            reconnect_timeout=RECONNECT_SECONDS,
            open=False,
        )
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        try:
            await self._pool.open(wait=True, timeout=30)
        except PoolTimeout as error:
            raise DatabaseAway("The database does not answer.") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in autocommit mode."""
        connection = await self._take()
        try:
            yield connection
        finally:
            await self._return(connection)

    async def _take(self) -> Connection:
        # On Python 3.11 `asyncio.wait_for`, with which the pool waits, loses a cancellation that comes with its result.
        task = asyncio.current_task()
        asked = task.cancelling() if task is not None else 0
        try:
            connection = await self._pool.getconn()
        except PoolTimeout as error:
            raise DatabaseAway("The database does not answer.") from error
        if task is not None and task.cancelling() > asked:
            await self._return(connection)
            raise asyncio.CancelledError
        return connection

    async def _return(self, connection: Connection) -> None:
        # The pool loses a connection whose user is cancelled while it returns it.
        task = asyncio.create_task(self._put(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)

    async def _put(self, connection: Connection) -> None:
        is_broken = connection.broken
        await self._pool.putconn(connection)
        if is_broken:
            # What broke this one broke the idle ones too: better found out here than by one caller after the other.
            await self._pool.check()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction, from the first statement to the end of the block."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """Reads that all see the database as it was at one moment."""
        async with self.transaction() as connection:
            await connection.execute("set transaction isolation level repeatable read, read only")
            yield connection

    def statistics(self) -> dict[str, int]:
        """Pool figures for the metrics: size, idle, waiting."""
        stats = self._pool.get_stats()
        return {
            "size": stats.get("pool_size", 0),
            "idle": stats.get("pool_available", 0),
            "waiting": stats.get("requests_waiting", 0),
        }


async def _plan_once(connection: Connection) -> None:
    await connection.execute(_PLAN_ONCE)
