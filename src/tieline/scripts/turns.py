"""Whose script has its turn: not always those who want the most."""

import asyncio
import time
from collections import Counter
from typing import Final

_NEVER: Final = 0.0


class Turns:
    """`most` at a time, and `each` of one integration; the last `kept` are for integrations that have none.

    Of those who wait, whoever has the fewest comes first, and of several whoever took the least time at last: who keeps
    a turn for long waits for those who do not.
    """

    def __init__(self, most: int, each: int, kept: int = 0) -> None:
        self._free = most
        self._each = each
        self._kept = kept
        self._held: Counter[str] = Counter()
        self._took: dict[str, float] = {}
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    async def take(self, whose: str) -> float:
        """Wait for a turn; when it began, for `give_back`."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((whose, turn))
        self._pass_on()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.give_back(whose, time.monotonic())
            raise
        return time.monotonic()

    def give_back(self, whose: str, since: float) -> None:
        """The turn that began at that moment is over."""
        self._free += 1
        self._held -= Counter({whose: 1})
        self._took[whose] = time.monotonic() - since
        self._pass_on()

    def _pass_on(self) -> None:
        self._waiting = [each for each in self._waiting if not each[1].done()]
        while self._free and (next_ := self._next()) is not None:
            whose, turn = next_
            self._waiting.remove(next_)
            self._free -= 1
            self._held[whose] += 1
            turn.set_result(None)

    def _next(self) -> tuple[str, asyncio.Future[None]] | None:
        """Who has waited longest of those who come first."""
        most = self._each if self._free > self._kept else 1
        able = [each for each in self._waiting if self._held[each[0]] < most]
        return min(able, key=lambda each: (self._held[each[0]], self._took.get(each[0], _NEVER)), default=None)


class Share:
    """One run's share of the processor, which it leaves to others while it waits for somebody outside."""

    def __init__(self, processor: asyncio.Semaphore) -> None:
        self._processor = processor
        self._is_held = False

    async def take(self) -> None:
        await self._processor.acquire()
        self._is_held = True

    def leave(self) -> None:
        """May be called again."""
        if self._is_held:
            self._is_held = False
            self._processor.release()
