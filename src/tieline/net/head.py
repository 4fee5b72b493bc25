"""The first lines of a request, as they go out. Pure."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from tieline.core.http import Request
from tieline.net.body import ACCEPTED_ENCODINGS
from tieline.net.target import Target

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_UNFIT: Final = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")
# Where a request ends and whether its connection is kept is for us alone to say.
_OURS: Final = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_HAVE_A_BODY: Final = frozenset({"PATCH", "POST", "PUT"})
_REMEMBERED: Final = 1024


def render_head(request: Request, target: Target, user_agent: str) -> bytes:
    """Request line and headers. What is given replaces what we would send, but for how messages are framed.

    Raises ValueError when HTTP cannot carry it.
    """
    if not _NAME.match(request.method):
        raise ValueError("the method is not one word")
    given = {_lower(name): f"{name}: {_checked(value)}" for name, value in request.headers.items()}
    lines = [f"{request.method} {target.path} HTTP/1.1", given.pop("host", f"Host: {target.authority}")]
    lines += [each for name, each in given.items() if name not in _OURS]
    lines += [f"{name}: {value}" for name, value in _defaults(request, user_agent) if name.lower() not in given]
    if request.body is not None or request.method in _HAVE_A_BODY:
        lines.append(f"Content-Length: {len(request.body or b'')}")
    return "\r\n".join([*lines, "", ""]).encode()


def _defaults(request: Request, user_agent: str) -> Iterator[tuple[str, str]]:
    yield "User-Agent", user_agent
    yield "Accept", "*/*"
    # A body of which the beginning will do has to be readable from there.
    yield "Accept-Encoding", "identity" if request.cut else ACCEPTED_ENCODINGS
    if request.body is not None:
        yield "Content-Type", "application/octet-stream"


@lru_cache(maxsize=_REMEMBERED)
def _lower(name: str) -> str:
    if not _NAME.match(name):
        raise ValueError("the name of a header is not one word")
    return name.lower()


def _checked(value: str) -> str:
    if _UNFIT.search(value):
        raise ValueError("a header has a line break or another control character in it")
    return value
