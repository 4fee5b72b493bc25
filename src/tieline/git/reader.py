"""A project's repository, to be looked at.

Whoever may see the project may read every object that its repository has, by the full hash. That is more than its
branches reach: the commits of pull requests, those of forks that wait for approval among them, and what a forced push
left behind until it is thrown away. Nothing of that is listed, and abbreviations are not resolved, so whoever asks for
it has its hash from somewhere that showed it. Refs are those of branches alone.
"""

import asyncio
from pathlib import Path
from typing import Final

from tieline.core.errors import GitFailed, NotFound, TooLarge
from tieline.git.command import MEGABYTE, Command, conversing, run, run_for_beginning
from tieline.git.diffs import DIFF, FileDiff, parse_diff
from tieline.git.failures import is_out_of_memory
from tieline.git.names import branch_name
from tieline.git.objects import CommitObject, ObjectInfo, TreeEntry, parse_commit, parse_info, parse_tree
from tieline.git.refs import HEADS, REF_FORMAT, is_sha, parse_refs

LARGEST_COMMIT: Final = MEGABYTE
LARGEST_TREE: Final = 4 * MEGABYTE
LARGEST_BLOB: Final = 10 * MEGABYTE
LARGEST_DIFF: Final = 10 * MEGABYTE
DIFF_SECONDS: Final = 20.0
_SECONDS: Final = 30.0
_MEMORY: Final = 1024 * MEGABYTE
_DIFF_CONFIG: Final = {
    # Every new file is compared with every one that is gone, as long as there are no more than this of each.
    "diff.renameLimit": "200",
    # What is larger is compared as binary files are: not at all.
    "core.bigFileThreshold": "5m",
}


class Reader:
    """Reads a repository, which may not have been made yet: then it is empty.

    Errors: `NotFound` for what is not there, is of another kind, or is not named by a full hash; `TooLarge` beyond
    the limits above; `GitFailed` when git cannot read the repository.
    """

    def __init__(
        self, path: Path, *, largest_diff: int = LARGEST_DIFF, diff_seconds: float = DIFF_SECONDS, memory: int = _MEMORY
    ) -> None:
        self._path = path
        self._largest_diff = largest_diff
        self._diff_seconds = diff_seconds
        self._memory = memory

    async def heads(self) -> dict[str, str]:
        """Branch -> commit."""
        return await self._heads(HEADS)

    async def head(self, branch: str) -> str:
        """The commit of one branch."""
        known = branch_name(branch.encode(errors="replace"))
        found = await self._heads(HEADS + known) if known else {}
        if branch not in found:
            raise NotFound("There is no such branch in this project.")
        return found[branch]

    async def commit(self, sha: str) -> CommitObject:
        """One commit."""
        return parse_commit(await self._contents(sha, "commit", LARGEST_COMMIT))

    async def tree(self, sha: str) -> tuple[TreeEntry, ...]:
        """One folder, without what its folders hold."""
        content = await self._contents(sha, "tree", LARGEST_TREE)
        # A hundred thousand names take a second, in which everybody else would wait.
        return await asyncio.to_thread(parse_tree, content)

    async def blob(self, sha: str) -> bytes:
        """One file's content."""
        return await self._contents(sha, "blob", LARGEST_BLOB)

    async def diff(self, base: str, target: str) -> tuple[FileDiff, ...]:
        """What changed from `base` to `target`, which are commits or trees."""
        await self._require_trees(base, target)
        output = await self._diff_output(base, target)
        if len(output) >= self._largest_diff:
            raise TooLarge(f"More than {self._largest_diff // MEGABYTE} MiB of changes are not shown.")
        return await asyncio.to_thread(parse_diff, output)

    async def _diff_output(self, base: str, target: str) -> bytes:
        command = self._command(*DIFF, base, target, "--", config=_DIFF_CONFIG, max_bytes=self._largest_diff)
        try:
            async with asyncio.timeout(self._diff_seconds):
                return await run_for_beginning(command)
        except TimeoutError as error:
            raise TooLarge(f"It takes longer than {self._diff_seconds:g} s to find out what changed.") from error
        except GitFailed as error:
            if is_out_of_memory(error):
                raise TooLarge("The files that changed are too large to be compared.") from error
            raise

    async def _heads(self, prefix: str) -> dict[str, str]:
        if not self._exists():
            return {}
        return parse_refs(await run(self._command("for-each-ref", REF_FORMAT, prefix)), HEADS)

    async def _contents(self, sha: str, kind: str, most: int) -> bytes:
        """An object's bytes; its size is known before any of it is read."""
        self._require_sha(sha)
        async with conversing(self._command("cat-file", "--batch-command")) as git:
            info = parse_info(await git.ask(f"info {sha}".encode()))
            size = checked_size(sha, info, (kind,), most)
            await git.ask(f"contents {sha}".encode())
            return await git.take(size)

    async def _require_trees(self, *shas: str) -> None:
        for sha in shas:
            self._require_sha(sha)
        async with conversing(self._command("cat-file", "--batch-command")) as git:
            for sha in shas:
                info = parse_info(await git.ask(f"info {sha}".encode()))
                checked_size(sha, info, ("commit", "tree"), LARGEST_TREE)

    def _require_sha(self, sha: str) -> None:
        if not is_sha(sha) or not self._exists():
            raise missing(sha)

    def _exists(self) -> bool:
        return (self._path / "HEAD").exists()

    def _command(
        self, *arguments: str, config: dict[str, str] | None = None, max_bytes: int = 64 * MEGABYTE
    ) -> Command:
        return Command(
            arguments,
            config=config or {},
            environment={"GIT_DIR": str(self._path)},
            seconds=_SECONDS,
            memory=self._memory,
            max_bytes=max_bytes,
        )


def missing(sha: str) -> NotFound:
    """The error for a hash that stands for nothing here."""
    if is_sha(sha):
        return NotFound(f"There is no object {sha} in this project's repository.")
    return NotFound("Objects are named by their full hash, which has 40 characters of 0-9 and a-f.")


def checked_size(sha: str, info: ObjectInfo | None, kinds: tuple[str, ...], most: int) -> int:
    """The size of an object of one of the kinds. Raises `NotFound`, `TooLarge`."""
    if info is None:
        raise missing(sha)
    if info.kind not in kinds:
        raise NotFound(f"{sha} is a {info.kind}, not a {' or '.join(kinds)}.")
    if info.size > most:
        raise TooLarge(
            f"The {info.kind} {sha} has {info.size:,} bytes; more than {most // MEGABYTE} MiB are not read here."
        )
    return info.size
