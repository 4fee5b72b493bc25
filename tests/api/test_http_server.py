"""Clients that take their time, or come in masses, leave room for everybody else."""

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from starlette.types import Receive, Scope, Send

from tieline.api.plain import answer, read_capped
from tieline.http_server import HTTPServer, allow_files, listen, until_started

HEAD = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\n"
CLOSING = HEAD.replace(b"Host", b"Connection: close\r\nHost")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, await read_capped(scope, receive, 100))


@asynccontextmanager
async def serving(request_seconds: float, most: int = 100) -> AsyncIterator[int]:
    """The port of a server that has so much patience, and room."""
    with listen("127.0.0.1", 0) as listening:
        server = HTTPServer(echo, request_seconds=request_seconds, most=most)
        task = asyncio.create_task(server.serve([listening]))
        await until_started(server, task)
        yield listening.getsockname()[1]
        server.should_exit = True
        await task


async def send(port: int, *parts: bytes) -> bytes:
    """What comes back until the server closes the connection, or for three seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await asyncio.sleep(0.05)
    try:
        return await asyncio.wait_for(reader.read(), 3)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_a_request_that_does_not_arrive_in_time_is_not_waited_for() -> None:
    async with serving(request_seconds=0.3) as port:
        slow = [(), (b"G",), (HEAD[:30],), (HEAD,), (HEAD + b"ab",), (HEAD + b"abcd" + HEAD,)]
        answers = await asyncio.gather(*(send(port, *parts) for parts in slow))
        assert [b"200 OK" in each for each in answers] == [False] * 5 + [True]
        assert b"\r\n\r\nabcd" in answers[-1]


async def test_a_connection_may_last_longer_than_a_request() -> None:
    async with serving(request_seconds=0.3) as port:
        answered = await send(port, *[HEAD + b"ab", b"cd", HEAD, b"efgh"] * 4, CLOSING + b"ijkl")
        assert [part in answered for part in (b"abcd", b"efgh", b"ijkl")] == [True] * 3


async def test_where_there_is_no_room_who_has_been_slowest_makes_some() -> None:
    async with serving(request_seconds=30, most=3) as port:
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for _, writer in slow:
            writer.write(HEAD)
        assert b"abcd" in await send(port, CLOSING + b"abcd")
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(slow[0][0].read(), 3) == b""
        for reader, writer in slow[1:]:
            writer.write(b"late")
            assert b"200 OK" in await asyncio.wait_for(reader.readline(), 3)
        for _, writer in slow:
            writer.close()


@contextmanager
def files(most: int) -> Iterator[None]:
    """Only so many files may be open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_as_many_files_as_the_system_lets_be_open_are_open() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with files(most=256):
        allow_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == (10_240 if hard < 0 else min(10_240, hard))
