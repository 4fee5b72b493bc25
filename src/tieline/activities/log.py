"""Writes the log of a running activity: buffered, masked, capped."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from tieline.core.clock import now
from tieline.core.documents import Activity
from tieline.core.errors import TielineError
from tieline.core.lines import parse_lines
from tieline.core.redact import Redactor
from tieline.store import logs
from tieline.store.database import Database

FLUSH_SECONDS: Final = 0.1
FLUSH_LINES: Final = 64
MOST_WAITING: Final = 2048
LONGEST_LOG: Final = 10 * 1024 * 1024
FULL: Final = "The log is full. What follows is not kept.\n"

Line = tuple[datetime, str]


class Superseded(TielineError):
    """Another attempt runs this activity now, or it has ended; nothing more is to be done here."""


class LogWriter:
    """A `core.ports.Log` whose lines are in the database soon after they are written.

    `run` stores them, in a task of its own: a handler that is cancelled never interrupts a transaction.
    """

    def __init__(self, db: Database, activity: Activity, longest: int = LONGEST_LOG) -> None:
        self._db = db
        self._activity = activity
        self._redactor = Redactor()
        self._room = longest
        self._waiting: asyncio.Queue[Line | None] = asyncio.Queue(MOST_WAITING)

    def mask(self, redactor: Redactor) -> None:
        """Mask the secrets of a redactor from now on."""
        self._redactor = redactor

    async def write(self, text: str) -> None:
        """Append text. Waits while the database is slower than the writer."""
        moment = now()
        for line in parse_lines(self._redactor.text(text)):
            if self._room <= 0:
                return
            self._room -= len(line)
            await self._waiting.put((moment, line if self._room > 0 else FULL))

    async def close(self) -> None:
        """Let `run` end when everything is stored."""
        await self._waiting.put(None)

    async def run(self) -> None:
        """Store lines until closed. Raises `Superseded`."""
        try:
            is_open = True
            while is_open:
                batch, is_open = await self._next_batch()
                if batch:
                    await self._store(batch)
        finally:
            self._drop_everything()

    def _drop_everything(self) -> None:
        """Nothing is stored any more, so nobody may wait for it."""
        self._room = 0
        while not self._waiting.empty():
            self._waiting.get_nowait()

    async def _next_batch(self) -> tuple[list[Line], bool]:
        """The lines of a moment, and whether more may come."""
        batch: list[Line] = []
        line = await self._waiting.get()
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                while line is not None:
                    batch.append(line)
                    if len(batch) >= FLUSH_LINES:
                        return batch, True
                    line = await self._waiting.get()
                return batch, False
        return batch, True

    async def _store(self, batch: Sequence[Line]) -> None:
        async with self._db.transaction() as conn:
            if not await logs.append(conn, self._activity, batch):
                raise Superseded("Another attempt runs this activity now, or it has ended.")
