"""Large answers are made for each account a few at a time, so that nobody fills the memory with those of one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

MOST: Final = 4


class Turns:
    """Who has as many turns as it may have waits for one of them to end."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        # A line is gone once nobody stands in it.
        self._lines: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def take(self, account_id: str) -> AsyncIterator[None]:
        """One turn of the account's, until the block ends."""
        line = self._lines.setdefault(account_id, asyncio.Semaphore(self._most))
        async with line:
            yield
