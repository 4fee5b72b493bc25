"""Logs as the clients read them: live, whole, and sealed last."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import orjson

from tests.activities.conftest import World
from tieline.activities.runner import Runner
from tieline.activities.signals import Signals
from tieline.activities.stream import LogStream
from tieline.core.documents import Activity
from tieline.core.ports import Log, Outcome
from tieline.store import activities
from tieline.store.listener import Listener


async def items(chunks: AsyncIterator[bytes]) -> AsyncGenerator[dict[str, Any], None]:
    async for chunk in chunks:
        assert chunk.endswith(b"\n")
        for line in chunk.splitlines():
            yield orjson.loads(line)


async def read(world: World, activity: Activity, **window: Any) -> list[dict[str, Any]]:
    stream = LogStream(world.db, world.signals).read(activity.id, **window)
    async with asyncio.timeout(20):
        return [item async for item in items(stream)]


class Talker:
    """A handler that says what it is told to."""

    def __init__(self) -> None:
        self.words: asyncio.Queue[str | None] = asyncio.Queue()

    async def __call__(self, _activity: Activity, log: Log) -> Outcome:
        while (word := await self.words.get()) is not None:
            await log.write(word)
        return Outcome()


async def finished(world: World, *words: str) -> Activity:
    push = await world.push()
    talker = Talker()
    for word in (*words, None):
        talker.words.put_nowait(word)
    await Runner(world.db, world.signals, {"*": talker}).run(push.id)
    return push


async def test_a_finished_log_is_whole_and_sealed(world: World) -> None:
    activity = await finished(world, "one", "two")
    first, second, seal = await read(world, activity)
    assert first.keys() == {"_id", "data"}
    assert (first["_id"], first["data"]["message"]) == (1, "one\n")
    assert first["data"]["timestamp"].endswith("+00:00")
    assert (second["_id"], seal) == (2, {"_id": 3, "seal": True})


async def test_windows(world: World) -> None:
    activity = await finished(world, *(f"{number}" for number in range(1, 1201)))
    assert [item["_id"] for item in await read(world, activity)] == list(range(1, 1202))
    assert [item["_id"] for item in await read(world, activity, start_at=1198)] == [1199, 1200, 1201]
    assert [item["_id"] for item in await read(world, activity, start_at=2, max_items=3)] == [3, 4, 5]
    assert [item["_id"] for item in await read(world, activity, max_items=700)] == list(range(1, 701))
    assert (await read(world, activity, start_at=1200)) == [{"_id": 1201, "seal": True}]
    assert (await read(world, activity, start_at=5000))[-1]["seal"] is True


async def test_what_there_is_at_once(world: World) -> None:
    push = await world.push()
    began = time.monotonic()
    assert await read(world, push, max_delay=-1) == []
    assert time.monotonic() - began < 2
    talker = Talker()
    running = asyncio.create_task(Runner(world.db, world.signals, {"*": talker}).run(push.id))
    talker.words.put_nowait("one")
    await world.wait_for_text(push, "one\n")
    assert [item["_id"] for item in await read(world, push, max_delay=-1)] == [1]
    talker.words.put_nowait(None)
    await running
    assert [item["_id"] for item in await read(world, push, start_at=0, max_items=0, max_delay=-1)] == [1, 2]


async def test_a_limited_wait_ends_without_a_seal(world: World) -> None:
    push = await world.push()
    began = time.monotonic()
    assert await read(world, push, max_delay=0.5) == []
    assert 0.4 < time.monotonic() - began < 5


async def test_a_server_that_stops_lets_readers_go_without_a_seal(world: World) -> None:
    push = await world.push()
    stream = LogStream(world.db, world.signals)
    waiting = asyncio.create_task(anext(items(stream.read(push.id)), None))
    await asyncio.sleep(0.1)
    stream.close()
    async with asyncio.timeout(2):
        assert await waiting is None


async def test_two_readers_hear_each_line_while_it_runs(world: World) -> None:
    push = await world.push()
    talker = Talker()
    streams = [items(LogStream(world.db, world.signals).read(push.id)) for _ in range(2)]
    waiting = [asyncio.ensure_future(anext(stream)) for stream in streams]
    running = asyncio.create_task(Runner(world.db, world.signals, {"*": talker}).run(push.id))
    for number, word in enumerate(("one", "two", "three"), 1):
        talker.words.put_nowait(word)
        async with asyncio.timeout(3):
            heard = await asyncio.gather(*waiting)
        assert [(item["_id"], item["data"]["message"]) for item in heard] == [(number, f"{word}\n")] * 2
        assert not running.done()
        waiting = [asyncio.ensure_future(anext(stream)) for stream in streams]
    talker.words.put_nowait(None)
    async with asyncio.timeout(3):
        seals = await asyncio.gather(*waiting)
    assert seals == [{"_id": 4, "seal": True}] * 2
    assert (await world.activity(push)).completion_percent == 100
    await running


async def test_the_seal_comes_only_after_the_activity_reads_complete(world: World) -> None:
    for _ in range(10):
        push = await world.push()
        talker = Talker()
        running = asyncio.create_task(Runner(world.db, world.signals, {"*": talker}).run(push.id))
        talker.words.put_nowait("one")
        talker.words.put_nowait(None)
        async for item in items(LogStream(world.db, world.signals).read(push.id)):
            if "seal" in item:
                assert (await world.activity(push)).completion_percent == 100
        await running


async def test_a_cancelled_pending_one_is_sealed_for_those_who_wait(world: World) -> None:
    push = await world.push()
    waiting = asyncio.create_task(read(world, push))
    async with world.db.transaction() as conn:
        await activities.cancel(conn, push.project_id, push.id)
    assert await waiting == [{"_id": 1, "seal": True}]


async def test_a_log_of_nothing_is_sealed(world: World) -> None:
    stream = LogStream(world.db, world.signals).read("missing")
    assert [item async for item in items(stream)] == [{"_id": 1, "seal": True}]


async def test_without_notifications_it_polls(world: World, dsn: str) -> None:
    deaf = Signals(Listener(dsn))
    push = await world.push()
    stream = items(LogStream(world.db, deaf).read(push.id))
    waiting = asyncio.ensure_future(anext(stream))
    talker = Talker()
    running = asyncio.create_task(Runner(world.db, deaf, {"*": talker}).run(push.id))
    talker.words.put_nowait("one")
    async with asyncio.timeout(5):
        assert (await waiting)["data"]["message"] == "one\n"
    talker.words.put_nowait(None)
    await running
    await stream.aclose()


async def test_a_reader_that_leaves_is_forgotten(world: World) -> None:
    push = await world.push()
    stream = LogStream(world.db, world.signals).read(push.id)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not world.signals._waiters
