"""Finds commands that outlived a Tieline that was killed, so that two never work on one environment."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

_STARTED: Final = 19  # of the fields after the command's name in /proc/<pid>/stat


class RunRegister:
    """Remembers in a folder of this machine which process works on what.

    Only one activity at a time works on an environment, so a process that still stands here when the next one
    begins belongs to nobody.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def note(self, name: str, pid: int) -> None:
        """Remember a process group by its leader."""
        self._file(name).write_text(f"{pid} {started_at(pid)}")

    def forget(self, name: str) -> None:
        self._file(name).unlink(missing_ok=True)

    def end_orphan(self, name: str) -> bool:
        """Kill what is left of the last run. True when there was something."""
        pid, started = self._read(name)
        if pid is None or started is None or started_at(pid) != started:
            return False
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        return True

    def _read(self, name: str) -> tuple[int | None, str | None]:
        try:
            pid, started = self._file(name).read_text().split()
            return int(pid), started
        except (FileNotFoundError, ValueError):
            return None, None

    def _file(self, name: str) -> Path:
        return self._folder / f"{name.replace('/', '_')}.run"


def started_at(pid: int) -> str | None:
    """When a process began, in the kernel's ticks: with the id it names one process for ever. None without /proc."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else fields[_STARTED - 1]
