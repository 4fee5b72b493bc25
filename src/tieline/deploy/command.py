"""The deployer that calls an executable of the operator's. `docs/deployers.md` is its protocol."""

import asyncio
import signal
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from tieline.core.errors import DeployFailed
from tieline.core.ports import Action, DeployAnswer, DeployOrder, Log
from tieline.deploy.orphans import RunRegister
from tieline.deploy.output import AnswerKeeper, LineSplitter, check_answer, parse_answer
from tieline.deploy.process import Running, running

MEGABYTE: Final = 1024 * 1024
_CHUNK: Final = 64 * 1024
_MOST_LINGERS: Final = 10


@dataclass(frozen=True)
class Limits:
    """How far a command may go. Its pipes are read on after its end until they are silent for `linger_seconds`."""

    seconds: float = 3600.0
    grace_seconds: float = 5.0
    linger_seconds: float = 1.0
    output_bytes: int = 64 * MEGABYTE


class CommandDeployer:
    """Calls `executable <action>` with the order's document on standard input.

    `runs` is a folder of this machine in which the processes under way are remembered.
    """

    def __init__(self, executable: Path, runs: Path, limits: Limits | None = None) -> None:
        self._executable = executable
        self._register = RunRegister(runs)
        self._limits = limits or Limits()

    async def run(self, order: DeployOrder, log: Log) -> DeployAnswer:
        """Raises `DeployFailed` for an exit status other than 0, too much time or output, or a wrong answer."""
        output = _Output(log, self._limits)
        if self._register.end_orphan(_name(order)):
            await log.write("Ended a deployer that an earlier attempt had left running.")
        try:
            status = await self._run_in_time(order, output)
        finally:
            self._register.forget(_name(order))
            await output.flush()
        if status != 0:
            raise _failure(order.action, status)
        return output.answer()

    async def _run_in_time(self, order: DeployOrder, output: "_Output") -> int:
        command, document = [str(self._executable), order.action], orjson.dumps(order.document)
        limit = asyncio.timeout(self._limits.seconds)
        try:
            async with limit, running(command, document, self._limits.grace_seconds) as started:
                self._register.note(_name(order), started.process.pid)
                return await self._converse(started, output)
        except TimeoutError as error:
            if not limit.expired():
                raise
            text = f"The deployer's {order.action} took longer than {self._limits.seconds:g} s and was ended."
            raise DeployFailed(text) from error

    async def _converse(self, started: Running, output: "_Output") -> int:
        """Read until the process has ended; a child of it that keeps the pipes open does not hold us up."""
        try:
            async with asyncio.TaskGroup() as group:
                readers = {
                    group.create_task(output.read_stdout(started.stdout)),
                    group.create_task(output.read_stderr(started.stderr)),
                }
                status = await started.process.wait()
                await self._linger(readers, output)
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors.exceptions[0].__cause__
        return status

    async def _linger(self, readers: Collection[asyncio.Task[None]], output: "_Output") -> None:
        for _ in range(_MOST_LINGERS):
            before = output.received
            _, silent = await asyncio.wait(readers, timeout=self._limits.linger_seconds)
            if not silent or output.received == before:
                break
        for reader in readers:
            reader.cancel()


class _Output:
    """Carries what a command prints into the log, and keeps its answer."""

    def __init__(self, log: Log, limits: Limits) -> None:
        self.received = 0
        self._log = log
        self._most = limits.output_bytes
        self._stdout = LineSplitter()
        self._stderr = LineSplitter()
        self._keeper = AnswerKeeper()

    async def read_stdout(self, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(_CHUNK):
            self._count(chunk)
            await self._write(self._keeper.feed(self._stdout.feed(chunk)))

    async def read_stderr(self, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(_CHUNK):
            self._count(chunk)
            await self._write(self._stderr.feed(chunk))

    async def flush(self) -> None:
        """Write what had no newline yet, and the last line if it is no answer."""
        await self._write(self._stderr.end())
        await self._write(self._keeper.feed(self._stdout.end()))
        if self._keeper.held is not None and parse_answer(self._keeper.held) is None:
            await self._write([self._keeper.held])

    def answer(self) -> DeployAnswer:
        """Raises `DeployFailed` when it cannot be meant."""
        return check_answer(parse_answer(self._keeper.held) or {})

    def _count(self, chunk: bytes) -> None:
        self.received += len(chunk)
        if self.received > self._most:
            raise DeployFailed(f"The deployer printed more than {self._most // MEGABYTE} MiB and was ended.")

    async def _write(self, lines: list[str]) -> None:
        if lines:
            await self._log.write("\n".join(lines) + "\n")


def _name(order: DeployOrder) -> str:
    """What the order is about, as the name of a file."""
    return f"{order.document['project']['id']}-{order.document['environment']['id']}"


def _failure(action: Action, status: int) -> DeployFailed:
    if status < 0:
        return DeployFailed(f"The deployer's {action} was ended by signal {-status} ({signal.strsignal(-status)}).")
    return DeployFailed(f"The deployer's {action} ended with exit status {status}.", status)
