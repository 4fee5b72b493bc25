"""Hearing what other processes changed."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable
from typing import Final, TypeVar

import psycopg
import structlog
from psycopg import sql
from psycopg.abc import PQGen

from tieline.store.notify import CHANNEL, EVERYTHING

log = structlog.get_logger()
_RETRY_SECONDS: Final = 0.5
SILENCE_SECONDS: Final = 5.0

Heard = Callable[[str], None]
RV = TypeVar("RV")


class ListeningConnection(psycopg.AsyncConnection[tuple[object, ...]]):
    """Waits for notifications without looking ten times a second whether there are any."""

    async def wait(
        self,
        gen: PQGen[RV],
        interval: float = SILENCE_SECONDS,
        timeout: float | None = None,  # noqa: ASYNC109 - psycopg's own signature
    ) -> RV:
        """As psycopg does, for which the interval only matters where Ctrl-C would not be noticed otherwise."""
        return await super().wait(gen, interval, timeout)


class Listener:
    """One LISTEN connection that tells subscribers the key of what changed.

    While `connected` is False notifications are being missed: what is remembered may be stale and must not
    be used. `on_gap` subscribers hear of it both when the connection is lost and when it is back, and when everything
    has changed. After `silence` seconds without a word the connection is tried.
    """

    def __init__(self, dsn: str, *, silence: float = SILENCE_SECONDS) -> None:
        self._dsn = dsn
        self._silence = silence
        self._subscribers: dict[str, list[Heard]] = defaultdict(list)
        self._gap_subscribers: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self.connected = False

    def subscribe(self, topic: str, heard: Heard) -> Callable[[], None]:
        """Call `heard` with the key of each change of `topic`; returns how to stop that."""
        self._subscribers[topic].append(heard)
        return lambda: self._subscribers[topic].remove(heard)

    def on_gap(self, missed: Callable[[], None]) -> None:
        """Call `missed` whenever notifications may have been lost."""
        self._gap_subscribers.append(missed)

    async def start(self) -> None:
        """Begin to listen; returns once connected or after the first failure."""
        ready = asyncio.Event()
        self._task = asyncio.create_task(self._keep_listening(ready), name="listener")
        await ready.wait()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _keep_listening(self, ready: asyncio.Event) -> None:
        while True:
            try:
                await self._listen(ready)
            except (psycopg.Error, TimeoutError) as error:
                if self.connected or not ready.is_set():
                    log.warning("listener.lost", reason=str(error))
            finally:
                self._set_connected(False)
                ready.set()
            await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self, ready: asyncio.Event) -> None:
        async with await ListeningConnection.connect(
            self._dsn, autocommit=True, application_name="tieline listener"
        ) as connection:
            await connection.execute(sql.SQL("listen {}").format(sql.Identifier(CHANNEL)))
            self._set_connected(True)
            ready.set()
            while True:
                async for notification in connection.notifies(timeout=self._silence):
                    self._tell(notification.payload)
                # Silence may mean that nothing happens, or that the other end is gone without a word.
                async with asyncio.timeout(self._silence):
                    await connection.execute("select 1")

    def _set_connected(self, connected: bool) -> None:  # noqa: FBT001
        changed = connected != self.connected
        self.connected = connected
        if changed:
            self.forget_all()

    def forget_all(self) -> None:
        """Have whoever remembers anything drop it; this process's own change of everything need not be heard of."""
        for missed in self._gap_subscribers:
            missed()

    def _tell(self, payload: str) -> None:
        topic, _, key = payload.partition(":")
        if topic == EVERYTHING:
            self.forget_all()
        for heard in tuple(self._subscribers.get(topic, ())):
            heard(key)
