"""Transactions end whole, and a database that is gone is said to be."""

import asyncio
import random

import pytest

from tieline.core.errors import Unavailable
from tieline.store.database import TROUBLE, Database


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as conn:
            await conn.execute("insert into account (id, username, email) values ('a', 'ann', 'ann@example.com')")
            raise ZeroDivisionError
    async with database.connection() as conn:
        cursor = await conn.execute("select count(*) as accounts from account")
        assert await cursor.fetchone() == {"accounts": 0}


async def test_who_finds_every_connection_taken_is_told(dsn: str) -> None:
    async with Database(dsn, max_size=1, patience=0.1) as database, database.connection():
        with pytest.raises(Unavailable):
            async with database.connection():
                pass


async def test_a_cancelled_wait_gives_its_connection_back(dsn: str) -> None:
    async with Database(dsn, max_size=1) as database:

        async def use() -> None:
            async with database.connection() as conn:
                await conn.execute("select 1")

        for pause in range(40):
            async with database.connection():
                waiting = asyncio.create_task(use())
                await asyncio.sleep(0)
            for _ in range(pause % 8):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        async with database.connection() as conn:
            cursor = await conn.execute("select 1 as one")
            assert await cursor.fetchone() == {"one": 1}


async def test_no_connection_is_lost_however_its_users_are_cancelled(dsn: str) -> None:
    dice = random.Random(7)

    async def use(database: Database) -> None:
        for _ in range(3):
            async with database.transaction() as conn:
                await conn.execute("select 1")
            async with database.connection() as conn:
                await conn.execute("select pg_sleep(0.001)")

    async with Database(dsn, max_size=2) as database:
        for _ in range(40):
            users = [asyncio.create_task(use(database)) for _ in range(40)]
            for user in users:
                asyncio.get_running_loop().call_later(dice.uniform(0, 0.01), user.cancel)
            await asyncio.gather(*users, return_exceptions=True)
        async with asyncio.timeout(4), database.connection(), database.connection():
            pass


async def test_after_a_restart_of_the_database_one_caller_at_most_meets_a_dead_connection(
    dsn: str, database: Database
) -> None:
    failures = 0
    async with Database(dsn, max_size=4) as pool:
        async with pool.connection(), pool.connection(), pool.connection(), pool.connection():
            pass
        async with database.connection() as conn:
            await conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        for _ in range(8):
            try:
                async with pool.connection() as conn:
                    await conn.execute("select 1")
            except TROUBLE:
                failures += 1
    assert failures == 1
