"""Clients that take their time, or come in masses, leave room for everybody else."""

import asyncio
import platform
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tieline.api.plain import answer, read_capped
from tieline.http_server import MOST_UNTAKEN, HTTPServer, allow_files, listen, until_started

HEAD = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\n"
MUCH = 16 * 1024 * 1024
CLOSING = HEAD.replace(b"Host", b"Connection: close\r\nHost")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, await read_capped(scope, receive, 100))


async def much(_scope: Scope, _receive: Receive, send: Send) -> None:
    await answer(send, bytes(MUCH))


async def stream(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Two lines, of a length that is not said."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for line in (b"one\n", b"two\n"):
        await send({"type": "http.response.body", "body": line, "more_body": True})
    await send({"type": "http.response.body"})


@asynccontextmanager
async def serving(
    request_seconds: float, most: int = 100, app: ASGIApp = echo, most_untaken: int = MOST_UNTAKEN
) -> AsyncIterator[int]:
    """The port of a server that has so much patience, and room."""
    with listen("127.0.0.1", 0) as listening:
        server = HTTPServer(app, request_seconds=request_seconds, most=most, most_untaken=most_untaken)
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


@pytest.mark.parametrize(
    ("request_line", "body", "is_chunked"),
    [
        (b"GET / HTTP/1.0", b"one\ntwo\n", False),
        (b"HEAD / HTTP/1.0", b"", False),
        (b"GET / HTTP/1.1\r\nConnection: close", b"4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n\r\n", True),
    ],
)
async def test_a_stream_is_framed_as_the_client_can_read_it(
    request_line: bytes,
    body: bytes,
    is_chunked: bool,  # noqa: FBT001
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(request_seconds=3, app=stream) as port:
        head, _, rest = (await send(port, request_line + b"\r\nHost: here\r\n\r\n")).partition(b"\r\n\r\n")
    assert (rest, b"transfer-encoding: chunked" in head) == (body, is_chunked)
    assert b"connection: close" in head
    assert not caplog.records


async def test_a_length_that_is_said_counts_for_old_clients_too() -> None:
    async with serving(request_seconds=3) as port:
        answered = await send(port, HEAD.replace(b"1.1", b"1.0") + b"abcd")
    assert b"content-length: 4\r\n" in answered
    assert answered.endswith(b"\r\n\r\nabcd")


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


async def test_answers_that_nobody_takes_make_room_for_others() -> None:
    async with serving(request_seconds=30, app=much, most_untaken=3 * MUCH) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        for reader, writer in idle:
            writer.write(CLOSING)
            assert b"200 OK" in await reader.readline()
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(idle[0][0].readexactly(MUCH), 3)
        assert len(await asyncio.wait_for(idle[-1][0].read(), 3)) > MUCH
        for _, writer in idle:
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


LEAVING_HOLES = """
from pathlib import Path
from tieline.http_server import give_back_memory

give_back_memory()
large, small = [], []
for number in range(60):
    large = [*large[-20:], b"x" * (8_000_000 - number * 50_000)]
    small.append(b"x" * 100_000)
large.clear()
print(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 - sum(map(len, small)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps it")
def test_the_memory_of_large_answers_is_given_back() -> None:
    ran = subprocess.run([sys.executable, "-c", LEAVING_HOLES], capture_output=True, check=True)
    assert int(ran.stdout) < 90_000_000
