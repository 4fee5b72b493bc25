"""Two at once, and never one that is left behind."""

import asyncio

import pytest

from tieline.core.together import both


async def test_both_results_are_given() -> None:
    assert await both(asyncio.sleep(0, 1), asyncio.sleep(0, "two")) == (1, "two")


@pytest.mark.parametrize("cancelled", [False, True])
async def test_nothing_is_left_when_one_fails_or_nobody_waits_any_more(*, cancelled: bool) -> None:
    ended = []

    async def long() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append("long")

    async def short() -> None:
        await asyncio.sleep(60 if cancelled else 0)
        raise ValueError("short")

    waiting = asyncio.create_task(both(long(), short()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    if cancelled:
        waiting.cancel()
    with pytest.raises(asyncio.CancelledError if cancelled else ValueError):
        await waiting
    assert ended == ["long"]
