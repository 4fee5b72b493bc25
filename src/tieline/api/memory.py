"""What a process remembers of the database, dropped by notifications from the transactions that change it."""

from collections.abc import Awaitable, Callable, Collection
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class _Flight:
    """A read under way. What it brings is kept only if nothing was dropped meanwhile that it may stem from."""

    __slots__ = ("group", "is_stale")

    def __init__(self, group: str | None) -> None:
        self.group = group
        self.is_stale = False


class Memory(Generic[K, V]):
    """A bounded map in front of the database, oldest out first.

    Entries belong to groups; a notification drops a group. A read that began before a drop keeps nothing, so a
    slow reader cannot bring back what a writer has just replaced. While notifications may get lost
    (`is_usable` says no), nothing is remembered and nothing remembered is used.
    """

    def __init__(self, limit: int, is_usable: Callable[[], bool]) -> None:
        self._limit = limit
        self._is_usable = is_usable
        self._entries: dict[K, tuple[V, Collection[str]]] = {}
        self._keys: dict[str, set[K]] = {}
        self._flights: set[_Flight] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def peek(self, key: K) -> V | None:
        """What is remembered, without asking the database."""
        entry = self._entries.get(key)
        return entry[0] if entry is not None and self._is_usable() else None

    async def read(
        self,
        key: K,
        load: Callable[[], Awaitable[V]],
        groups: Callable[[V], Collection[str]],
        group: str | None = None,
    ) -> V:
        """Load a value and remember it under `groups(value)`, which may be none: then it is not remembered.

        `group` is a group known before the value is, if there is one.
        """
        flight = _Flight(group)
        self._flights.add(flight)
        try:
            value = await load()
        finally:
            self._flights.discard(flight)
        found = groups(value)
        if found and not flight.is_stale and self._is_usable():
            self._keep(key, value, found)
        return value

    def drop(self, group: str) -> None:
        """Forget a group."""
        for key in self._keys.pop(group, set()):
            self._forget(key)
        for flight in self._flights:
            flight.is_stale = flight.is_stale or flight.group in (None, group)

    def clear(self) -> None:
        """Forget everything: notifications may have been missed."""
        self._entries.clear()
        self._keys.clear()
        for flight in self._flights:
            flight.is_stale = True

    def _keep(self, key: K, value: V, groups: Collection[str]) -> None:
        self._forget(key)
        if len(self._entries) >= self._limit:
            self._forget(next(iter(self._entries)))
        self._entries[key] = (value, groups)
        for group in groups:
            self._keys.setdefault(group, set()).add(key)

    def _forget(self, key: K) -> None:
        _, groups = self._entries.pop(key, (None, ()))
        for group in groups:
            keys = self._keys.get(group)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._keys[group]
