"""The two reads that everybody polls, as plain ASGI: bytes from memory, with entity tags."""

from typing import Final

from starlette.types import Receive, Scope, Send

from tieline.api.gate import Gate
from tieline.api.plain import answer, header, header_list
from tieline.api.responses import Rendered, is_known
from tieline.api.shelf import Shelves
from tieline.core.errors import NotFound

_NOT_MODIFIED: Final = 304


class IntegrationReads:
    """The ASGI application behind `GET .../integrations` and `GET .../integrations/{integration_id}`."""

    def __init__(self, gate: Gate, shelves: Shelves) -> None:
        self._gate = gate
        self._shelves = shelves

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        params = scope["path_params"]
        project_id = params["project_id"]
        await self._gate.admit(header(scope, b"authorization"), project_id, "admin")
        shelf = await self._shelves.get(project_id)
        integration_id = params.get("integration_id")
        rendered = shelf.listing if integration_id is None else shelf.each.get(integration_id)
        if rendered is None:
            raise NotFound("Integration not found")
        await _send(scope, send, rendered)


async def _send(scope: Scope, send: Send, rendered: Rendered) -> None:
    known = header_list(scope, b"if-none-match")
    if known is not None and is_known(known, rendered.etag):
        await answer(send, b"", status=_NOT_MODIFIED, headers=rendered.tag_headers)
    else:
        await answer(send, rendered.body, headers=rendered.headers)
