"""Refs as values: what moves, in which order, and what git is told. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tieline.core.errors import GitFailed, RemoteNotFound
from tieline.git.names import branch_name, parents_of

HEADS: Final = "refs/heads/"
SYNC: Final = "refs/sync/"
PULLS: Final = "refs/tieline/pulls/"
REF_FORMAT: Final = "--format=%(objectname) %(refname)"
_ZERO: Final = "0" * 40
_SHA: Final = re.compile(r"[0-9a-f]{40}\Z")


@dataclass(frozen=True)
class RefUpdate:
    """A move of one full ref name. `old` None creates it, `new` None deletes it; `old` must be what is there."""

    ref: str
    old: str | None
    new: str | None


def pull_ref(number: int) -> str:
    """Where the head of a pull request is kept, so that its commits stay."""
    return f"{PULLS}{number}"


def staging(integration_id: str) -> str:
    """The hidden prefix below which an integration's remote branches and pull requests are kept."""
    return f"{SYNC}{integration_id}/"


def staged_heads(integration_id: str) -> str:
    return staging(integration_id) + "heads/"


def parse_refs(output: bytes, prefix: str) -> dict[str, str]:
    """What `for-each-ref` printed, by name without the prefix."""
    # Not splitlines: a name may hold characters that Unicode calls the end of a line.
    pairs = (line.split(" ", 1) for line in output.decode().split("\n") if line)
    return {name.removeprefix(prefix): sha for sha, name in pairs}


def render_transactions(updates: Iterable[RefUpdate]) -> bytes:
    """Input for `update-ref --stdin -z`: what is deleted, then everything else.

    `feature` must be gone before `feature/one` can be made, and one transaction does not allow both. So that a
    wrong old value still leaves everything as it was, the deleting transaction verifies those of the second.
    """
    wanted = list(updates)
    deletes = [update for update in wanted if update.new is None]
    moves = [update for update in wanted if update.new is not None and update.old is not None]
    creates = [update for update in wanted if update.new is not None and update.old is None]
    lines: list[str] = []
    if deletes:
        checks = [f"verify {each.ref}\0{each.old}\0" for each in moves]
        lines += ["start\0", *(f"delete {each.ref}\0{each.old or ''}\0" for each in deletes), *checks]
        lines += ["prepare\0", "commit\0"]
    if moves or creates:
        changes = [f"update {each.ref}\0{each.new}\0{each.old or _ZERO}\0" for each in (*moves, *creates)]
        lines += ["start\0", *changes, "prepare\0", "commit\0"]
    return "".join(lines).encode()


def in_the_way(present: Iterable[str], wanted: Iterable[str]) -> set[str]:
    """Present names that cannot exist beside the wanted ones: a folder of one is a file of the other."""
    new = set(wanted)
    folders_of_new = {folder for name in new for folder in parents_of(name)}
    return {
        name
        for name in present
        if name not in new and (name in folders_of_new or any(folder in new for folder in parents_of(name)))
    }


def render_commits(shas: Iterable[str]) -> bytes:
    """Input for `fetch --stdin` that asks for exactly these commits, and spares git a listing of its own."""
    return "".join(f"{checked_sha(sha)}\n" for sha in sorted(set(shas))).encode()


def render_refspecs(names: Iterable[str], integration_id: str) -> bytes:
    """Input for `fetch --stdin` that stages branches by name."""
    prefix = staged_heads(integration_id)
    return "".join(f"+{remote_branch(name)}:{prefix}{name}\n" for name in names).encode()


def remote_branch(name: str) -> str:
    """The full ref of a branch at the host. Raises `RemoteNotFound` for a name that no branch can have.

    Names come from the host's API too, and a newline or colon in one would be a refspec of the host's choice.
    """
    if branch_name(name.encode("utf-8", "surrogatepass")) is None:
        raise RemoteNotFound(f"{name!a} cannot be mirrored: git does not take it as the name of a branch.")
    return HEADS + name


def checked_sha(sha: str) -> str:
    """The full commit hash itself. Raises `GitFailed` for anything else, which git might take as an option."""
    if not is_sha(sha):
        raise GitFailed(f"{sha!a} is not a full commit hash.")
    return sha


def is_sha(text: str) -> bool:
    return _SHA.match(text) is not None
