"""Git's objects as clients get them: their documents, and the models that describe those."""

from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from tieline.api.outputs import HAL, Output
from tieline.core.documents import JSON
from tieline.git.diffs import FileDiff
from tieline.git.objects import CommitObject, Signature, TreeEntry
from tieline.git.refs import HEADS

_REFS = "refs/"


class RefObject(Output):
    type: Literal["commit"]
    """Always `commit`."""

    sha: str
    """The commit's hash."""


class RefDocument(HAL):
    id: str
    """The name without `refs/`, such as `heads/main`."""

    ref: str
    """The whole name."""

    object: RefObject
    """What it points to."""

    sha: str
    """The commit that the branch is at."""


class SignatureDocument(Output):
    date: datetime
    """With the offset from UTC of its writer's clock."""

    name: str
    """The name."""

    email: str
    """The address."""


class CommitDocument(HAL):
    id: str
    """The hash."""

    sha: str
    """The hash again."""

    author: SignatureDocument
    """Who wrote it, and when."""

    committer: SignatureDocument
    """Who recorded it, and when."""

    message: str
    """The whole message."""

    tree: str
    """The id of the tree that it recorded."""

    parents: list[str]
    """The ids of the commits before it."""


class TreeEntryDocument(Output):
    path: str
    """The name alone; a byte that is not UTF-8 is written as `\\xe9`."""

    mode: Literal["040000", "100644", "100755", "120000", "160000"]
    """What it is, as git writes it: a folder, a file, an executable, a link, a submodule."""

    type: Literal["blob", "tree", "commit"]
    """`commit` is a submodule, whose objects are elsewhere."""

    sha: str | None
    """The hash of what is there."""


class TreeDocument(HAL):
    id: str
    """The hash."""

    sha: str
    """The hash again."""

    tree: list[TreeEntryDocument]
    """In git's order; what is in a folder is asked for with its own id."""


class BlobDocument(HAL):
    id: str
    """The hash."""

    sha: str
    """The hash again."""

    size: int
    """Bytes of the file, before they are encoded."""

    encoding: Literal["base64", "utf-8"]
    """Always `base64`."""

    content: str
    """The bytes of the file."""


class DiffDocument(Output):
    id: str
    """The path of the file: the new one, or the old one when it is gone."""

    diff: str
    """The unified diff of this file. Of binary files, and of those beyond 5 MiB, it says only that they differ."""

    new_path: str | None
    """Null when the file is gone."""

    new_id: str | None
    """The hash of the new content; null when the file is gone."""

    old_path: str | None
    """Null when the file is new."""

    old_id: str | None
    """The hash of the old content; null when the file is new."""


def ref_id_of(branch: str) -> str:
    """The id of a branch's ref."""
    return (HEADS + branch).removeprefix(_REFS)


def render_ref(branch: str, sha: str) -> JSON:
    """A branch."""
    return {"id": ref_id_of(branch), "ref": HEADS + branch, "object": {"type": "commit", "sha": sha}, "sha": sha}


def render_commit(sha: str, commit: CommitObject) -> JSON:
    """A commit."""
    return {
        "id": sha,
        "sha": sha,
        "author": _render_signature(commit.author),
        "committer": _render_signature(commit.committer),
        "message": commit.message,
        "tree": commit.tree,
        "parents": list(commit.parents),
    }


def _render_signature(signature: Signature) -> JSON:
    date = signature.date.isoformat(timespec="seconds")
    return {"date": date, "name": signature.name, "email": signature.email}


def render_tree(sha: str, entries: Iterable[TreeEntry]) -> JSON:
    """A folder."""
    listed = [{"path": each.name, "mode": each.mode, "type": each.kind, "sha": each.sha} for each in entries]
    return {"id": sha, "sha": sha, "tree": listed}


def render_blob(sha: str, content: bytes) -> JSON:
    """A file's content: in base64, the one encoding that all clients understand."""
    encoded = b64encode(content).decode()
    return {"id": sha, "sha": sha, "size": len(content), "encoding": "base64", "content": encoded}


def render_diff(diff: FileDiff) -> JSON:
    """How one file changed."""
    return {
        "id": diff.path,
        "diff": diff.diff,
        "new_path": diff.new_path,
        "new_id": diff.new_id,
        "old_path": diff.old_path,
        "old_id": diff.old_id,
    }
