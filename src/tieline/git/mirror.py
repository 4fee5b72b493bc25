"""A project's repository: commits of the host, and what the project's own refs point at.

`fetch` brings commits and touches no ref of the project's; `move` then changes those, all at once. What cannot be
asked for by its hash is staged below `refs/sync/<integration>/`, hidden from everybody. Every method may be called
at any time from any process.
"""

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from tieline.core.documents import Commit
from tieline.core.errors import Conflict, GitFailed, NotFound, RemoteBroken, RemoteNotFound, Unavailable
from tieline.core.http import HTTPClient
from tieline.core.together import both
from tieline.git.advertisement import RemoteRefs
from tieline.git.command import LARGEST_FILE, MEGABYTE, Command, run, run_for_beginning, run_for_status
from tieline.git.failures import explain, is_vanished_object
from tieline.git.history import LOG_FORMAT, MOST_BYTES_OF_LOG, parse_log
from tieline.git.listing import fetch_refs
from tieline.git.reader import Reader
from tieline.git.refs import (
    HEADS,
    REF_FORMAT,
    RefUpdate,
    checked_sha,
    is_sha,
    parse_refs,
    remote_branch,
    render_commits,
    render_refspecs,
    render_transactions,
    staged_heads,
    staging,
)
from tieline.git.remote import Remote
from tieline.git.storage import create, is_gc_due, is_worn, locked

Resolve = Callable[[str, int], Awaitable[str]]

FETCH_SECONDS: Final = 1800.0
MAINTENANCE_SECONDS: Final = 3600.0
MANY_REFS: Final = 500
# A few objects of a repository can stand for endlessly many files, or for endlessly large ones.
MOST_FILES: Final = 1_000_000
MOST_BYTES: Final = 16 * 1024 * MEGABYTE
# Eight bytes are a line of up to seven digits; few files may be larger.
_MOST_SIZES: Final = 8 * MOST_FILES + 64 * 1024
_ABBREVIATION: Final = re.compile(r"[0-9a-f]{4,40}\Z")
_PROJECT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
# Packs double in size from one to the next, so that a large one is seldom written again.
_MAINTENANCE: Final = (
    ("repack", "-d", "--geometric=2", "--quiet"),
    ("commit-graph", "write", "--reachable", "--split", "--no-progress"),
)
_WEEKLY: Final = (
    ("repack", "-A", "-d", "--unpack-unreachable=2.weeks.ago", "--quiet"),
    ("prune", "--expire=2.weeks.ago"),
)
_FETCH: Final = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--stdin")


class Repositories:
    """All repositories of this installation, one per project, below one folder.

    `resolve` gives one checked address for a host and port; git connects to that address and no other.
    """

    def __init__(self, root: Path, resolve: Resolve, http: HTTPClient) -> None:
        self._root = root.absolute()
        self._resolve = resolve
        self._http = http
        self._open: dict[str, Mirror] = {}

    def open(self, project_id: str) -> "Mirror":
        """The project's repository, which is made when it is first used."""
        if project_id not in self._open:
            self._open[project_id] = Mirror(self._path(project_id), self._resolve, self._http)
        return self._open[project_id]

    def read(self, project_id: str) -> Reader:
        """The project's repository, only to be looked at: it is not made by that."""
        return Reader(self._path(project_id))

    def _path(self, project_id: str) -> Path:
        if not _PROJECT.match(project_id):
            raise NotFound(f"{project_id!r} is not the id of a project.")
        return self._root / f"{project_id}.git"


