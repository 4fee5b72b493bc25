"""Repositories on disk: how one is made, locked among processes, and cleaned after a crash."""

import asyncio
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from tieline.core.errors import Unavailable
from tieline.git.command import Command, run
from tieline.git.failures import storage_trouble

_CONFIG: Final = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tlogAllRefUpdates = false
\tcommitGraph = true
[transfer]
\thideRefs = refs/sync
[gc]
\tauto = 0
\twriteCommitGraph = true
[receive]
\tdenyDeletes = false
"""
# A deployer gets the bytes that were committed: no line ending is changed and no filter runs.
_ATTRIBUTES: Final = "* -text -eol -ident -filter -working-tree-encoding\n"
_POLL_SECONDS: Final = 0.05
MOST_PACKS: Final = 20
GC_EVERY: Final = timedelta(days=7)
LOCK_SECONDS: Final = 1800.0


async def create(path: Path) -> None:
    """Make an empty bare repository appear whole or not at all; one that is there is kept."""
    with storing():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        await _create(path)


@contextmanager
def storing() -> Iterator[None]:
    """Raises `Unavailable`, which a person can understand, where the disk fails."""
    try:
        yield
    except OSError as error:
        raise storage_trouble(error.strerror) from error


async def _create(path: Path) -> None:
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=path.parent))
    try:
        arguments = ("init", "--quiet", "--bare", "--template=", "--initial-branch=main", "--", str(fresh))
        await run(Command(arguments))
        (fresh / "config").write_text(_CONFIG)
        (fresh / "info").mkdir(exist_ok=True)
        (fresh / "info" / "attributes").write_text(_ATTRIBUTES)
        _put_in_place(fresh, path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _put_in_place(fresh: Path, path: Path) -> None:
    try:
        fresh.rename(path)
    except OSError:
        # Another process was first; a folder that is not empty cannot be replaced.
        if not (path / "HEAD").exists():
            raise


@asynccontextmanager
async def locked(path: Path, seconds: float = LOCK_SECONDS) -> AsyncIterator[int]:
    """Hold the repository alone, among all processes of this machine; gives the descriptor for git to inherit.

    While git runs it holds the lock too, so a killed Tieline whose git still writes keeps others out. Whoever
    finds the mark of a holder that did not end well removes what it left behind. Raises `Unavailable`.
    """
    with storing():
        descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        await _acquire(descriptor, path, seconds)
        with storing():
            if os.fstat(descriptor).st_size:
                await asyncio.to_thread(remove_leftovers, path)
            os.pwrite(descriptor, b"held\n", 0)
        yield descriptor
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


async def _acquire(descriptor: int, path: Path, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not _try_lock(descriptor):  # noqa: ASYNC110 -- only the kernel knows when another process lets go
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError as error:
        raise Unavailable(f"The repository {path.stem} is in use by another process for too long.") from error


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_worn(path: Path) -> bool:
    """Whether git would be quicker after some maintenance: there are many packs, as every fetch makes one."""
    packs = len(list((path / "objects/pack").glob("*.pack")))
    return packs > MOST_PACKS or (packs > 0 and not (path / "objects/info/commit-graphs").exists())


def is_gc_due(path: Path) -> bool:
    """Whether a week has gone by since this was last asked and true; never for a repository that is new."""
    stamp, moment = path / "gc-stamp", time.time()
    due = stamp.exists() and moment - stamp.stat().st_mtime > GC_EVERY.total_seconds()
    if due or not stamp.exists():
        stamp.touch()
    return due


def remove_leftovers(path: Path) -> None:
    """Remove the lock files and half-written packs of a git that was killed. Only while the repository is held."""
    for lock in path.rglob("*.lock"):
        lock.unlink(missing_ok=True)
    # Only here: a branch may well be called tmp_something.
    for half in (path / "objects").rglob("tmp_*"):
        half.unlink(missing_ok=True)
