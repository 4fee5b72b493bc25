"""One embedded PostgreSQL for a whole run, and a fresh database of it for each test that asks.

The programs that clients talk to run once as well: fixtures of a folder would be others in each folder.
"""

import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.cli.running import bitbucket, folder, server
from tests.folders import copy_data, open_folder
from tieline.core.ids import new_id
from tieline.server_log import configure_server_log
from tieline.store.database import Database
from tieline.store.embedded import EmbeddedServer
from tieline.store.migrate import migrate

__all__ = ["bitbucket", "folder", "server"]

TEMPLATE = "tieline_template"
END_OTHERS = """
    select pg_terminate_backend(pid, 5000) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
"""
# Few rows are deleted ten times as fast as thirty tables are truncated; neither triggers nor references interfere.
EMPTY = """
    do $$ declare
        each record;
        kept bigint;
    begin
        set local session_replication_role = replica;
        for each in select oid::regclass as name from pg_class
                    where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> 'alembic_version' loop
            execute format('select count(*) from (select 1 from %s limit 1000) as found', each.name) into kept;
            if kept = 1000 then
                execute format('truncate %s cascade', each.name);
            elsif kept > 0 then
                execute format('delete from %s', each.name);
            end if;
        end loop;
        perform setval(oid::regclass, 1, false) from pg_class
            where relnamespace = 'public'::regnamespace and relkind = 'S';
    end $$
"""
COLUMNS = """
    select attrelid::regclass::text, attname, atttypid from pg_attribute join pg_class on pg_class.oid = attrelid
    where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1, 2
"""
TRIGGERS = "select tgrelid::regclass::text, tgname from pg_trigger where not tgisinternal order by 1, 2"


def pytest_collection_finish() -> None:
    """Have the garbage collector leave alone what was loaded: looking at all of it takes a tenth of the tests' time."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def server_log() -> None:
    """Log as a server does: what structlog makes of an exception for a terminal takes it seconds."""
    configure_server_log("info")


@pytest.fixture(scope="session")
def data() -> Iterator[Path]:
    """A data folder with a database that nothing has touched; copying it takes a tenth of what making one takes."""
    with open_folder() as made:
        server = EmbeddedServer(made)
        server.start()
        migrate(server.dsn)
        server.stop()
        yield made


@pytest.fixture(scope="session")
def postgres(data: Path) -> Iterator[EmbeddedServer]:
    """A server of this test process."""
    with open_folder() as folder:
        copy_data(data, folder)
        server = EmbeddedServer(folder / "data")
        server.start()
        with psycopg.connect(server.dsn, autocommit=True) as admin:
            # What a power cut would lose, tests do not need.
            admin.execute("alter system set fsync = off")
            admin.execute("select pg_reload_conf()")
            admin.execute(sql.SQL("create database {} template postgres").format(sql.Identifier(TEMPLATE)))
        yield server
        server.stop()


@contextmanager
def fresh_database(postgres: EmbeddedServer) -> Iterator[str]:
    """A database at today's version that nothing has touched."""
    name = f"test_{new_id()}"
    create = sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE))
    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        admin.execute(create)
    yield postgres.dsn.replace("dbname=postgres", f"dbname={name}")
    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


class Databases:
    """One database that the tests of a process use one after the other, emptied in between.

    Making one takes ten times as long. After a test that changed more than rows, the next one gets a new one.
    """

    def __init__(self, postgres: EmbeddedServer) -> None:
        self._postgres = postgres
        self._made = ExitStack()
        self._dsn: str | None = None
        self._schema: object = None

    def take(self) -> str:
        if self._dsn is None:
            self._dsn = self._made.enter_context(fresh_database(self._postgres))
            with psycopg.connect(self._dsn) as connection:
                self._schema = read_schema(connection)
        return self._dsn

    def give_back(self) -> None:
        if not self._is_as_new():
            self.close()

    def close(self) -> None:
        self._dsn = None
        self._made.close()

    def _is_as_new(self) -> bool:
        try:
            with psycopg.connect(self._dsn or "", autocommit=True) as connection:
                connection.execute(END_OTHERS)
                connection.execute(EMPTY)
                return read_schema(connection) == self._schema
        except psycopg.Error:
            return False


def read_schema(connection: psycopg.Connection[Any]) -> object:
    """What tells one schema from another, and one version."""
    return [connection.execute(query).fetchall() for query in (COLUMNS, TRIGGERS, "select * from alembic_version")]


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedServer) -> Iterator[Databases]:
    made = Databases(postgres)
    yield made
    made.close()


@pytest.fixture
def dsn(databases: Databases) -> Iterator[str]:
    """An empty database that nobody else uses."""
    yield databases.take()
    databases.give_back()


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn) as opened:
        yield opened
