"""Run git: a closed environment, a time limit, caps on output, and nothing left running.

Configuration travels in `GIT_CONFIG_*` variables and never in argv, which every user of a machine can read.
"""

import asyncio
import os
import signal
from asyncio import IncompleteReadError
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from tieline.core.errors import GitFailed, TielineError
from tieline.core.redact import Redactor
from tieline.git.failures import explain

MEGABYTE: Final = 1024 * 1024
LARGEST_FILE: Final = 16 * 1024 * MEGABYTE
LARGEST_MEMORY: Final = 4 * 1024 * MEGABYTE
NOT_FOUND: Final = 127
"""The status with which the shell ends where there is no git."""
_ERROR_BYTES: Final = 64 * 1024
_GRACE_SECONDS: Final = 2.0
_PASSED_ON: Final = ("PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH")

_ENVIRONMENT: Final = {
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "/nonexistent",
    "LC_ALL": "C",
    "TZ": "UTC",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_ADVICE": "0",
}

BASE_CONFIG: Final[Mapping[str, str]] = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.askPass": "",
    "core.sshCommand": "false",
    "core.quotePath": "false",
    "credential.helper": "",
    "gc.auto": "0",
    "gc.autoDetach": "false",
    "maintenance.auto": "false",
    "safe.bareRepository": "explicit",
    "submodule.recurse": "false",
    "i18n.logOutputEncoding": "UTF-8",
    "log.showSignature": "false",
    "protocol.allow": "never",
}


@dataclass(frozen=True)
class Command:
    """One run of git. `lock` is a file descriptor that its children keep open, so that a lock outlives us."""

    arguments: tuple[str, ...]
    stdin: bytes = field(default=b"", repr=False)
    config: Mapping[str, str] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict)
    redactor: Redactor = field(default_factory=Redactor)
    seconds: float = 60.0
    max_bytes: int = 64 * MEGABYTE
    lock: int | None = None
    niceness: int = 0
    memory: int = LARGEST_MEMORY
    largest_file: int = LARGEST_FILE


async def run(command: Command) -> bytes:
    """What git printed. Raises `GitFailed`, or the `RemoteError` that its complaint amounts to."""
    status, output, complaint = await run_for_status(command)
    if status != 0:
        raise explain(command.arguments[0], status, complaint)
    return output


async def run_for_status(command: Command) -> tuple[int, bytes, str]:
    """Exit status, output and redacted complaint. Raises `GitFailed` on the time limit or too much output."""
    async with _started(command) as process:
        try:
            async with asyncio.timeout(command.seconds):
                output, errors = await _converse(process, command)
                status = await process.wait()
        except TimeoutError as error:
            raise _too_slow(command) from error
    return status, output, command.redactor.text(errors.decode(errors="replace")).strip()


async def run_for_beginning(command: Command) -> bytes:
    """At most the first `max_bytes` of what git prints; it is ended as soon as there is more. Raises as `run`.

    Commands with input are not for this.
    """
    async with _started(command) as process:
        try:
            async with asyncio.timeout(command.seconds), asyncio.TaskGroup() as group:
                errors = group.create_task(_read(process.stderr, _ERROR_BYTES))
                output = await _read_beginning(process, command.max_bytes)
                status = await process.wait()
        except TimeoutError as error:
            raise _too_slow(command) from error
    if status != 0 and len(output) < command.max_bytes:
        complaint = command.redactor.text(errors.result()[0].decode(errors="replace")).strip()
        raise explain(command.arguments[0], status, complaint)
    return output


