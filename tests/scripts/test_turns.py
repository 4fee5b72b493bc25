"""Who waits for whom: a script that takes its time keeps up itself, and nobody else for long."""

import asyncio
from contextlib import suppress

from tieline.scripts.turns import Turns


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


class Queue:
    """Who has been given a turn, in order."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.order: list[str] = []
        self.waiting: list[asyncio.Task[None]] = []

    async def join(self, *names: str) -> None:
        self.waiting += [asyncio.create_task(self._take(name)) for name in names]
        await settle()

    async def end(self, name: str, seconds: float = 0.0) -> None:
        self.turns.give_back(name, asyncio.get_running_loop().time() - seconds)
        await settle()

    async def _take(self, name: str) -> None:
        await self.turns.take(name)
        self.order.append(name)


async def test_nobody_waits_while_there_is_room() -> None:
    queue = Queue(Turns(3, each=2))
    await queue.join("a", "b", "a")
    assert queue.order == ["a", "b", "a"]


async def test_one_has_not_all_the_room() -> None:
    queue = Queue(Turns(3, each=2))
    await queue.join("a", "a", "a", "b")
    assert queue.order == ["a", "a", "b"]
    await queue.end("a")
    assert queue.order == ["a", "a", "b", "a"]


async def test_the_last_places_are_for_those_who_have_none() -> None:
    queue = Queue(Turns(4, each=3, kept=2))
    await queue.join("a", "a", "a", "b", "b", "c")
    assert queue.order == ["a", "a", "b", "c"]
    await queue.end("c")
    assert queue.order == ["a", "a", "b", "c"]
    await queue.join("d")
    assert queue.order == ["a", "a", "b", "c", "d"]


async def test_who_has_the_fewest_comes_first_and_else_who_came_first() -> None:
    queue = Queue(Turns(2, each=2))
    await queue.join("a", "a", "a", "b", "c")
    await queue.end("a")
    assert queue.order == ["a", "a", "b"]
    await queue.end("a")
    assert queue.order == ["a", "a", "b", "c"]


async def test_who_took_long_waits_for_who_does_not() -> None:
    queue = Queue(Turns(1, each=1))
    await queue.join("slow", "quick", "slow", "quick")
    await queue.end("slow", seconds=60)
    await queue.end("quick", seconds=0.02)
    await queue.end("quick", seconds=0.02)
    assert queue.order == ["slow", "quick", "quick", "slow"]


async def test_who_does_not_wait_any_more_takes_no_turn() -> None:
    turns = Turns(1, each=1)
    queue = Queue(turns)
    await queue.join("a", "b", "c")
    queue.waiting[1].cancel()
    with suppress(asyncio.CancelledError):
        await queue.waiting[1]
    await queue.end("a")
    assert queue.order == ["a", "c"]


async def test_a_turn_that_comes_too_late_is_passed_on() -> None:
    turns = Turns(1, each=1)
    queue = Queue(turns)
    await queue.join("a", "b", "c")
    turns.give_back("a", asyncio.get_running_loop().time())
    queue.waiting[1].cancel()
    await settle()
    assert queue.order == ["a", "c"]