class Mirror:
    """One project's repository. Writers wait for each other; readers do not wait."""

    def __init__(self, path: Path, resolve: Resolve, http: HTTPClient) -> None:
        self.path = path
        self._resolve = resolve
        self._http = http
        self._turn = asyncio.Lock()

    async def list_remote(self, remote: Remote) -> RemoteRefs:
        """Every branch at the host, by one request; see `git.listing.fetch_refs` for the errors.

        No branches at all is no error here: only the caller can know whether the repository may be empty.
        """
        return await fetch_refs(self._http, remote)

    async def fetch(self, remote: Remote, integration_id: str, heads: Mapping[str, str]) -> Mapping[str, str]:
        """Bring the commits of these branches (name -> commit) here; gives the branches.

        A branch that moved meanwhile is given where it is now. Nothing refers to what was fetched until `move`
        does; git keeps such commits for two weeks.
        """
        if not heads:
            return {}
        async with self._held() as lock:
            try:
                await self._fetch(remote, render_commits(heads.values()), lock)
            except (GitFailed, RemoteBroken) as error:
                if not is_vanished_object(error):
                    raise
                # A forced push came between the listing and now, or the host serves no commits by hash.
                return await self._fetch_branches(remote, integration_id, heads, lock)
        return heads

    async def fetch_ref(self, remote: Remote, source_branch: str, into: str) -> str:
        """Bring one branch of a remote, which may be a fork, into a full ref of ours; gives its commit.

        Raises `RemoteNotFound` when the branch is gone.
        """
        refspec = f"+{remote_branch(source_branch)}:{into}\n"
        async with self._held() as lock:
            await self._fetch(remote, refspec.encode(), lock)
        sha = (await self.refs(into)).get(into)
        if sha is None:
            raise RemoteNotFound(f"The branch {source_branch!r} is gone at the Git host.")
        return sha

    async def heads(self) -> dict[str, str]:
        """The project's own branches, by name."""
        return parse_refs(await self._read("for-each-ref", REF_FORMAT, HEADS), HEADS)

    async def refs(self, *prefixes: str) -> dict[str, str]:
        """All refs, or those at or below any of these full prefixes, by full name."""
        return parse_refs(await self._read("for-each-ref", REF_FORMAT, *prefixes), "")

    async def drop_staging(self, integration_id: str) -> None:
        """Forget everything that was fetched for an integration."""
        async with self._held() as lock:
            await self._drop(staging(integration_id), lock)

    async def move(self, updates: Iterable[RefUpdate]) -> None:
        """Create, move and delete refs together. Raises `Conflict`, and changes nothing, when an old value is wrong."""
        wanted = list(updates)
        if not wanted:
            return
        async with self._held() as lock:
            await self._update_refs(wanted, lock)
            await self._pack_refs_after(len(wanted), lock)

    async def set_head(self, branch: str) -> None:
        """Make a branch the one that a clone of the project's repository checks out."""
        async with self._held() as lock:
            await self._write(lock, "symbolic-ref", "HEAD", HEADS + branch)

    async def resolve(self, abbreviation: str) -> str | None:
        """The full hash of the one commit that begins so; None when there is none, or more than one."""
        if not _ABBREVIATION.match(abbreviation):
            return None
        found = await self._read("rev-parse", f"--disambiguate={abbreviation}")
        kinds = await self._read("cat-file", "--batch-check", stdin=found) if found else b""
        commits = [line.split()[0].decode() for line in kinds.splitlines() if line.split()[1:2] == [b"commit"]]
        return commits[0] if len(commits) == 1 else None

    async def has(self, sha: str) -> bool:
        """Whether this commit is here; takes full hashes only."""
        if not is_sha(sha):
            return False
        answer = await self._read("cat-file", "--batch-check", stdin=f"{sha}\n".encode())
        return answer.split()[1:2] == [b"commit"]

    async def commits(self, old: str | None, new: str, limit: int = 20) -> tuple[tuple[Commit, ...], int]:
        """The newest commits that `new` has and `old` has not, newest first, and how many there are.

        Without `old`, or when it is no longer here, all of `new`'s history counts.
        """
        known = old is not None and await self.has(old)
        since = (f"^{old}",) if known else ()
        log, count = await both(
            self._read_beginning(
                MOST_BYTES_OF_LOG, "log", LOG_FORMAT, f"--max-count={limit}", checked_sha(new), *since, "--"
            ),
            self._read("rev-list", "--count", checked_sha(new), *since, "--"),
        )
        return parse_log(log), int(count)

    async def checkout(self, sha: str, into: Path) -> None:
        """Write a commit's tree, byte for byte, to a folder that is empty or not there yet.

        No hook, filter or LFS download runs; symbolic links stay links; submodules are empty folders. Raises
        `GitFailed` for a tree beyond `MOST_FILES` or `MOST_BYTES`, or beyond half of the space that is left.
        """
        tree = f"{checked_sha(sha)}^{{tree}}"
        work_tree = _empty_folder(into)
        sizes = await self._read_beginning(_MOST_SIZES, "ls-tree", "-r", "--format=%(objectsize:padded)", tree)
        check_size(sizes, room_at(into, MOST_BYTES))
        with tempfile.TemporaryDirectory(prefix="tieline-index-") as folder:
            places = {"GIT_INDEX_FILE": f"{folder}/index", "GIT_WORK_TREE": work_tree}
            config = {"core.bare": "false", "core.symlinks": "true", "index.version": "2"}
            arguments = ("read-tree", "--reset", "-u", "--no-recurse-submodules", tree)
            await self._run(Command(arguments, config=config, environment=places, seconds=FETCH_SECONDS))

    async def is_worn(self) -> bool:
        """Whether enough has gathered since the last `maintain` that git is slower for it."""
        return await asyncio.to_thread(is_worn, self.path)

    async def maintain(self) -> None:
        """Gather small packs and refs and write the commit-graph, at low priority.

        Once a week what nothing refers to any more is thrown away, two weeks after it came. Only refs are packed while
        writers wait: git itself keeps the rest apart from fetches.
        """
        async with self._held() as lock:
            await self._write(lock, "pack-refs", "--all")
        weekly = _WEEKLY if is_gc_due(self.path) else ()
        for arguments in (*_MAINTENANCE, *weekly):
            await self._run(Command(arguments, seconds=MAINTENANCE_SECONDS, niceness=15))

    async def _fetch_branches(
        self, remote: Remote, integration_id: str, wanted: Iterable[str], lock: int
    ) -> Mapping[str, str]:
        """The branches as they are at the host by now, through refs that are gone again afterwards."""
        prefix = staged_heads(integration_id)
        await self._drop(prefix, lock)
        await self._fetch(remote, render_refspecs(wanted, integration_id), lock)
        staged = await self.refs(prefix)
        await self._drop(prefix, lock)
        return {ref.removeprefix(prefix): sha for ref, sha in staged.items()}

    async def _fetch(self, remote: Remote, refspecs: bytes, lock: int) -> None:
        command = Command(
            (*_FETCH, "--", remote.url),
            stdin=refspecs,
            config=remote.config(await self._resolve(remote.host, remote.port)),
            redactor=remote.redactor(),
            seconds=FETCH_SECONDS,
            lock=lock,
            largest_file=room_at(self.path, LARGEST_FILE),
        )
        await self._run(command)

    async def _pack_refs_after(self, changes: int, lock: int) -> None:
        """A file for each of thousands of refs makes every later listing slow, so a first fetch packs them."""
        if changes >= MANY_REFS:
            await self._write(lock, "pack-refs", "--all")

    async def _drop(self, prefix: str, lock: int) -> None:
        doomed = await self.refs(prefix)
        await self._update_refs([RefUpdate(ref, sha, None) for ref, sha in doomed.items()], lock)

    async def _update_refs(self, updates: list[RefUpdate], lock: int) -> None:
        if not updates:
            return
        arguments = ("update-ref", "--no-deref", "--stdin", "-z")
        status, _, complaint = await self._status(Command(arguments, stdin=render_transactions(updates), lock=lock))
        if status == 0:
            return
        error = explain("update-ref", status, complaint)
        if "cannot lock ref" in complaint and not isinstance(error, Unavailable):
            raise Conflict(f"A branch is not where it was expected, so nothing was moved: {complaint[:500]}")
        raise error

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[int]:
        await self._ensure()
        async with self._turn, locked(self.path) as lock:
            yield lock

    async def _ensure(self) -> None:
        if not (self.path / "HEAD").exists():
            await create(self.path)

    async def _read(self, *arguments: str, stdin: bytes = b"") -> bytes:
        await self._ensure()
        return await self._run(Command(arguments, stdin=stdin))

    async def _read_beginning(self, max_bytes: int, *arguments: str) -> bytes:
        await self._ensure()
        return await run_for_beginning(self._here(Command(arguments, max_bytes=max_bytes)))

    async def _write(self, lock: int, *arguments: str) -> None:
        await self._run(Command(arguments, lock=lock))

    async def _run(self, command: Command) -> bytes:
        return await run(self._here(command))

    async def _status(self, command: Command) -> tuple[int, bytes, str]:
        return await run_for_status(self._here(command))

    def _here(self, command: Command) -> Command:
        return replace(command, environment={"GIT_DIR": str(self.path), **command.environment})


def room_at(path: Path, most: int) -> int:
    """How many bytes may be added there at once. Half of the space that is left is for the database and the others."""
    return min(most, shutil.disk_usage(path).free // 2)


def check_size(sizes: bytes, room: int) -> None:
    """Raises `GitFailed` when a tree with files of these sizes, one a line, is more than is ever checked out."""
    files = sizes.split()
    if len(sizes) >= _MOST_SIZES or len(files) > MOST_FILES:
        raise GitFailed(f"The commit has more than {MOST_FILES:,} files, so it is not checked out.")
    if sum(int(each) for each in files if each.isdigit()) > room:
        raise GitFailed(
            f"The commit's files are larger than {room // MEGABYTE:,} MiB in all, so it is not checked out."
        )


def _empty_folder(path: Path) -> str:
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise GitFailed("The folder to check out to is not empty.")
    return str(path.absolute())
