"""One budget per credential and hour, whoever spends it."""

import asyncio
from datetime import timedelta

import pytest

from tieline.core.clock import now
from tieline.core.errors import RateLimited
from tieline.store import rates
from tieline.store.database import Database
from tieline.store.rates import PostgresLimiter


async def test_the_budget_of_an_hour_is_shared_and_ends(database: Database) -> None:
    one, other = PostgresLimiter(database), PostgresLimiter(database)
    for limiter in (one, other, one):
        await limiter.take("credential", 3)
    with pytest.raises(RateLimited) as caught:
        await other.take("credential", 3)
    assert timedelta(minutes=58) < caught.value.until - now() <= timedelta(minutes=62)
    await one.take("another credential", 3)


async def test_minutes_older_than_an_hour_do_not_count(database: Database) -> None:
    limiter = PostgresLimiter(database)
    await limiter.take("credential", 1)
    async with database.transaction() as conn:
        await conn.execute("update rate_use set minute = minute - interval '61 minutes'")
    await limiter.take("credential", 1)


async def test_a_block_holds_everybody_until_it_ends(database: Database) -> None:
    limiter = PostgresLimiter(database)
    await limiter.block("credential", 0.3)
    with pytest.raises(RateLimited) as caught:
        await limiter.take("credential", 100)
    await asyncio.sleep((caught.value.until - now()).total_seconds() + 0.02)
    await limiter.take("credential", 100)


async def test_a_shorter_block_does_not_end_a_longer_one(database: Database) -> None:
    limiter = PostgresLimiter(database)
    await limiter.block("credential", 60)
    await limiter.block("credential", 1)
    with pytest.raises(RateLimited) as caught:
        await limiter.take("credential", 100)
    assert caught.value.until - now() > timedelta(seconds=50)


async def test_a_refused_request_spends_nothing(database: Database) -> None:
    limiter = PostgresLimiter(database)
    await limiter.block("credential", 60)
    for _ in range(3):
        with pytest.raises(RateLimited):
            await limiter.take("credential", 100)
    async with database.connection() as conn:
        cursor = await conn.execute("select count(*) as rows from rate_use")
        assert await cursor.fetchone() == {"rows": 0}


async def test_what_no_longer_counts_is_forgotten(database: Database) -> None:
    limiter = PostgresLimiter(database)
    await limiter.take("old", 10)
    async with database.transaction() as conn:
        await conn.execute("update rate_use set minute = minute - interval '2 hours'")
    await limiter.take("new", 10)
    async with database.transaction() as conn:
        await rates.trim(conn)
        cursor = await conn.execute("select credential from rate_use")
        assert await cursor.fetchall() == [{"credential": "new"}]
