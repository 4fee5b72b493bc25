"""What anybody may ask for at any time, and what is not done twice at once."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Flights:
    """One run at a time of each thing: who asks while it is under way gets the same answer."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[Any]] = {}

    async def share(self, name: str, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The answer of `call`, or of the call of that name that is under way."""
        task: asyncio.Task[T] | None = self._running.get(name)
        if task is None or task.done():
            task = self._running[name] = asyncio.create_task(call())
        return await asyncio.shield(task)
