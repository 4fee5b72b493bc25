"""Look host names up so that a dead name server holds up nobody who does not ask it."""

import asyncio
import socket
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Final

from tieline.core.errors import Unreachable

Lookup = Callable[[str], list[str]]

LOOKUP_SECONDS: Final = 10.0
# A name whose server is dead keeps a thread for half a minute or so, at no other cost.
_THREADS: Final = 128


def ask_system(host: str) -> list[str]:
    """All addresses of the host, as this machine finds them. Raises OSError or ValueError; blocks."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [str(address[0]) for *_, address in found]


class Names:
    """Host names to addresses, in threads of its own; a name that hangs keeps one, however many ask for it.

    They are daemons, so that the process may end while one hangs. Event loops may share an instance.
    """

    def __init__(self, lookup: Lookup = ask_system, threads: int = _THREADS) -> None:
        self._lookup = lookup
        self._most = threads
        self._running = 0
        self._waiting: deque[str] = deque()
        self._asked: dict[str, Future[list[str]]] = {}
        self._lock = threading.Lock()

    async def addresses(self, host: str, seconds: float = LOOKUP_SECONDS) -> list[str]:
        """All addresses of the host, of which there is at least one. Raises `Unreachable`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()
        try:
            self._ask(host).add_done_callback(partial(_hand_over, loop, answer))
            async with asyncio.timeout(seconds):
                found = await answer
        except TimeoutError as error:
            raise Unreachable(f"The name {host} could not be resolved within {seconds:g} s.", "dns") from error
        except (OSError, ValueError, RuntimeError) as error:
            # The last is of a machine that can start no thread.
            raise Unreachable(f"The name {host} could not be resolved.", "dns") from error
        if not found:
            raise Unreachable(f"The name {host} has no address.", "dns")
        return found

    def is_looking_up(self, host: str) -> bool:
        """Whether the answer for this host is still awaited."""
        return host.lower() in self._asked

    def _ask(self, name: str) -> Future[list[str]]:
        host = name.lower()
        with self._lock:
            if host not in self._asked:
                self._ensure_thread()
                self._asked[host] = Future()
                self._waiting.append(host)
            return self._asked[host]

    def _ensure_thread(self) -> None:
        if self._running < self._most:
            threading.Thread(target=self._work, name="names", daemon=True).start()
            self._running += 1

    def _work(self) -> None:
        while (host := self._next()) is not None:
            self._answer(host)

    def _next(self) -> str | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._running -= 1
            return None

    def _answer(self, host: str) -> None:
        try:
            found = self._lookup(host)
        except Exception as error:  # noqa: BLE001 -- whoever asked gets it
            self._done(host).set_exception(error)
        else:
            self._done(host).set_result(found)

    def _done(self, host: str) -> Future[list[str]]:
        with self._lock:
            return self._asked.pop(host)


def _hand_over(
    loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[list[str]]", found: "Future[list[str]]"
) -> None:
    # In a loop that is closed nobody waits any more.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, answer, found)


def _settle(answer: "asyncio.Future[list[str]]", found: "Future[list[str]]") -> None:
    if answer.done():
        return
    if (error := found.exception()) is not None:
        answer.set_exception(error)
    else:
        answer.set_result(found.result())
