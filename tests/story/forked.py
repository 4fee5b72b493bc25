"""Servers that begin as a copy of a process which has loaded the program already, since loading takes two seconds.

Everything else is as their operator has it: a process of its own, in a session of its own, with its own environment.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from multiprocessing.forkserver import ensure_running
from pathlib import Path

from tests.story.support import Server
from tieline.cli import main

_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.story.loaded"])


def load() -> None:
    """Begin to load the program, so that it is there when the first server starts."""
    ensure_running()


def _serve(ready: Connection, arguments: Sequence[str], environment: Mapping[str, str], output: Path) -> None:
    os.setsid()
    ready.send_bytes(b"")
    ready.close()
    with output.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["tieline", "serve", *arguments]
    main()


class Fork:
    """The process of a server, with what `asyncio.subprocess.Process` has."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        assert process.pid is not None
        self.pid: int = process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """The status with which it ended."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._process.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
        status = self.returncode
        assert status is not None
        return status


@dataclass
class ForkedServer(Server):
    """A server that starts in the tenth part of the time."""

    async def _begin(self) -> Fork:
        output = self.folder / "server.log"
        reading, writing = _FORKS.Pipe(duplex=False)
        with reading, writing:
            process = _FORKS.Process(target=_serve, args=(writing, self.arguments, self.variables, output))
            process.start()
            writing.close()
            # Whoever kills its group at once must find it.
            reading.recv_bytes()
        return Fork(process)
