"""The whole state, remembered and brought back: for tests of clients, on a server that is there for nothing else.

Jobs stay as they are, for they are only wake-ups. So do sequences: what counts goes on counting.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Final, LiteralString

from psycopg import errors, sql

from tieline.core.errors import Unavailable
from tieline.store import notify, senders
from tieline.store.database import Connection, Database

PATIENCE_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.01
_SCHEMA: Final = "tieline_snapshot"


@dataclass(frozen=True)
class _Table:
    name: str
    columns: tuple[str, ...]

    @property
    def live(self) -> sql.Identifier:
        return sql.Identifier("public", self.name)

    @property
    def kept(self) -> sql.Identifier:
        return sql.Identifier(_SCHEMA, self.name)

    @property
    def names(self) -> sql.Composed:
        return sql.SQL(", ").join(map(sql.Identifier, self.columns))


class Snapshots:
    """One snapshot, kept in the database for as long as this process lives."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._tables: Sequence[_Table] = ()

    @property
    def is_taken(self) -> bool:
        """Whether there is something to go back to."""
        return bool(self._tables)

    async def take(self) -> None:
        """Remember everything as it is now, instead of what was remembered before. Raises `Unavailable`."""

        async def copy(conn: Connection, tables: Sequence[_Table]) -> None:
            await conn.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(_SCHEMA)))
            await conn.execute(sql.SQL("create schema {}").format(sql.Identifier(_SCHEMA)))
            for each in tables:
                statement = sql.SQL("create unlogged table {} as select {} from {}")
                await conn.execute(statement.format(each.kept, each.names, each.live))
            self._tables = tables

        await _alone(self._db, copy)

    async def restore(self) -> None:
        """Make everything as it was when the snapshot was taken, of which there must be one. Raises `Unavailable`.

        An activity that was open then is open again, after every attempt that it had since: whoever still works on it
        changes nothing. So is a delivery that was on its way, which is sent again.
        """
        await _alone(self._db, self._bring_back)

    async def _bring_back(self, conn: Connection, _tables: Sequence[_Table]) -> None:
        await conn.execute(_RAISE_ATTEMPTS)
        await _empty(conn, self._tables)
        for each in self._tables:
            statement = sql.SQL("insert into {live} ({names}) overriding system value select {names} from {kept}")
            await conn.execute(statement.format(live=each.live, names=each.names, kept=each.kept))
        await senders.bury_all(conn)
        await notify.everything(conn)


async def start_over(db: Database, fill: Callable[[Connection], Awaitable[None]]) -> None:
    """Leave nothing but the first administrator and the server's own organization, and `fill` that.

    Raises `Unavailable`.
    """

    async def replace(conn: Connection, tables: Sequence[_Table]) -> None:
        await _empty(conn, [each for each in tables if each.name not in _PARTLY_KEPT])
        for statement in _FORGET_OTHERS:
            await conn.execute(statement)
        await fill(conn)
        await notify.everything(conn)

    await _alone(db, replace)


async def _alone(db: Database, work: Callable[[Connection, Sequence[_Table]], Awaitable[None]]) -> None:
    """Do `work`, which is given all tables, in a transaction beside which nobody writes. Raises `Unavailable`.

    Locks are waited for only for a moment, and then all of them anew: others who hold one and want another are let
    through, rather than caught in a circle.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            async with db.transaction() as conn:
                tables = await _load_tables(conn)
                await _lock(conn, tables)
                await work(conn, tables)
                return
        except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
            if time.monotonic() > deadline:
                raise Unavailable("Something is being written all the time; please try again.") from error
        await asyncio.sleep(_PAUSE_SECONDS)


async def _lock(conn: Connection, tables: Sequence[_Table]) -> None:
    await conn.execute("set local lock_timeout = '50ms'")
    names = sql.SQL(", ").join(each.live for each in tables)
    await conn.execute(sql.SQL("lock table {} in exclusive mode").format(names))


async def _load_tables(conn: Connection) -> Sequence[_Table]:
    """The tables of the state, each after those that it refers to."""
    cursor = await conn.execute(_TABLES)
    found = {row["name"]: row for row in await cursor.fetchall()}
    order = TopologicalSorter({name: set(row["refers_to"]) - {name} for name, row in found.items()})
    return [_Table(name, tuple(found[name]["columns"])) for name in order.static_order()]


async def _empty(conn: Connection, tables: Iterable[_Table]) -> None:
    """Row by row: with as few rows as tests have, this takes a tenth of what `truncate` does."""
    for each in reversed(list(tables)):
        await conn.execute(sql.SQL("delete from {}").format(each.live))


_TABLES: Final[LiteralString] = """
    select relname as name,
        array(select attname::text from pg_attribute
              where attrelid = pg_class.oid and attnum > 0 and not attisdropped and attgenerated = ''
              order by attnum) as columns,
        array(select confrelid::regclass::text from pg_constraint
              where conrelid = pg_class.oid and contype = 'f') as refers_to
    from pg_class
    where relnamespace = 'public'::regnamespace and relkind = 'r'
      and relname not in ('alembic_version', 'sealing_key') and relname not like 'procrastinate%'
    order by relname
"""

_RAISE_ATTEMPTS: Final[LiteralString] = """
    update tieline_snapshot.activity as kept set attempt = live.attempt
    from public.activity as live
    where live.id = kept.id and kept.state in ('pending', 'in_progress') and live.attempt > kept.attempt
"""

_PARTLY_KEPT: Final = frozenset({"account", "api_token", "organization", "organization_member"})
_FORGET_OTHERS: Final[Sequence[LiteralString]] = (
    """
    delete from api_token
    where name <> 'initial' or account_id <> (select id from account where username = 'admin')
    """,
    "delete from organization where not is_default",
    "delete from organization_member where account_id <> (select id from account where username = 'admin')",
    "update organization set owner = (select id from account where username = 'admin')",
    "delete from account where username <> 'admin'",
)
