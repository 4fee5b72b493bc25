"""What costs much is done a few at a time for each account, or of each thing, so that one leaves room for others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

MOST: Final = 4


class Turns:
    """Who comes when as many as may have a turn have one waits for one of them to end."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        # A line is gone once nobody stands in it.
        self._lines: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def take(self, key: str) -> AsyncIterator[None]:
        """One of the turns that there are for `key`, until the block ends."""
        line = self._lines.setdefault(key, asyncio.Semaphore(self._most))
        async with line:
            yield
