"""The server's side of the zygote: starts it, has it fork and kill, and hears from it how each run ended."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Final

import structlog

import tieline
from tieline.core.errors import Unavailable
from tieline.scripts.confinement import Limits
from tieline.scripts.frames import ENDED, FORK, HEAD, KILL, LARGEST, ORDER

log = structlog.get_logger()

_START_SECONDS: Final = 30.0
_END_SECONDS: Final = 2.0
_PROGRAM: Final = """
import sys
sys.path += sys.argv[4:]
from tieline.scripts.zygote import main
main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
"""


class Channel:
    """The server's end of the socket of one run."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end

    async def send(self, message: bytes) -> None:
        """Does nothing when the process has ended: what it does not say tells."""
        with suppress(ConnectionError):
            await asyncio.get_running_loop().sock_sendall(self._end, HEAD.pack(len(message)) + message)

    async def receive(self) -> bytes | None:
        """The next message; None when the process has ended. Raises `ValueError` when it is too large."""
        head = await self._read(HEAD.size)
        if head is None:
            return None
        (length,) = HEAD.unpack(head)
        if length > LARGEST:
            raise ValueError(f"a frame of {length} bytes")
        return await self._read(length)

    def close(self) -> None:
        self._end.close()

    async def _read(self, length: int) -> bytes | None:
        data = bytearray()
        while len(data) < length:
            try:
                part = await asyncio.get_running_loop().sock_recv(self._end, min(length - len(data), 1 << 20))
            except ConnectionError:
                return None
            if not part:
                return None
            data += part
        return bytes(data)


@dataclass
class Child:
    """The process of one run. `exit_code` is None when the zygote was lost before it could tell."""

    channel: Channel
    exit_code: "asyncio.Future[int | None]"
    kill: Callable[[], None]

    def end(self) -> None:
        """Kill it, unless it has ended."""
        self.channel.close()
        if not self.exit_code.done():
            self.kill()


class Zygote:
    """One zygote, while it lives."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._numbers = count(1)
        self._ends: dict[int, asyncio.Future[int | None]] = {}
        self._listening = asyncio.create_task(self._listen(), name="scripts")

    @property
    def is_alive(self) -> bool:
        return not self._listening.done()

    def fork(self) -> Child:
        """Have it start a process. Raises `OSError` when it cannot be told."""
        number = next(self._numbers)
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [ORDER.pack(FORK, number)], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        self._ends[number] = asyncio.get_running_loop().create_future()
        return Child(Channel(ours), self._ends[number], lambda: self._kill(number))

    async def close(self) -> None:
        """End it and all that it has forked, and wait for that."""
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        self._control.close()
        await _end(self._process)

    def _kill(self, number: int) -> None:
        # A zygote that has ended has taken all of its forks with it.
        with suppress(OSError):
            self._control.send(ORDER.pack(KILL, number))

    async def _listen(self) -> None:
        try:
            while report := await _report(self._control):
                number, code = report
                self._tell(number, code)
        finally:
            for number in list(self._ends):
                self._tell(number, None)

    def _tell(self, number: int, code: int | None) -> None:
        future = self._ends.pop(number)
        if not future.done():
            future.set_result(code)


@dataclass
class Nursery:
    """Starts a zygote when the first process is wanted, and another one when that has ended."""

    limits: Limits
    _zygote: Zygote | None = None
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def fork(self) -> Child:
        """A new process. Raises `Unavailable`."""
        async with self._starting:
            for _ in range(2):
                zygote = await self._living()
                with suppress(OSError):
                    return zygote.fork()
                await zygote.close()
        raise Unavailable("No process for a script could be started.")

    async def close(self) -> None:
        """End everything. May be called when nothing was ever started."""
        if self._zygote is not None:
            await self._zygote.close()

    async def _living(self) -> Zygote:
        if self._zygote is None or not self._zygote.is_alive:
            if self._zygote is not None:
                log.warning("scripts.zygote_lost")
                await self._zygote.close()
            self._zygote = await _start(self.limits)
        return self._zygote


async def _start(limits: Limits) -> Zygote:
    """Raises `Unavailable`."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        try:
            process = await asyncio.create_subprocess_exec(
                *_command(theirs.fileno(), limits),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={"TZ": "UTC0"},
                cwd="/",
                process_group=0,
            )
        except OSError as error:
            ours.close()
            raise Unavailable(f"The process that runs scripts cannot be started: {error.strerror}.") from error
    return await _until_ready(process, ours)


async def _until_ready(process: asyncio.subprocess.Process, control: socket.socket) -> Zygote:
    try:
        async with asyncio.timeout(_START_SECONDS):
            report = await _report(control)
    except TimeoutError:
        report = None
    except BaseException:
        control.close()
        raise
    if report is None:
        control.close()
        await _end(process)
        raise Unavailable("The process that runs scripts ended, or was not ready, before it had run any.")
    log.info("scripts.ready", isolation=_isolation(has_filter=bool(report[1])))
    return Zygote(process, control)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Wait for it to end, which it does by itself without us; make it, when it does not."""
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _END_SECONDS)
        return
    process.kill()
    await process.wait()


def _command(control: int, limits: Limits) -> list[str]:
    arguments = [str(control), str(os.getpid()), json.dumps(asdict(limits)), *_where_code_is()]
    return [sys.executable, "-I", "-S", "-X", "utf8", "-c", _PROGRAM, *arguments]


def _where_code_is() -> list[str]:
    engine = find_spec("_quickjs")
    if engine is None or engine.origin is None:
        raise Unavailable("The engine of scripts, quickjs-ng, is not installed.")
    return [str(Path(tieline.__file__).parent.parent), str(Path(engine.origin).parent)]


def _isolation(*, has_filter: bool) -> str:
    return "process, limits, seccomp" if has_filter else "process, limits"


async def _report(control: socket.socket) -> tuple[int, int] | None:
    """What the zygote says next; None when it has ended."""
    data = b""
    while len(data) < ENDED.size:
        try:
            part = await asyncio.get_running_loop().sock_recv(control, ENDED.size - len(data))
        except ConnectionError:
            return None
        if not part:
            return None
        data += part
    number, code = ENDED.unpack(data)
    return number, code
