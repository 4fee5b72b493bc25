"""The server is killed at each point between an event and the record of its delivery, and tells of it all the same."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from tests.folders import copy_data, open_folder
from tests.story.conftest import free_port
from tests.story.forked import ForkedServer
from tests.story.support import eventually
from tests.story.telling import HOOK, Telling, accepted, unsigned, write_seed
from tieline.simulators.receiver import Behaviour
from tieline.store.embedded import EmbeddedServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = {"TIELINE_DELIVERY_RETRY_SECONDS": ",".join(["0.1"] * 40), "TIELINE_DELIVERY_BREAKER_SECONDS": "0.2"}
LOCK = 4711
# What is written by a clock that is three hours ahead.
AHEAD: tuple[LiteralString, ...] = (
    "update delivery set due_at = due_at + interval '3 hours' where state = 'waiting'",
    "update receiver set closed_until = clock_timestamp() + interval '3 hours'",
    "update sender set seen_at = seen_at + interval '3 hours'",
)
WAITING = "select 1 from pg_locks where locktype = 'advisory' and objid = %s and not granted"
HOLD = """
    create or replace function hold() returns trigger language plpgsql as $$
    begin
        perform pg_advisory_xact_lock(4711);
        return new;
    end $$
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def telling(data: Path) -> AsyncIterator[Telling]:
    with open_folder() as folder:
        copy_data(data, folder)
        seed = write_seed(folder / "seed.yaml", 10)
        async with ForkedServer(folder, SETTINGS, free_port(), ("--seed", str(seed))) as server:
            yield Telling(server)


@asynccontextmanager
async def held(telling: Telling, trigger: str) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """Have the database stop where a trigger says; what is yielded waits until the server is there.

    It is for the database only to say how far a transaction has come.
    """
    dsn = EmbeddedServer(telling.server.data).dsn
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute("select pg_advisory_lock(%s)", [LOCK])
        await conn.execute(HOLD)
        await conn.execute(sql.SQL("create trigger hold before {} execute function hold()").format(sql.SQL(trigger)))

        async def reached() -> object:
            return await (await conn.execute(WAITING, [LOCK])).fetchone()

        with suppress(psycopg.OperationalError):  # it goes down with the server
            yield lambda: eventually(reached, what=trigger)
            await conn.close()
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute(sql.SQL("drop trigger hold on {}").format(sql.SQL(trigger.partition(" on ")[2].split()[0])))


POINTS = {
    "while the event is written": "insert on activity_event for each row",
    "while its message is written": "insert on message for each row",
    "while the delivery is claimed": "update on delivery for each row when (new.state = 'delivering')",
    "while it is recorded": "update on delivery for each row when (new.state = 'delivered')",
}


@pytest.mark.parametrize(("number", "point"), list(enumerate(POINTS)))
async def test_killed(telling: Telling, number: int, point: str) -> None:
    environment = f"env-{number}"
    async with telling.hearing(environment) as receiver:
        async with held(telling, POINTS[point]) as reached:
            change = asyncio.create_task(telling.change(environment))
            await reached()
            await telling.server.kill_group()
            await telling.server.start()
        await change
        await telling.recorded(environment, 3)

        judgement = await telling.judge()
        assert (judgement.obligations, judgement.breaches) == (3, [])
        assert (judgement.duplicates > 0) == (point == "while it is recorded")
        assert unsigned(receiver) == []


async def test_killed_before_anybody_looked(telling: Telling) -> None:
    server = telling.server
    arguments = server.arguments
    async with telling.hearing("env-5") as receiver:
        await server.stop()
        server.arguments = [*arguments, "--no-worker"]
        await server.spawn()
        await telling.change("env-5")
        await server.kill_group()
        assert receiver.arrivals == []

        server.arguments = arguments
        await server.start()
        await telling.met(3)
        judgement = await telling.judge()
        assert (judgement.obligations, judgement.duplicates, judgement.breaches) == (3, 0, [])


async def test_killed_while_one_receiver_thinks_and_another_has_all(telling: Telling) -> None:
    async with telling.hearing("env-6") as thinking, telling.hearing("env-7") as done:
        thinking.behave(HOOK, Behaviour(hang=True))
        await telling.change("env-7")
        await telling.recorded("env-7", 3)
        await telling.change("env-6")

        async def arrived() -> bool:
            return bool(thinking.arrivals)

        await eventually(arrived, what="the request")
        await telling.server.kill_group()
        thinking.behave(HOOK)
        await telling.server.start()
        await telling.recorded("env-6", 3)

        judgement = await telling.judge()
        assert (judgement.obligations, judgement.duplicates, judgement.breaches) == (6, 1, [])
        assert thinking.arrivals[0].id == thinking.arrivals[1].id
        assert len(done.arrivals) == 3


async def test_stopped_while_the_receiver_thinks(telling: Telling) -> None:
    async with telling.hearing("env-9") as receiver:
        receiver.behave(HOOK, Behaviour(delay=0.5))
        await telling.change("env-9")

        async def arrived() -> bool:
            return bool(receiver.arrivals)

        await eventually(arrived, what="the request")
        await telling.server.stop()
        # It waited for the answer, and began nothing new.
        assert (len(receiver.arrivals), accepted(receiver)) == (1, 1)
        receiver.behave(HOOK)
        await telling.server.start()
        await telling.recorded("env-9", 3)
        judgement = await telling.judge()
        assert (judgement.obligations, judgement.duplicates, judgement.breaches) == (3, 0, [])


async def test_a_clock_that_was_hours_ahead_until_the_server_was_killed(telling: Telling) -> None:
    async with telling.hearing("env-8") as receiver:
        receiver.behave(HOOK, Behaviour(503))
        await telling.change("env-8")

        async def refused() -> bool:
            return bool(await telling.errors("env-8"))

        await eventually(refused, what="an attempt to be refused")
        for moved in AHEAD:
            await telling.query(moved)
        await telling.server.kill_group()
        receiver.behave(HOOK)
        await telling.server.start()
        await telling.met(3, seconds=10)
        assert (await telling.judge()).breaches == []
