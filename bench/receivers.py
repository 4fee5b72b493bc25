"""Receivers of webhooks in a process of their own: raw HTTP/1.1, so that they are not the bottleneck.

`python -m bench.receivers <mode> ...` listens on a port for each mode and prints the ports; each line on its input
asks for a report, and the end of its input ends it. `Receivers` starts it.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, Self, cast

import orjson

Mode = Literal["answers", "silent", "closes"]

# What is sent to them is signed with it.
KEY: Final = "0123456789abcdef0123456789abcdef"

_ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"
_HEAD_END: Final = b"\r\n\r\n"
_LARGEST_REPORT: Final = 1 << 28


@dataclass
class Report:
    """What one receiver got since the last report.

    `first_byte` says by `webhook-id` when the first byte of its first request came, on the clock of
    `time.perf_counter`, which all processes of a machine share.
    """

    requests: int = 0
    first_byte: dict[str, float] = field(default_factory=dict)


class Receivers:
    """A receiver for each mode, from `async with` until its end."""

    def __init__(self, modes: Sequence[Mode]) -> None:
        self._modes = modes
        self._process: asyncio.subprocess.Process | None = None
        self.ports: list[int] = []

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}/hook" for port in self.ports]

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        command = [sys.executable, "-m", "bench.receivers", *self._modes]
        self._process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=_LARGEST_REPORT)
        self.ports = await self._line()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def report(self) -> list[Report]:
        """What each has got since the last time; they forget it."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        return [Report(**each) for each in await self._line()]

    async def _line(self) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        return orjson.loads(await self._process.stdout.readline())


@dataclass
class _Receiver:
    mode: Mode
    report: Report = field(default_factory=Report)


class _Connection(asyncio.Protocol):
    """A connection of one sender; requests may come in pieces."""

    def __init__(self, receiver: _Receiver) -> None:
        self._receiver = receiver
        self._buffer = b""
        self._began = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._buffer:
            self._began = time.perf_counter()
        self._buffer += data
        while size := _size(self._buffer):
            self._note(_header(self._buffer[:size], b"webhook-id").decode())
            self._buffer = self._buffer[size:]
            self._answer()

    def _note(self, id: str) -> None:
        report = self._receiver.report
        report.requests += 1
        report.first_byte.setdefault(id, self._began)

    def _answer(self) -> None:
        assert self._transport is not None
        if self._receiver.mode == "answers":
            self._transport.write(_ANSWER)
        elif self._receiver.mode == "closes":
            self._transport.abort()


def _size(buffer: bytes) -> int:
    """How long the first request is; 0 as long as it is not all there."""
    end = buffer.find(_HEAD_END)
    if end < 0:
        return 0
    size = end + len(_HEAD_END) + int(_header(buffer[:end], b"content-length") or 0)
    return size if len(buffer) >= size else 0


def _header(head: bytes, name: bytes) -> bytes:
    """Its value; empty when it is not there."""
    start = head.lower().find(b"\r\n" + name + b":")
    return head[start + len(name) + 3 :].split(b"\r\n", 1)[0].strip() if start >= 0 else b""


async def _serve(modes: Sequence[Mode]) -> None:
    loop = asyncio.get_running_loop()
    receivers = [_Receiver(mode) for mode in modes]
    servers = [await loop.create_server(partial(_Connection, each), "127.0.0.1", 0, backlog=1024) for each in receivers]
    _say([server.sockets[0].getsockname()[1] for server in servers])
    asked = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    while await asked.readline():
        _say([vars(each.report) for each in receivers])
        for each in receivers:
            each.report = Report()


def _say(answer: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(_serve(cast("list[Mode]", sys.argv[1:])))
