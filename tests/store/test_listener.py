"""Hearing of changes: after the commit only, and never silently deaf."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable

import pytest

from tieline.store.database import Database
from tieline.store.listener import Listener
from tieline.store.notify import changed


async def until(check: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "waited too long"
        await asyncio.sleep(0.01)


@pytest.fixture
async def listener(dsn: str) -> AsyncIterator[Listener]:
    listener = Listener(dsn, silence=0.3)
    await listener.start()
    yield listener
    await listener.close()


async def backend(database: Database) -> int:
    async with database.connection() as conn:
        cursor = await conn.execute(
            "select pid from pg_stat_activity"
            " where application_name = 'tieline listener' and datname = current_database() order by backend_start desc"
        )
        row = await cursor.fetchone()
    assert row is not None
    return int(row["pid"])


async def say(database: Database, topic: str, key: str) -> None:
    async with database.transaction() as conn:
        await changed(conn, topic, key)


async def test_a_subscriber_hears_its_topic_and_only_what_was_committed(database: Database, listener: Listener) -> None:
    heard: list[str] = []
    listener.subscribe("integrations", heard.append)
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as conn:
            await changed(conn, "integrations", "rolled-back")
            raise ZeroDivisionError
    await say(database, "access", "somebody")
    await say(database, "integrations", "p:with:colons")
    await until(lambda: bool(heard))
    assert heard == ["p:with:colons"]


async def test_who_unsubscribed_hears_nothing_more(database: Database, listener: Listener) -> None:
    first: list[str] = []
    second: list[str] = []
    stop = listener.subscribe("log", first.append)
    listener.subscribe("log", second.append)
    stop()
    await say(database, "log", "a")
    await until(lambda: bool(second))
    assert first == []


async def test_a_long_silence_is_not_a_loss(database: Database, listener: Listener) -> None:
    gaps: list[bool] = []
    listener.on_gap(lambda: gaps.append(listener.connected))
    heard: list[str] = []
    listener.subscribe("log", heard.append)
    pid = await backend(database)
    await asyncio.sleep(1)  # three times the silence after which the connection is tried
    await say(database, "log", "still here")
    await until(lambda: bool(heard))
    assert gaps == []
    assert await backend(database) == pid


async def test_a_lost_connection_is_a_gap_and_comes_back(database: Database, listener: Listener) -> None:
    gaps: list[bool] = []
    listener.on_gap(lambda: gaps.append(listener.connected))
    async with database.connection() as conn:
        await conn.execute("select pg_terminate_backend(%s)", [await backend(database)])
    await until(lambda: gaps == [False, True])

    heard: list[str] = []
    listener.subscribe("log", heard.append)
    await say(database, "log", "again")
    await until(lambda: heard == ["again"])


async def test_a_connection_that_froze_counts_as_lost(database: Database, listener: Listener) -> None:
    gaps: list[bool] = []
    listener.on_gap(lambda: gaps.append(listener.connected))
    pid = await backend(database)
    os.kill(pid, signal.SIGSTOP)
    try:
        await until(lambda: gaps == [False, True])
        assert await backend(database) != pid
    finally:
        os.kill(pid, signal.SIGCONT)