class Conversation:
    """A git that answers one question after another."""

    def __init__(self, command: Command, process: Process) -> None:
        assert process.stdin is not None  # noqa: S101 - pipes, as conversing() has them
        assert process.stdout is not None  # noqa: S101
        self._command = command
        self._process = process
        self._questions = process.stdin
        self._answers = process.stdout

    async def ask(self, question: bytes) -> bytes:
        """The line that git answers with, without its end. Raises as `run`."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._questions.write(question + b"\n")
            await self._questions.drain()
        line = await self._answers.readline()
        if not line.endswith(b"\n"):
            raise await self._ended()
        return line.removesuffix(b"\n")

    async def take(self, size: int) -> bytes:
        """So many bytes of what follows. Raises as `run`."""
        try:
            return await self._answers.readexactly(size)
        except IncompleteReadError as error:
            raise await self._ended() from error

    async def _ended(self) -> TielineError:
        errors, _ = await _read(self._process.stderr, _ERROR_BYTES)
        complaint = self._command.redactor.text(errors.decode(errors="replace")).strip()
        return explain(self._command.arguments[0], await self._process.wait(), complaint)


@asynccontextmanager
async def conversing(command: Command) -> AsyncIterator[Conversation]:
    """A git to talk with until the block ends. Raises `GitFailed` when that takes longer than `seconds`.

    For commands that say little beside their answers: what they complain of is read only once they have ended.
    """
    async with _started(command, stdin=PIPE) as process:
        try:
            async with asyncio.timeout(command.seconds):
                yield Conversation(command, process)
                await _feed(process, b"")
                await process.wait()
        except TimeoutError as error:
            raise _too_slow(command) from error


def _too_slow(command: Command) -> GitFailed:
    return GitFailed(f"git {command.arguments[0]} took longer than {command.seconds:g} s.")


@asynccontextmanager
async def _started(command: Command, stdin: int | None = None) -> AsyncIterator[Process]:
    """A running git in its own process group, none of which is left when the block is."""
    process = await asyncio.create_subprocess_exec(
        *restrained(command),
        stdin=stdin or (PIPE if command.stdin else DEVNULL),
        stdout=PIPE,
        stderr=PIPE,
        env=environment_of(command),
        cwd="/",
        start_new_session=True,
        pass_fds=() if command.lock is None else (command.lock,),
    )
    try:
        _lower_priority(process.pid, command.niceness)
        yield process
    except BaseException:
        # git may be gone already while its git-remote-http still runs, so the group is ended in any case.
        await asyncio.shield(_end(process))
        raise


def environment_of(command: Command) -> dict[str, str]:
    """The whole environment of the process; nothing else of ours is passed on."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    config = {**BASE_CONFIG, **command.config}
    variables = {"GIT_CONFIG_COUNT": str(len(config))}
    for number, (key, value) in enumerate(config.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return {"PATH": os.defpath, **kept, **_ENVIRONMENT, **variables, **command.environment}


def restrained(command: Command) -> tuple[str, ...]:
    """Its argv, begun by a shell that bounds the size of a file it writes and its memory, and becomes git.

    A pack may be endless, and an object small only as long as it is packed. Limits set from outside, once git
    runs, come too late for what it allocates at once. Where the machine's own limits are lower, those stay.
    """
    limits = f"ulimit -f {command.largest_file // 512}; ulimit -d {command.memory // 1024}"
    return ("/bin/sh", "-c", f'{{ {limits}; }} 2>/dev/null; exec git "$@"', "git", *command.arguments)


def _lower_priority(pid: int, niceness: int) -> None:
    # It may have ended already.
    with suppress(ProcessLookupError):
        if niceness:
            os.setpriority(os.PRIO_PGRP, pid, niceness)


async def _converse(process: Process, command: Command) -> tuple[bytes, bytes]:
    async with asyncio.TaskGroup() as group:
        group.create_task(_feed(process, command.stdin))
        output = group.create_task(_read(process.stdout, command.max_bytes))
        errors = group.create_task(_read(process.stderr, _ERROR_BYTES))
    kept, is_cut = output.result()
    if is_cut:
        raise GitFailed(f"git {command.arguments[0]} printed more than {command.max_bytes} bytes.")
    return kept, errors.result()[0]


async def _feed(process: Process, data: bytes) -> None:
    if process.stdin is None:
        return
    # git may end, with a complaint that says why, before it has read everything.
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()


async def _read(stream: asyncio.StreamReader | None, max_bytes: int) -> tuple[bytes, bool]:
    """The first `max_bytes`, and whether there was more; the rest is read and dropped, so that git can end."""
    kept = bytearray()
    is_cut = False
    while stream is not None and (chunk := await stream.read(64 * 1024)):
        is_cut = is_cut or len(kept) + len(chunk) > max_bytes
        kept += chunk[: max_bytes - len(kept)]
    return bytes(kept), is_cut


async def _read_beginning(process: Process, max_bytes: int) -> bytes:
    """The first `max_bytes`. Whatever follows is dropped: a pipe that nobody empties would hide git's end."""
    kept = bytearray()
    stream = process.stdout
    while stream is not None and len(kept) < max_bytes and (chunk := await stream.read(64 * 1024)):
        kept += chunk
    if len(kept) >= max_bytes:
        _signal_group(process.pid, signal.SIGTERM)
        await _read(stream, 0)
    return bytes(kept[:max_bytes])


async def _end(process: Process) -> None:
    """Ask the whole group to end, so that git removes its lock files; then make it."""
    _signal_group(process.pid, signal.SIGTERM)
    with suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_SECONDS):
            await _ended(process)
    _signal_group(process.pid, signal.SIGKILL)
    await _ended(process)


async def _ended(process: Process) -> None:
    """Wait for its end, which a pipe that is full and that nobody empties would hide."""
    await _read(process.stdout, 0)
    await _read(process.stderr, 0)
    await process.wait()


def _signal_group(pid: int, number: signal.Signals) -> None:
    # The group is empty once all of it has ended; macOS then says EPERM.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
