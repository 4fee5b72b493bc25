"""Incoming hooks on their way to the database: what arrives while one transaction runs goes in the next one."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from tieline.core.errors import Unavailable
from tieline.store import hooks
from tieline.store.database import TROUBLE, Database
from tieline.store.hooks import NewHook

log = structlog.get_logger()

MOST_WAITING: Final = 2000
MOST_BYTES: Final = 64 * 1024 * 1024
SHORT_BODY: Final = 256 * 1024
_BATCH: Final = 250
_BATCH_BYTES: Final = 8 * 1024 * 1024
_FULL: Final = "Hooks arrive faster than they can be stored; please send this one again."
_FAILED: Final = "The hook could not be stored; please send it again."


class SharedRoom:
    """What long bodies may take up together while they arrive: anybody may send them, and take their time.

    Short ones, as hosts send them, need none of it.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._left = most

    @contextmanager
    def reserve(self) -> Iterator[Callable[[int], None]]:
        """Gives what to call with the size of a body so far, which raises `Unavailable` when there is no more room."""
        taken = 0

        def grow(size: int) -> None:
            nonlocal taken
            wanted = max(size - SHORT_BODY, 0) - taken
            if wanted > self._left:
                raise Unavailable(_FULL)
            self._left -= wanted
            taken += wanted

        try:
            yield grow
        finally:
            self._left += taken


@dataclass(eq=False)
class _Waiting:
    hook: NewHook
    stored: asyncio.Future[None]


class Inbox:
    """Stores hooks in micro-batches. `store` returns when the hook is durable, and not before."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: list[_Waiting] = []
        self._bytes = 0
        self._writer: asyncio.Task[None] | None = None

    async def store(self, hook: NewHook) -> None:
        """Raises `Unavailable` when the queue is full or the database does not take it."""
        if len(self._waiting) >= MOST_WAITING or self._bytes + len(hook.body) > MOST_BYTES:
            raise Unavailable(_FULL)
        entry = _Waiting(hook, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        self._bytes += len(hook.body)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        await entry.stored

    async def _write(self) -> None:
        try:
            while batch := self._take():
                await self._settle(batch)
        finally:
            self._writer = None

    def _take(self) -> list[_Waiting]:
        size = count = 0
        for entry in self._waiting[:_BATCH]:
            size += len(entry.hook.body)
            if count and size > _BATCH_BYTES:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._bytes -= sum(len(each.hook.body) for each in batch)
        return batch

    async def _settle(self, batch: Sequence[_Waiting]) -> None:
        """Store a batch and tell each sender; one hook that cannot be stored must not take others with it."""
        try:
            await self._insert(batch)
        except (Unavailable, *TROUBLE) as error:
            log.warning("hooks_not_stored", count=len(batch), error=type(error).__name__)
            _fail(batch, Unavailable(_FAILED))
        except Exception as error:  # noqa: BLE001 - the loop must go on, whatever one hook does to the database
            if len(batch) > 1:
                for each in batch:
                    await self._settle([each])
            else:
                _fail(batch, error)
        else:
            for each in batch:
                if not each.stored.done():
                    each.stored.set_result(None)

    async def _insert(self, batch: Sequence[_Waiting]) -> None:
        async with self._db.connection() as conn:
            await hooks.insert_many(conn, [each.hook for each in batch])


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    for each in batch:
        if not each.stored.done():
            each.stored.set_exception(error)
