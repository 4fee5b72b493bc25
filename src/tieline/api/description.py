"""What the server says of itself: its OpenAPI document, and a page to read and try it on. Anybody may ask."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tieline.api.documented import documented
from tieline.api.openapi import describe
from tieline.api.responses import Rendered, tagged_bytes
from tieline.api.rooms import InRooms, Rooms
from tieline.core.errors import NotFound

router = APIRouter(tags=["Description"])

_OWN: Final = ("tieline.api", "pages")
_LIBRARY: Final = ("fastapi_offline", "static")
_SCRIPT: Final = "text/javascript; charset=utf-8"
_ASSETS: Final = {
    "swagger-ui.css": (_LIBRARY, "text/css; charset=utf-8"),
    "swagger-ui-bundle.js": (_LIBRARY, _SCRIPT),
    "docs.js": (_OWN, _SCRIPT),
}
# Nothing foreign is loaded, run or sent to, and nobody frames the page.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_PAGE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The page.",
        "content": {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html>"}},
    }
}
_JSON: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "OK", "content": {"application/json": {"schema": {"type": "object"}}}}
}


@dataclass(frozen=True)
class Asset:
    """A file that the page is made of."""

    body: bytes
    media_type: str
    etag: str


@router.get("/openapi.json", responses=_JSON)
@documented(basis="added", note="The vendor publishes its document elsewhere.")
async def get_openapi(request: Request, rooms: InRooms) -> Response:
    """What you read: every operation, document and field, in OpenAPI 3.1."""
    return tagged_bytes(request, await _kept(request, rooms, "openapi", lambda: _openapi(request, rooms)))


def _openapi(request: Request, rooms: Rooms) -> object:
    return describe(request.app, rooms.services.registry)


async def _kept(request: Request, rooms: Rooms, name: str, make: Callable[[], object]) -> Rendered:
    """What is made once, when it is first asked for, and off the loop: it takes a good part of a second."""
    kept: dict[str, Rendered] = request.app.state.__dict__.setdefault("descriptions", {})
    if name not in kept:
        kept[name] = await rooms.flights.share(name, lambda: asyncio.to_thread(lambda: Rendered.of(make())))
    return kept[name]


@router.get("/docs", responses=_PAGE, response_class=Response)
@documented(basis="added", note="The vendor has such a page elsewhere.")
async def get_docs() -> Response:
    """A page on which to read all this, and to try it with a token of your own. It loads nothing from elsewhere."""
    return Response(_read(_OWN, "docs.html"), media_type="text/html", headers=_PAGE_HEADERS)


@router.get("/docs/{name}", include_in_schema=False)
async def get_docs_asset(request: Request, name: str) -> Response:
    """A file of the page."""
    if name not in _ASSETS:
        raise NotFound("There is no such file here.")
    asset = _asset(name)
    headers = {"ETag": asset.etag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(asset.body, media_type=asset.media_type, headers=headers)


@cache
def _asset(name: str) -> Asset:
    folder, media_type = _ASSETS[name]
    body = _read(folder, name)
    return Asset(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _read(folder: tuple[str, str], name: str) -> bytes:
    package, within = folder
    return files(package).joinpath(within, name).read_bytes()
