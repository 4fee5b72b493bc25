"""One embedded PostgreSQL for a whole run, and a fresh database of it for each test that asks."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tieline.core.ids import new_id
from tieline.store.database import Database
from tieline.store.embedded import EmbeddedServer
from tieline.store.migrate import migrate

TEMPLATE = "tieline_template"


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedServer]:
    """A server of this test process, in a folder that PostgreSQL's own account can reach."""
    folder = Path(tempfile.mkdtemp(prefix="tieline-tests-"))
    folder.chmod(0o755)
    server = EmbeddedServer(folder)
    server.start()
    with psycopg.connect(server.dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(TEMPLATE)))
    migrate(server.dsn.replace("dbname=postgres", f"dbname={TEMPLATE}"))
    yield server
    server.stop()
    shutil.rmtree(folder)


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


@pytest.fixture
def dsn(postgres: EmbeddedServer) -> Iterator[str]:
    """A fresh database of one test's own."""
    with fresh_database(postgres) as made:
        yield made


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn) as opened:
        yield opened
