"""What is taken from a process before it runs a script: descriptors, time, memory, files, processes, system calls."""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tieline.scripts import seccomp

_NOBODY: Final = 65534
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_LOWEST_PRIORITY: Final = 19


@dataclass(frozen=True)
class Limits:
    """What one script may use: seconds of the processor, seconds on the clock, bytes, calls of its host.

    What it may ask for is bounded as well, because answering is the server's work, of which others want their share.
    """

    processor_seconds: float = 5.0
    seconds: float = 60.0
    engine_bytes: int = 64 * 1024 * 1024
    stack_bytes: int = 512 * 1024
    process_bytes: int = 400 * 1024 * 1024
    calls: int = 1000
    log_lines: int = 2000
    log_characters: int = 1024 * 1024


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends. Where there is no such thing, sockets that close tell."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # What other processes of the same account may not look into.
    libc.prctl(_PR_SET_DUMPABLE, 0)
    if os.getppid() != parent:
        os._exit(1)


def be_the_first_to_go() -> None:
    """Have the kernel end scripts before anything else, where memory runs out; forks inherit that."""
    with suppress(OSError):  # there is no such file on other systems
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def become_nobody() -> None:
    """Give up being root. Does nothing for others, nor where there is no other account to become."""
    if os.geteuid() != 0:
        return
    try:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except OSError:
        # In a container that has one account only; the limits and the filter hold all the same.
        return


def confine(kept: int, limits: Limits, instructions: bytes | None) -> None:
    """Leave this process one descriptor and its processor time. `instructions` filter its system calls."""
    os.closerange(0, kept)
    os.closerange(kept + 1, _descriptors())
    os.setpriority(os.PRIO_PROCESS, 0, _LOWEST_PRIORITY)
    _limit_processor(limits.processor_seconds)
    for kind, value in _limits(limits):
        _limit(kind, value)
    if instructions is not None:
        seccomp.install(instructions)


def filter_that_works() -> bytes | None:
    """The filter for this machine, if its kernel takes it: a fork tries."""
    instructions = seccomp.filter_of_this_machine()
    if instructions is None:
        return None
    pid = os.fork()
    if pid == 0:
        _try_filter(instructions)
    _, status = os.waitpid(pid, 0)
    return instructions if status == 0 else None


def _try_filter(instructions: bytes) -> None:
    """Ends the process."""
    try:
        seccomp.install(instructions)
        os._exit(0)
    finally:
        os._exit(1)


def _descriptors() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if 0 < soft < 1 << 20 else 1 << 20


def _limit_processor(seconds: float) -> None:
    # The timer is exact and the limit is not, but what is in the process cannot undo that.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    _limit(resource.RLIMIT_CPU, int(seconds) + 1)


def _limits(limits: Limits) -> Sequence[tuple[int, int]]:
    bounds = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_NPROC, 0),
    ]
    # macOS refuses to bound what a process has mapped already.
    return [*bounds, (resource.RLIMIT_AS, limits.process_bytes)] if sys.platform == "linux" else bounds


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (bound, bound))
