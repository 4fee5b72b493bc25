"""What the server says of itself: its OpenAPI document, a page to read and try it on, and how faithful it is.

Anybody may ask.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from functools import cache, partial
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from tieline.api.description.documented import documented
from tieline.api.description.fidelity import FidelityDocument, assess
from tieline.api.description.openapi import describe
from tieline.api.responses import Rendered, tagged_bytes
from tieline.api.rooms import InRooms, Rooms
from tieline.core.errors import NotFound
from tieline.integrations.base import Registry

router = APIRouter(tags=["Description"])

_OWN: Final = ("tieline.api.description", "pages")
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
class Described:
    """The documents, ready to be sent."""

    openapi: Rendered
    fidelity: Rendered


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
    return tagged_bytes(request, (await _described(request, rooms)).openapi)


@router.get("/fidelity")
@documented(answer=FidelityDocument, basis="added", note="For people who compare Tieline with the vendor's service.")
async def get_fidelity(request: Request, rooms: InRooms) -> Response:
    """Every type, field, operation and rule: documented by the vendor, observed, inferred, or added by Tieline.

    It says as well which types do not act yet.
    """
    return tagged_bytes(request, (await _described(request, rooms)).fidelity)


async def _described(request: Request, rooms: Rooms) -> Described:
    """What is made once, when it is first asked for, and off the loop: it takes a good part of a second."""
    if not hasattr(request.app.state, "described"):
        make = partial(_describe, request.app, rooms.services.registry)
        request.app.state.described = await rooms.flights.share("description", lambda: asyncio.to_thread(make))
    described: Described = request.app.state.described
    return described


def _describe(app: FastAPI, registry: Registry) -> Described:
    document = describe(app, registry)
    return Described(Rendered.of(document), Rendered.of(assess(document, registry)))


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
