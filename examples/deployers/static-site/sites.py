"""What is kept of each environment, in a folder of its own, `<root>/sites/<machine_name>`.

- `trees`: the files that were deployed last, and those before
- `data`: files that are served under /data/ and survive deployments
- `site.json`: which tree is served, and to whom
- `port`: the port that the site keeps
"""

import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from settings import Refused

_MACHINE_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MOST_LEVELS: Final = 100
_OPEN_THOUGH_HIDDEN: Final = ".well-known"


@dataclass(frozen=True)
class Site:
    """What is served. `tree` is the name of a folder in `trees`; `http_access` is the document's."""

    tree: str
    is_paused: bool
    restrict_robots: bool
    http_access: dict[str, Any]


class SiteFolder:
    """One environment's folder. Raises `Refused` for a name that is none of Tieline's."""

    def __init__(self, root: Path, machine_name: str) -> None:
        if not _MACHINE_NAME.fullmatch(machine_name):
            raise Refused(f"{machine_name!r} is no machine_name.")
        self.name = machine_name
        self.path = root / "sites" / machine_name
        self.trees = self.path / "trees"
        self.data = self.path / "data"
        self._trash = root / "trash"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes it meanwhile. The folder is made when it is not there."""
        descriptor = _lock_folder(self.path)
        try:
            yield
        finally:
            os.close(descriptor)

    def read(self) -> Site | None:
        """None when nothing was deployed. Raises `Refused` when the file is damaged."""
        try:
            return Site(**json.loads((self.path / "site.json").read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise Refused(f"{self.path / 'site.json'} is damaged. Delete it and deploy again.") from error

    def write(self, site: Site) -> None:
        """Replace what is served, at once."""
        _replace_file(self.path / "site.json", json.dumps(asdict(site)))

    def restore(self, site: Site | None) -> None:
        """Undo `write`."""
        if site is None:
            (self.path / "site.json").unlink(missing_ok=True)
        else:
            self.write(site)

    def read_port(self) -> int | None:
        try:
            return int((self.path / "port").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def write_port(self, port: int) -> None:
        _replace_file(self.path / "port", str(port))

    def add_tree(self, tree: Path) -> str:
        """Copy a tree, without what is hidden; the name of the copy. It is not served before `write` names it."""
        name = secrets.token_hex(8)
        try:
            shutil.copytree(tree, self.trees / name, symlinks=True, ignore=partial(_left_out, tree))
        except BaseException:
            shutil.rmtree(self.trees / name, ignore_errors=True)
            raise
        return name

    def keep_trees(self, names: Collection[str]) -> None:
        """Remove all others."""
        for tree in self.trees.iterdir():
            if tree.name not in names:
                shutil.rmtree(tree)

    def replace_data(self, source: Path) -> None:
        """Copy a folder over the data: its files, and none that were here before."""
        incoming, former = self.path / "data.incoming", self.path / "data.former"
        for leftover in (incoming, former):
            shutil.rmtree(leftover, ignore_errors=True)
        shutil.copytree(source, incoming, symlinks=True)
        with suppress(FileNotFoundError):
            self.data.rename(former)
        incoming.rename(self.data)
        shutil.rmtree(former, ignore_errors=True)

    def discard(self) -> None:
        """Take the whole folder out of the way at once, for `empty_trash` to remove."""
        self._trash.mkdir(exist_ok=True)
        self.path.rename(self._trash / f"{self.name}.{secrets.token_hex(8)}")

    def empty_trash(self) -> None:
        for discarded in self._trash.glob(f"{self.name}.*"):
            shutil.rmtree(discarded)


def all_sites(root: Path) -> list[SiteFolder]:
    """By name."""
    folder = root / "sites"
    return [SiteFolder(root, path.name) for path in sorted(folder.iterdir())] if folder.is_dir() else []


def is_hidden(name: str) -> bool:
    """Whether a file of this name is nobody's business: .git, .env, .htpasswd."""
    return name.startswith(".") and name != _OPEN_THOUGH_HIDDEN


def _left_out(tree: Path, folder: str, names: list[str]) -> list[str]:
    """What is hidden. Raises `Refused` for a folder so deep that Python could not remove it again."""
    if len(Path(folder).relative_to(tree).parts) > _MOST_LEVELS:
        raise Refused(f"There are folders more than {_MOST_LEVELS} levels deep, which are not served.")
    return [name for name in names if is_hidden(name)]


def _replace_file(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _lock_folder(path: Path) -> int:
    """The descriptor that holds the lock. Whoever waited for a folder that was removed meanwhile makes it anew."""
    while True:
        path.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_same(path, descriptor):
                return descriptor
            os.close(descriptor)


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
