"""What `net` offers to the other rooms, as a protocol they can be handed."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Protocol

import orjson

from tieline.core.errors import RemoteBroken
from tieline.core.frozen import frozen


@frozen
class Request:
    """One outgoing request. `seconds` bounds it whole, from DNS to the last byte of the answer.

    An answer above `max_bytes` is an error, unless `cut` says that its first `max_bytes` will do: those are read as
    they come, without asking for compression, and the rest is never received.
    Only requests of one `owner` (an integration, a credential, a repository) share connections: what comes too late
    for one of them may be taken for the answer to the next.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    seconds: float = 20.0
    max_bytes: int = 8 * 1024 * 1024
    cut: bool = False
    owner: str = ""


@frozen
class Response:
    """An answer of any status; redirects are not followed. Header names are lower case.

    `address` is the one that was dialled; `is_cut` says that there was more than the body.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    address: str = ""
    is_cut: bool = False

    def json(self) -> Any:
        """The body, which must be JSON by its content type too: maintenance pages answer 200 in HTML."""
        kind = self.headers.get("content-type", "")
        if "json" not in kind:
            raise RemoteBroken(f"expected JSON, got {kind or 'no content type'} (status {self.status})")
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise RemoteBroken(f"the answer is not valid JSON (status {self.status})") from error


class HTTPClient(Protocol):
    """The way out: egress rules, no redirects, caps on time and size."""

    async def send(self, request: Request) -> Response:
        """Raises `Unreachable`, `EgressRefused` or `RemoteBroken` (answer above `max_bytes`)."""
        ...
