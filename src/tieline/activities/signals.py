"""Wakes those who wait for news of one activity."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

TOPICS: Final = ("activity", "log")
POLL_SECONDS: Final = 5.0
POLL_DEAF: Final = 1.0


class Listener(Protocol):
    """What the store's listener offers."""

    @property
    def connected(self) -> bool: ...

    def subscribe(self, topic: str, callback: Callable[[str], None]) -> object:
        """Call back with the key of each notification on the topic."""
        ...

    def on_gap(self, callback: Callable[[], None]) -> object:
        """Call back when notifications may have been missed."""
        ...


class Waiter:
    """Waits for the next signal. One that came since the last wait counts."""

    def __init__(self, listener: Listener, poll_seconds: float) -> None:
        self._listener = listener
        self._poll_seconds = poll_seconds
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    async def wait(self, most: float = math.inf) -> None:
        """Return at a signal, or after `most` seconds or those of a poll, which come sooner while nothing can be heard.

        A notification may be lost, so whoever waits looks at the truth when this returns, whatever the cause.
        """
        poll = self._poll_seconds if self._listener.connected else min(POLL_DEAF, self._poll_seconds)
        seconds = min(most, poll)
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()


class Signals:
    """Hands the listener's notifications about activities and their logs to those who wait for them.

    Every `poll_seconds` they look for themselves, since a notification may be lost.
    """

    def __init__(self, listener: Listener, poll_seconds: float = POLL_SECONDS) -> None:
        self._listener = listener
        self._poll_seconds = poll_seconds
        self._waiters: defaultdict[tuple[str, str], set[Waiter]] = defaultdict(set)
        for topic in TOPICS:
            listener.subscribe(topic, self._waker(topic))
        listener.on_gap(self.wake_all)

    @contextmanager
    def waiter(self, activity_id: str, *topics: str) -> Iterator[Waiter]:
        """A waiter for one activity: `activity` signals its state or a request to cancel, `log` new lines."""
        waiter = Waiter(self._listener, self._poll_seconds)
        keys = [(topic, activity_id) for topic in topics]
        for key in keys:
            self._waiters[key].add(waiter)
        try:
            yield waiter
        finally:
            for key in keys:
                self._remove(key, waiter)

    def wake_all(self) -> None:
        """Have everybody look at the truth."""
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.wake()

    def _remove(self, key: tuple[str, str], waiter: Waiter) -> None:
        self._waiters[key].discard(waiter)
        if not self._waiters[key]:
            del self._waiters[key]

    def _waker(self, topic: str) -> Callable[[str], None]:
        def wake(activity_id: str) -> None:
            for waiter in self._waiters.get((topic, activity_id), ()):
                waiter.wake()

        return wake
