"""From an empty database to this version, by several processes at once, and only from a version that is known."""

import threading
from collections.abc import Iterator
from importlib.resources import files

import psycopg
import pytest
from psycopg import sql

from tieline.core.errors import Unavailable
from tieline.core.ids import new_id
from tieline.store import attempts, claims, deliveries
from tieline.store.attempts import Result
from tieline.store.claims import Claim
from tieline.store.database import Database
from tieline.store.embedded import EmbeddedServer
from tieline.store.migrate import is_current, migrate


@pytest.fixture
def empty(postgres: EmbeddedServer) -> Iterator[str]:
    name = f"empty_{new_id()}"
    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        yield postgres.dsn.replace("dbname=postgres", f"dbname={name}")
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


async def current(dsn: str) -> bool:
    async with Database(dsn) as database, database.connection() as conn:
        return await is_current(conn)


async def test_an_empty_database_comes_to_this_version_and_stays(empty: str) -> None:
    assert not await current(empty)
    migrate(empty)
    assert await current(empty)
    migrate(empty)
    assert await current(empty)


async def test_processes_that_migrate_at_once_do_not_meet(empty: str) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            migrate(empty)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert await current(empty)


AT_0002 = """
    create table alembic_version (version_num varchar(32) primary key);
    insert into alembic_version values ('0002');
    insert into account (id, username, email, is_operator, created_at) values
        ('early', 'early', 'early@example.org', false, '2020-01-01'), ('op', 'op', 'op@example.org', true, now());
    insert into project (id, title, owner) values ('first', 'First', 'early'), ('second', 'Second', 'op');
"""


def test_projects_from_before_there_were_organizations_get_one_that_the_operator_owns(empty: str) -> None:
    with psycopg.connect(empty, autocommit=True) as connection:
        for name in ("0001_procrastinate.sql", "0002_tieline.sql"):
            connection.execute(files("tieline.store.sql").joinpath(name).read_bytes())
        connection.execute(AT_0002)
        migrate(empty)
        owned = (
            "select distinct name, organization.owner from project join organization on organization.id = organization"
        )
        assert connection.execute(owned).fetchall() == [("tieline", "op")]
        assert connection.execute("select account_id, role from organization_member").fetchall() == [("op", "admin")]


AT_0005 = """
    create table alembic_version (version_num varchar(32) primary key);
    insert into alembic_version values ('0005');
    insert into account (id, username, email, is_operator, created_at) values
        ('op', 'op', 'op@example.org', true, now());
    insert into organization (id, name, label, owner) values ('org', 'org', 'Org', 'op');
    insert into project (id, title, owner, organization) values ('site', 'Site', 'op', 'org');
    insert into integration (id, project_id, type, config) values ('host', 'site', 'bitbucket', '{}');
    insert into delivery (project_id, integration_id, kind, order_key, payload, state, attempts) values
        ('site', 'host', 'commit_status', 'one', '{"state": "SUCCESSFUL"}', 'delivered', 1),
        ('site', 'host', 'commit_status', 'two', '{"state": "INPROGRESS"}', 'pending', 1),
        ('site', 'host', 'commit_status', 'two', '{"state": "SUCCESSFUL"}', 'pending', 0),
        ('site', 'host', 'commit_status', 'three', '{"state": "INPROGRESS"}', 'pending', 0),
        ('site', 'host', 'commit_status', 'four', '{"state": "FAILED"}', 'failed', 8);
"""
BEFORE_0006 = (
    "0001_procrastinate.sql",
    "0002_tieline.sql",
    "0003_organizations.sql",
    "0004_variables.sql",
    "0005_activity_lists.sql",
)


async def test_what_the_version_before_had_to_deliver_goes_out(empty: str) -> None:
    with psycopg.connect(empty, autocommit=True) as connection:
        for name in BEFORE_0006:
            connection.execute(files("tieline.store.sql").joinpath(name).read_bytes())
        connection.execute(AT_0005)
        migrate(empty)
    async with Database(empty) as database, database.connection() as conn:
        assert await deliveries.integrations_due(conn) == ["host"]
        taken = await claims.claim(conn, "sender", [Claim("host", lanes=16, run=1, lanes_failing=4, lanes_closed=1)])
        assert [(each.order_key, each.attempts) for each in taken] == [("two", 2), ("three", 1)]
        await attempts.record(conn, [Result(each, "delivered") for each in taken], "sender")
        await deliveries.advance(conn, taken)
        (last,) = await claims.claim(conn, "sender", [Claim("host", 16, 1, 4, 1)])
        assert last.payload == {"state": "SUCCESSFUL"}


async def test_a_database_of_a_newer_version_is_left_alone(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    with pytest.raises(Unavailable, match="newer Tieline"):
        migrate(dsn)
    assert not await current(dsn)


def test_a_database_that_is_not_there_is_a_sentence(postgres: EmbeddedServer) -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        migrate(postgres.dsn.replace("dbname=postgres", "dbname=nowhere"))


def test_a_database_that_cannot_hold_every_character_is_refused(postgres: EmbeddedServer) -> None:
    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        admin.execute("create database ascii encoding 'SQL_ASCII' locale_provider 'libc' locale 'C' template template0")
        try:
            with pytest.raises(Unavailable, match="encoding is SQL_ASCII"):
                migrate(postgres.dsn.replace("dbname=postgres", "dbname=ascii"))
        finally:
            admin.execute("drop database ascii")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ann:s3cret@host:port/database?sslmode",
        "postgresql://ann:more@s3cret@127.0.0.1:1/database",
        "postgresql://ann:s3cret/more@127.0.0.1:1/database",
        "host=127.0.0.1 user=ann password='s3cret more",
        "s3cret",
    ],
)
def test_a_malformed_address_does_not_show_its_password(address: str) -> None:
    with pytest.raises(Unavailable, match="is not like postgresql://") as caught:
        migrate(address)
    assert "s3cret" not in str(caught.value)


def test_the_engine_s_tables_are_those_of_the_installed_library() -> None:
    """When this fails, the library brought a new schema: ship its migration as the next revision."""
    ours = files("tieline.store.sql").joinpath("0001_procrastinate.sql").read_text()
    theirs = files("procrastinate.sql").joinpath("schema.sql").read_text()
    assert ours == theirs
