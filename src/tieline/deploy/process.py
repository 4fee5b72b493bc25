"""One run of an executable: a closed environment, its own process group, and pipes that cannot hold us up."""

import asyncio
import os
import signal
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tieline.core.errors import DeployFailed

_LOOK_AGAIN: Final = 0.02


@dataclass(frozen=True)
class Running:
    """A process that has been started."""

    process: Process
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader


@asynccontextmanager
async def running(arguments: Sequence[str], stdin: bytes, grace_seconds: float) -> AsyncIterator[Running]:
    """Start it. When the block is left by an exception its whole process group is ended.

    Raises `DeployFailed` when it cannot be started.
    """
    async with AsyncExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="tieline-home-"))
        stack.push_async_callback(_remove, home)
        started = await _start(stack, arguments, stdin, home)
        try:
            yield started
        except BaseException:
            await asyncio.shield(_end(started.process, grace_seconds))
            raise


async def _start(stack: AsyncExitStack, arguments: Sequence[str], stdin: bytes, home: Path) -> Running:
    # asyncio's own pipes would make `Process.wait` wait for every child that has inherited them.
    # Standard input is a file without a name: it need not be read, and nobody waits for it to be.
    with ExitStack() as ours, tempfile.TemporaryFile() as document:
        document.write(stdin)
        document.seek(0)
        stdout, stdout_end = await _open_pipe(stack, ours)
        stderr, stderr_end = await _open_pipe(stack, ours)
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments,
                stdin=document,
                stdout=stdout_end,
                stderr=stderr_end,
                env=_environment(home),
                cwd=home,
                start_new_session=True,
            )
        except OSError as error:
            raise DeployFailed(f"The deployer {arguments[0]} cannot be started: {error.strerror}.") from error
    return Running(process, stdout, stderr)


async def _open_pipe(stack: AsyncExitStack, ours: ExitStack) -> tuple[asyncio.StreamReader, int]:
    """A reader that `stack` closes, and the end to write to, of which `ours` closes our copy."""
    read_end, write_end = os.pipe()
    ours.callback(os.close, write_end)
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", buffering=0)
    )
    stack.callback(transport.close)
    return reader, write_end


def _environment(home: Path) -> dict[str, str]:
    """The whole environment of the process."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": os.environ.get("LANG", "C.UTF-8"), "HOME": str(home)}


async def _remove(folder: Path) -> None:
    """However deep it is: Python's own `shutil.rmtree` calls itself for every level."""
    process = await asyncio.create_subprocess_exec(
        "rm", "-rf", "--", str(folder), stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    )
    await process.wait()


async def _end(process: Process, grace_seconds: float) -> None:
    """Ask the whole group to end, and make who has not done so in time.

    A shell is gone at once while what it had started still tidies up, so all of the group is waited for.
    """
    _signal_group(process.pid, signal.SIGTERM)
    with suppress(TimeoutError):
        async with asyncio.timeout(grace_seconds):
            await process.wait()
            while _signal_group(process.pid, None):  # noqa: ASYNC110 - nobody is told when a group is empty
                await asyncio.sleep(_LOOK_AGAIN)
    _signal_group(process.pid, signal.SIGKILL)
    await process.wait()


def _signal_group(pid: int, number: signal.Signals | None) -> bool:
    """Whether anybody is left in it. Without a number nothing is sent."""
    try:
        os.killpg(pid, number or 0)
    except (ProcessLookupError, PermissionError):
        # The group is empty once all of it has ended; macOS then says EPERM.
        return False
    return True
