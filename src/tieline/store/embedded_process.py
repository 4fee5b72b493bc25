"""Processes of the embedded PostgreSQL: whom they run as, how they end with ours, and what killed ones leave behind."""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final

from tieline.core.errors import Unavailable

_SOCKET: Final = ".s.PGSQL.5432"
_PR_SET_PDEATHSIG: Final = 1
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


def start(command: Sequence[str], account: pwd.struct_passwd | None, output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a server that the kernel asks to end, by SIGINT, when the thread that started it is gone."""
    run_as = _as(account)
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=_ENVIRONMENT,
        cwd="/",
        start_new_session=True,  # Ctrl-C at a terminal is for Tieline, which ends the server last
        preexec_fn=partial(_die_with, os.getpid(), signal.SIGINT),  # noqa: PLW1509 - two system calls, no locks
        user=run_as.user,
        group=run_as.group,
        extra_groups=run_as.extra_groups,
    )


def run(command: Sequence[str], account: pwd.struct_passwd | None) -> None:
    """Run a program to its end, which comes early when we are killed. Raises `Unavailable` when it fails."""
    run_as = _as(account)
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=_ENVIRONMENT,
        preexec_fn=partial(_die_with, os.getpid(), signal.SIGKILL),
        user=run_as.user,
        group=run_as.group,
        extra_groups=run_as.extra_groups,
    )
    if ended.returncode != 0:
        raise Unavailable(f"{Path(command[0]).name} failed: {ended.stderr.strip() or ended.stdout.strip()}")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server: transactions under way are rolled back."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)
        process.wait()


def clear_the_way(data: Path, sockets: Path) -> None:
    """Deal with what an owner that was killed has left. We hold the lock: no other runs it now."""
    pid = _recorded_pid(data)
    if pid is not None and _is_postgres_of(pid, data):
        _end_orphan(pid, data)
    # Something else may have that id by now, and PostgreSQL would take it for itself and refuse to start.
    if pid is not None and not _is_postgres_of(pid, data):
        (data / "postmaster.pid").unlink(missing_ok=True)
    for name in (_SOCKET, f"{_SOCKET}.lock"):
        (sockets / name).unlink(missing_ok=True)


def _end_orphan(pid: int, data: Path) -> None:
    """End a server that outlived its owner, or has not yet noticed that it is gone."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if not _is_postgres_of(pid, data):
                return
            time.sleep(0.05)


def _recorded_pid(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text().splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _is_postgres_of(pid: int, data: Path) -> bool:
    """Process ids are used again, so the command line is asked too."""
    return f" -D {data} " in _command_line(pid)


def _command_line(pid: int) -> str:
    """The arguments, joined by spaces; empty when there is no such process."""
    if sys.platform == "linux":  # where small containers have no `ps`
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="surrogateescape")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    command = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@dataclass(frozen=True)
class _RunAs:
    """Whom a child runs as; all None: whoever we are."""

    user: int | None = None
    group: int | None = None
    extra_groups: tuple[int, ...] | None = None


def _as(account: pwd.struct_passwd | None) -> _RunAs:
    return _RunAs() if account is None else _RunAs(account.pw_uid, account.pw_gid, ())


# Looked up here: in a child of a process with threads, the lock of the loader may be held for ever.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def _die_with(parent: int, number: signal.Signals) -> None:
    """Runs between fork and exec: the kernel sends this signal (SIGINT: a fast shutdown) when our process is gone."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os._exit(1)
