"""What the plain ASGI routes share: they do without Request and Response objects, for speed."""

from collections.abc import Sequence
from typing import Final

from starlette.types import Receive, Scope, Send

from tieline.core.errors import TooLarge, Unavailable

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


async def read_capped(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body. Raises `TooLarge` as soon as it is known to be longer than `limit` bytes."""
    stated = header(scope, b"content-length") or b""
    size = int(stated) if stated.isdigit() else 0
    parts: list[bytes] = []
    read = 0
    while size <= limit and read <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Unavailable("The connection ended before the body did.")
        part = message.get("body", b"")
        read += len(part)
        parts.append(part)
        if read <= limit and not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)
    raise TooLarge(f"The body is larger than {limit:,} bytes, the most that is read here.")
