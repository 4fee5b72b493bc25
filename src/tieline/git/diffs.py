"""What changed between two trees, file by file. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from tieline.core.errors import GitFailed
from tieline.git.objects import text_of

# With `-z` no path is quoted in the records; in the patches, which nobody parses, only control characters are.
DIFF: Final = (
    "diff-tree",
    "-r",
    "-z",
    "--raw",
    "--patch",
    "--find-renames",
    "--full-index",
    "--no-ext-diff",
    "--no-textconv",
)
# Inside a patch every line begins with a space, a sign or a backslash.
_HEADER: Final = re.compile(rb"^(?=diff --git )", re.MULTILINE)
_NOTHING: Final = "0" * 40


@dataclass(frozen=True)
class FileDiff:
    """How one file changed. The old half is None when it is new, the new half when it is gone."""

    diff: str
    old_path: str | None
    old_id: str | None
    new_path: str | None
    new_id: str | None

    @property
    def path(self) -> str:
        """Where the file is, or was: no two in one list have the same."""
        return self.new_path or self.old_path or ""


@dataclass(frozen=True)
class _Record:
    old_mode: str
    new_mode: str
    old_id: str
    new_id: str
    old_path: str
    new_path: str

    @property
    def patches(self) -> int:
        """How many patches tell of it: a file that becomes a symbolic link is removed and added."""
        is_other_kind = self.old_mode[:3] != self.new_mode[:3]
        return 2 if is_other_kind and _NOTHING not in (self.old_id, self.new_id) else 1


def parse_diff(output: bytes) -> tuple[FileDiff, ...]:
    """What git printed for `DIFF` between two trees. Raises `GitFailed` when it is something else."""
    if not output:
        return ()
    listed, _, patch = output.partition(b"\0\0")
    records = list(_records(listed.split(b"\0")))
    patches = _HEADER.split(patch)[1:]
    if sum(each.patches for each in records) != len(patches):
        raise GitFailed(f"git diff-tree gave {len(patches)} patches for {len(records)} files.")
    following = iter(patches)
    return tuple(_file_diff(each, b"".join(islice(following, each.patches))) for each in records)


def _records(fields: list[bytes]) -> Iterator[_Record]:
    left = iter(fields)
    for head in left:
        old_mode, new_mode, old_id, new_id, status = head.decode("ascii", "replace").removeprefix(":").split(" ")
        old_path = new_path = text_of(next(left))
        if status.startswith(("R", "C")):
            new_path = text_of(next(left))
        yield _Record(old_mode, new_mode, old_id, new_id, old_path, new_path)


def _file_diff(record: _Record, patch: bytes) -> FileDiff:
    was, is_there = record.old_id != _NOTHING, record.new_id != _NOTHING
    return FileDiff(
        diff=text_of(patch),
        old_path=record.old_path if was else None,
        old_id=record.old_id if was else None,
        new_path=record.new_path if is_there else None,
        new_id=record.new_id if is_there else None,
    )
