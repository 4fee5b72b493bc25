"""What the plain ASGI routes share: they do without Request and Response objects, for speed."""

from collections.abc import Callable, Sequence
from typing import Final

from starlette.types import Receive, Scope, Send

from tieline.core.errors import TooLarge, Unavailable

# Who is answered in the middle of sending sees a broken connection instead, so some more is read, and not kept.
_DRAINED: Final = 16 * 1024 * 1024
_JSON: Final = (b"content-type", b"application/json")


async def answer(
    send: Send, body: bytes, *, status: int = 200, headers: Sequence[tuple[bytes, bytes]] | None = None
) -> None:
    """Send a whole answer; `headers` replace those of a JSON body."""
    given = headers if headers is not None else [_JSON, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": body})


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that lower-case name."""
    for each, value in scope["headers"]:
        if each == name:
            found: bytes = value
            return found
    return None


def header_map(scope: Scope) -> dict[str, str]:
    """Headers by lower-case name."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def header_list(scope: Scope, name: bytes) -> bytes | None:
    """A header that is a list, on one line or several."""
    return b",".join([value for each, value in scope["headers"] if each == name]) or None


async def read_capped(
    scope: Scope, receive: Receive, limit: int, note: Callable[[int], None] = lambda _size: None
) -> bytes:
    """The whole body. Raises `TooLarge` when it is longer than `limit` bytes.

    `note` hears how many bytes are kept so far, and may raise.
    """
    stated = header(scope, b"content-length") or b""
    if stated.isdigit() and int(stated) > limit + _DRAINED:
        raise _too_large(limit)
    parts: list[bytes] = []
    read = 0
    while read <= limit + _DRAINED:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Unavailable("The connection ended before the body did.")
        part = message.get("body", b"")
        read += len(part)
        if read <= limit:
            note(read)
            parts.append(part)
        if not message.get("more_body", False):
            break
    if read > limit:
        raise _too_large(limit)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit:,} bytes, the most that is read here.")
