"""What the project's repository holds, to be read: branches, commits, folders, files, differences."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from tieline.api.description.documented import documented
from tieline.api.documents import Writer
from tieline.api.gate import Viewer
from tieline.api.git_documents import (
    BlobDocument,
    CommitDocument,
    DiffDocument,
    RefDocument,
    TreeDocument,
    ref_id_of,
    render_blob,
    render_commit,
    render_diff,
    render_ref,
    render_tree,
)
from tieline.api.responses import in_pieces, tagged
from tieline.api.rooms import InRooms
from tieline.core.documents import JSON
from tieline.core.errors import GitFailed, NotFound, RemoteError, Unavailable
from tieline.git.reader import Reader

log = structlog.get_logger()

router = APIRouter(tags=["Repository"])

_GIT: Final = "/projects/{project_id}/git"
_TOO_LARGE: Final = 413
_HEADS: Final = "heads/"


@dataclass(frozen=True)
class Repository:
    """A project's repository, opened for one request."""

    project_id: str
    reader: Reader
    writer: Writer

    def linked(self, document: JSON, *parts: str) -> JSON:
        """The document of the object that is found there."""
        return self.writer.git(self.project_id, document, *parts)


async def _open(access: Viewer, rooms: InRooms) -> AsyncIterator[Repository]:
    """The repository, for as long as the answer takes to be sent."""
    async with rooms.turns.take(access.caller.id):
        reader = rooms.services.repository(access.project_id)
        try:
            yield Repository(access.project_id, reader, rooms.writer)
        except (GitFailed, RemoteError) as error:
            # What git says names folders of this machine, which are the operator's business.
            log.warning("git.unreadable", project=access.project_id, reason=str(error))
            sentence = "The project's repository cannot be read now; the server's log says why."
            raise Unavailable(sentence) from error


Opened = Annotated[Repository, Depends(_open)]


@router.get(_GIT + "/refs")
@documented(answer=list[RefDocument], note="Branches alone.")
async def list_refs(request: Request, opened: Opened) -> Response:
    """Every branch, with its commit. Those of pull requests are the `head_commit` of their environments."""
    heads = await opened.reader.heads()
    return await _answer(
        request, lambda: [opened.linked(render_ref(*each), "refs", ref_id_of(each[0])) for each in heads.items()]
    )


@router.get(_GIT + "/refs/{ref_id:path}")
@documented(answer=RefDocument, note="Branches alone; the slashes of the id may be escaped or not.")
async def get_ref(request: Request, opened: Opened, ref_id: str) -> Response:
    """One branch, by an id such as `heads/main`, whose slashes may be escaped."""
    if not ref_id.startswith(_HEADS):
        raise NotFound("Refs are those of branches: their ids begin with heads/.")
    branch = ref_id.removeprefix(_HEADS)
    sha = await opened.reader.head(branch)
    return tagged(request, opened.linked(render_ref(branch, sha), "refs", ref_id))


@router.get(_GIT + "/commits/{commit_id}")
@documented(answer=CommitDocument, errors=(_TOO_LARGE,))
async def get_commit(request: Request, opened: Opened, commit_id: str) -> Response:
    """One commit, by its full hash."""
    commit = await opened.reader.commit(commit_id)
    return await _answer(request, lambda: opened.linked(render_commit(commit_id, commit), "commits", commit_id))


@router.get(_GIT + "/trees/{tree_id}")
@documented(answer=TreeDocument, errors=(_TOO_LARGE,))
async def get_tree(request: Request, opened: Opened, tree_id: str) -> Response:
    """One folder, by its full hash; a commit names the uppermost."""
    entries = await opened.reader.tree(tree_id)
    return await _answer(request, lambda: opened.linked(render_tree(tree_id, entries), "trees", tree_id))


@router.get(_GIT + "/blobs/{blob_id}")
@documented(answer=BlobDocument, errors=(_TOO_LARGE,), note="Always in Base64, which all clients understand.")
async def get_blob(request: Request, opened: Opened, blob_id: str) -> Response:
    """The content of one file, by its full hash."""
    content = await opened.reader.blob(blob_id)
    return await _answer(request, lambda: opened.linked(render_blob(blob_id, content), "blobs", blob_id))


@router.get(_GIT + "/diffs/{base_id}/{target_id}")
@documented(answer=list[DiffDocument], errors=(_TOO_LARGE,), note="The id of each is the path of its file.")
async def get_diffs(request: Request, rooms: InRooms, opened: Opened, base_id: str, target_id: str) -> Response:
    """What changed from one commit or tree to another, file by file."""
    async with rooms.comparing.take(""):
        found = await opened.reader.diff(base_id, target_id)
    return await _answer(request, lambda: [render_diff(each) for each in found])


async def _answer(request: Request, render: Callable[[], JSON | list[JSON]]) -> Response:
    """A document that may be large: nobody else waits while it is written."""
    return in_pieces(await asyncio.to_thread(lambda: tagged(request, render())))
