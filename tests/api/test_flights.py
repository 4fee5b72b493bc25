"""What anybody may ask for does not grow with how many ask."""

import asyncio

import pytest

from tieline.api.flights import Flights


async def test_who_asks_meanwhile_gets_the_same_answer() -> None:
    flights, began, gate, calls = Flights(), asyncio.Event(), asyncio.Event(), 0

    async def call() -> int:
        nonlocal calls
        calls += 1
        began.set()
        await gate.wait()
        return calls

    asking = [asyncio.create_task(flights.share("one", call)) for _ in range(50)]
    await began.wait()
    asking.pop().cancel()
    gate.set()
    assert (await asyncio.gather(*asking), calls) == ([1] * 49, 1)
    one, other = await asyncio.gather(flights.share("one", call), flights.share("other", call))
    assert (one, other) == (2, 3)


async def test_an_error_is_everybodys_and_not_for_ever() -> None:
    flights = Flights()

    async def fail() -> None:
        raise ZeroDivisionError

    async def succeed() -> None: ...

    asking = [flights.share("one", fail) for _ in range(3)]
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(each) for each in answers] == [ZeroDivisionError] * 3
    await flights.share("one", succeed)
    with pytest.raises(ZeroDivisionError):
        await flights.share("one", fail)
