"""Killed at any moment, the server tells every receiver of everything that happened, in order."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.story.conftest import free_port
from tests.story.forked import ForkedServer
from tests.story.support import eventually
from tests.story.telling import KEY, Telling, unsigned, write_seed
from tieline.simulators.receiver import Arrival, Behaviour, Receiver

ENVIRONMENTS = 12
EVENTS_A_ROUND = 3
SETTINGS = {
    "TIELINE_DELIVERY_RETRY_SECONDS": ",".join(["0.1"] * 40),
    "TIELINE_DELIVERY_BREAKER_SECONDS": "0.2",
    "TIELINE_DELIVERY_SECONDS": "1",
}


@pytest.fixture
async def telling(folder: Path) -> AsyncIterator[Telling]:
    seed = write_seed(folder / "seed.yaml", ENVIRONMENTS)
    async with ForkedServer(folder, SETTINGS, free_port(), ("--seed", str(seed))) as server:
        yield Telling(server)


def refuses_some(dice: random.Random) -> Callable[[Arrival], Behaviour]:
    """Two in a hundred."""
    return lambda _arrival: Behaviour(503) if dice.random() < 0.02 else Behaviour()


def is_bad_at_times(dice: random.Random) -> Callable[[Arrival], Behaviour]:
    """Mostly well, and then slow, or gone in the middle of its answer."""

    def behave(_arrival: Arrival) -> Behaviour:
        chance = dice.random()
        if chance < 0.01:
            return Behaviour(delay=dice.uniform(0, 0.3))
        if chance < 0.02:
            return Behaviour(close=dice.choice(["before-headers", "after-headers"]))
        return Behaviour()

    return behave


async def kill_again_and_again(telling: Telling, dice: random.Random, kills: int, changes: int) -> int:
    """Spread over all changes: four times while it works, and a fifth time while it starts again. How often."""
    server, killed = telling.server, 0
    for number, moment in enumerate(sorted(dice.sample(range(changes), kills * 4 // 5)), 1):

        async def come(moment: int = moment) -> bool:
            return telling.answers[200] >= moment

        await eventually(come, seconds=300, what=f"{moment} changes")
        await server.kill_group()
        killed += 1
        if number % 4 == 0:
            await server.spawn()
            await asyncio.sleep(dice.uniform(0.0, 0.8))
            await server.kill_group()
            killed += 1
        await server.start()
    return killed


@pytest.mark.parametrize(
    ("events", "kills"),
    [
        pytest.param(540, 5, id="short", marks=pytest.mark.timeout(300)),
        pytest.param(10_000, 20, id="whole", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
async def test_nothing_is_lost_invented_or_reordered(
    telling: Telling, events: int, kills: int, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    rounds = -(-events // (ENVIRONMENTS * EVENTS_A_ROUND))
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        for name in ("well", "refuses some", "bad at times"):
            await telling.tell(name, await stack.enter_async_context(Receiver(key=KEY)))
        telling.receivers["refuses some"].behave("/hook", refuses_some(dice))
        telling.receivers["bad at times"].behave("/hook", is_bad_at_times(dice))

        team = asyncio.gather(*(telling.change(f"env-{number}", rounds) for number in range(ENVIRONMENTS)))
        stack.callback(team.cancel)
        killed = await kill_again_and_again(telling, dice, kills, rounds * ENVIRONMENTS)
        await team
        happened = rounds * ENVIRONMENTS * EVENTS_A_ROUND
        await telling.met(happened, seconds=120)

        judgement = await telling.judge()
        with capsys.disabled():
            print(  # noqa: T201 - the figures are what the story is for
                f"\n{happened:,} events, {judgement.obligations:,} obligations, {judgement.arrivals:,} arrivals"
                f" ({judgement.duplicates:,} more than once), {kills} kills in {time.monotonic() - began:.0f} s"
                f" (seed {seed}), {len(judgement.breaches)} breaches"
            )
        assert (killed, judgement.breaches) == (kills, []), f"seed {seed}"
        assert judgement.obligations == 3 * happened >= 3 * events
        assert [unsigned(each) for each in telling.receivers.values()] == [[], [], []]
