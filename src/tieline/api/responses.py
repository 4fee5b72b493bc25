"""Answers: bare `application/json`, entity tags, and the shape of answers to changes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tieline.api.plain import header_list
from tieline.core.documents import JSON

# Clients take a body for JSON only when the type is exactly this, without a charset.
JSON_TYPE: Final = "application/json"
PIECE: Final = 64 * 1024
_CACHE: Final = b"private, no-cache"


def render(document: object) -> bytes:
    """A document as bytes."""
    return orjson.dumps(document)


def render_to_keep(document: object) -> bytes:
    """As `render`, for what is kept: the bytes that orjson gives take up all the room that they were written in."""
    return bytes(memoryview(render(document)))


class JSONResponse(Response):
    """A document as the answer."""

    media_type = JSON_TYPE

    def render(self, content: Any) -> bytes:
        return render(content)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A document made ready to be sent: its bytes, its quoted entity tag, and its headers as ASGI has them."""

    body: bytes
    etag: bytes
    headers: list[tuple[bytes, bytes]]

    @classmethod
    def of(cls, document: object) -> "Rendered":
        return cls.of_body(render(document))

    @classmethod
    def of_body(cls, body: bytes) -> "Rendered":
        etag = b'"' + hashlib.sha256(body).hexdigest()[:32].encode() + b'"'
        length = str(len(body)).encode()
        headers = [(b"content-type", JSON_TYPE.encode()), (b"content-length", length), *_tag_headers(etag)]
        return cls(body, etag, headers)

    @property
    def tag_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that a 304 has too."""
        return _tag_headers(self.etag)


def _tag_headers(etag: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"etag", etag), (b"cache-control", _CACHE)]


def is_known(if_none_match: bytes, etag: bytes) -> bool:
    """Whether `If-None-Match` names the tag, by weak comparison."""
    return any(each.strip().removeprefix(b"W/") in (etag, b"*") for each in if_none_match.split(b","))


def tagged(request: Request, document: object) -> Response:
    """A document with its entity tag, or 304 when the client has it already."""
    return tagged_bytes(request, Rendered.of(document))


def tagged_bytes(request: Request, rendered: Rendered) -> Response:
    """As `tagged`, of what is ready to be sent."""
    known = header_list(request.scope, b"if-none-match")
    if known is not None and is_known(known, rendered.etag):
        response = Response(status_code=HTTPStatus.NOT_MODIFIED)
        response.raw_headers = rendered.tag_headers
        return response
    response = Response(rendered.body)
    response.raw_headers = list(rendered.headers)
    return response


class LargeResponse(Response):
    """Goes out piece by piece, each once the client took the one before: when it is sent, the client has it."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for at in range(0, len(self.body), PIECE):
            await send({"type": "http.response.body", "body": self.body[at : at + PIECE], "more_body": True})
        await send({"type": "http.response.body"})


def in_pieces(response: Response) -> Response:
    """The same answer, sent in pieces if it is large."""
    if len(response.body) <= PIECE:
        return response
    large = LargeResponse(response.body, response.status_code)
    large.raw_headers = response.raw_headers
    return large


def done(more: JSON | None = None) -> JSONResponse:
    """The answer to what is done and has nothing to show but `more`."""
    return JSONResponse({"status": "OK", "code": 200, **(more or {})})


def accepted(
    entity: JSON | None = None,
    activities: Sequence[JSON] = (),
    *,
    status: HTTPStatus = HTTPStatus.OK,
    more: JSON | None = None,
) -> JSONResponse:
    """The answer to a change: the entity as it is now, the activities that it set off, and `more` beside them."""
    embedded: JSON = {"activities": list(activities)}
    if entity is not None:
        embedded = {"entity": entity, **embedded}
    document = {"status": status.phrase, "code": int(status), **(more or {}), "_embedded": embedded}
    return JSONResponse(document, status_code=status)
