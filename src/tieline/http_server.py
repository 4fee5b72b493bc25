"""Where requests come in: the listening socket, and uvicorn on it."""

import asyncio
import contextlib
import ctypes
import resource
import socket
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tieline.core.errors import Unavailable

GRACEFUL_SECONDS: Final = 2
REQUEST_SECONDS: Final = 60.0
MOST_FILES: Final = 10_240
MOST_UNTAKEN: Final = 256 * 1024 * 1024
_LARGE_BYTES: Final = 256 * 1024
_M_MMAP_THRESHOLD: Final = -3


class UntilClosed:
    """An application for one HTTP/1.0 request: what it streams ends where the connection does.

    uvicorn sends whatever has no length in chunks, which such a client takes for a part of the text.
    """

    def __init__(self, app: ASGIApp, cycle: RequestResponseCycle) -> None:
        self._app = app
        self._cycle = cycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_endless = False

        async def unframed(message: Message) -> None:
            nonlocal is_endless
            if message["type"] == "http.response.start":
                is_endless = all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
            if is_endless:
                self._frame(message)
            await send(message)

        await self._app(scope, receive, unframed)

    def _frame(self, message: Message) -> None:
        """Have uvicorn believe in a length that has been announced, and is kept by the last part."""
        if message["type"] == "http.response.start":
            self._cycle.chunked_encoding = False
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        self._cycle.expected_content_length = len(message.get("body", b"")) if is_last else sys.maxsize


class Connection(HttpToolsProtocol):
    """A client's connection, on which each request must arrive whole within `request_seconds`.

    uvicorn waits for the rest of a request for ever, so a few clients that never send it would take up every file
    descriptor of this process, those for the database and for git too. Beyond `most` connections, the one whose
    request has been `arriving` longest makes room.

    Nor does uvicorn limit what clients have asked for and do not take, which stays in memory until they do. Beyond
    `most_untaken` bytes on all connections, the one whose answer has been `leaving` longest makes room.
    """

    def __init__(
        self,
        *arguments: Any,
        request_seconds: float,
        most: int,
        most_untaken: int,
        arriving: "dict[Connection, None]",
        leaving: "dict[Connection, None]",
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self._request_seconds = request_seconds
        self._most = most
        self._most_untaken = most_untaken
        self._arriving = arriving
        self._leaving = leaving
        self._deadline: asyncio.TimerHandle | None = None
        self._is_arriving = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > self._most:
            next(iter(self._arriving)).give_up()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_watching()
        self._leaving.pop(self, None)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._leaving[self] = None
        self._make_room()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._leaving.pop(self, None)

    def _make_room(self) -> None:
        """Give up who has been slowest, but never this one: an answer may be as large as it is."""
        untaken = sum(each.transport.get_write_buffer_size() for each in self._leaving)
        for each in [each for each in self._leaving if each is not self]:
            if untaken <= self._most_untaken:
                return
            untaken -= each.transport.get_write_buffer_size()
            each.give_up()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        is_old = cycle.scope["http_version"] == "1.0"
        super()._start_asgi_task(cycle, cast("Any", UntilClosed(app, cycle)) if is_old else app)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_arriving = True

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_arriving = False
        self._stop_watching()

    def _watch(self) -> None:
        if self._is_arriving and self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(self._request_seconds, self.give_up)
            self._arriving[self] = None

    def give_up(self) -> None:
        """Wait no longer for this client."""
        self._stop_watching()
        self._leaving.pop(self, None)
        self.transport.abort()

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
            del self._arriving[self]


def most_connections() -> int:
    """How many connections clients have at once: half of the files that may be open are for other things."""
    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], MOST_FILES) // 2


def allow_files() -> None:
    """Have this process open as many files as it may, up to `MOST_FILES`: many systems begin with 1,024 of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def give_back_memory() -> None:
    """Have what large answers took go back to the system when they are sent.

    glibc keeps large blocks apart from small ones only until one is freed, and then among them, where the holes of
    former answers add up. Other C libraries have no such habit, and no such function.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


class HTTPServer(uvicorn.Server):
    """uvicorn without its own view of signals: they stop the worker too, so they are handled here."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        request_seconds: float = REQUEST_SECONDS,
        most: int | None = None,
        most_untaken: int = MOST_UNTAKEN,
    ) -> None:
        connection = partial(
            Connection,
            request_seconds=request_seconds,
            most=most or most_connections(),
            most_untaken=most_untaken,
            arriving={},
            leaving={},
        )
        super().__init__(
            uvicorn.Config(
                app,
                http=cast("type[asyncio.Protocol]", connection),
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=GRACEFUL_SECONDS,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections from now on. Raises `Unavailable` for an address that cannot be had."""
    # asyncio turns off Nagle's algorithm only for sockets that say they are TCP; `create_server` makes none such.
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise Unavailable(f"{host}:{port} cannot be listened on: {error.strerror}. Set TIELINE_LISTEN.") from error
    return bound


async def until_started(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    """Wait until `serving` answers requests. Raises what it ended with, or `Unavailable`."""
    while not server.started:
        if serving.done():
            await serving
            raise Unavailable("The HTTP server ended before it had started.")
        await asyncio.sleep(0.005)
