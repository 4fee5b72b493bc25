"""Talks to a Tieline over HTTP."""

import ipaddress
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

import tieline
from tieline.cli.failure import LOCKED_OUT, Failure, LostConnection, Status, explain

if TYPE_CHECKING:
    from http.client import HTTPResponse

Query = Mapping[str, Any]

_SUCCESS: Final = range(200, 300)
_REDIRECT: Final = range(300, 400)


@dataclass(frozen=True)
class Answer:
    """A document, and the bytes that it came as."""

    body: bytes
    document: Any

    @property
    def entity(self) -> dict[str, Any]:
        """The one thing that this is about, read or changed."""
        entity: dict[str, Any] = self.document.get("_embedded", {}).get("entity", self.document)
        return entity

    @property
    def items(self) -> list[dict[str, Any]]:
        """The things of a list."""
        items: list[dict[str, Any]] = self.document["items"] if isinstance(self.document, dict) else self.document
        return items

    @property
    def warnings(self) -> dict[str, str]:
        """What should be better, by field."""
        warnings: dict[str, str] = self.document.get("warnings", {})
        return warnings

    @property
    def activities(self) -> list[dict[str, Any]]:
        """What a change set off."""
        activities: list[dict[str, Any]] = self.document.get("_embedded", {}).get("activities", [])
        return activities


@dataclass(frozen=True)
class Client:
    """A server, from a path on. Every method raises `Failure`; parts of paths are encoded here."""

    server: str
    token: str | None = field(repr=False)
    path: str = ""

    def within(self, *parts: str) -> "Client":
        """The same server, deeper."""
        return replace(self, path=self.path + _path(parts))

    def get(self, *parts: str, query: Query | None = None) -> Answer:
        return self._ask("GET", parts, query=query)

    def post(self, *parts: str, body: Any = None) -> Answer:
        return self._ask("POST", parts, body)

    def patch(self, *parts: str, body: Any) -> Answer:
        return self._ask("PATCH", parts, body)

    def delete(self, *parts: str) -> Answer:
        return self._ask("DELETE", parts)

    def lines(self, *parts: str, query: Query) -> Iterator[bytes]:
        """The lines of an answer as they come. Raises `LostConnection` when it breaks off."""
        from tieline.cli import transport  # noqa: PLC0415 - a help text needs none

        with self._open("GET", parts, query=query) as response:
            yield from transport.lines(response)

    def _ask(self, method: str, parts: tuple[str, ...], body: Any = None, query: Query | None = None) -> Answer:
        with self._open(method, parts, body, query) as response:
            answered, code = response.read(), response.status
        try:
            return Answer(answered, json.loads(answered))
        except ValueError:
            raise explain(self.server, code, answered) from None

    @contextmanager
    def _open(
        self, method: str, parts: tuple[str, ...], body: Any = None, query: Query | None = None
    ) -> Iterator["HTTPResponse"]:
        from tieline.cli import transport  # noqa: PLC0415 - a help text needs none

        url = f"{self.server}{self.path}{_path(parts)}{_query(query)}"
        data = None if body is None else json.dumps(body).encode()
        try:
            with transport.send(method, url, self._headers(), data, proxied=not is_local(self.server)) as response:
                if response.status not in _SUCCESS:
                    raise self._failure(response)
                yield response
        except transport.BrokenError as error:
            raise LostConnection(self.server, str(error)) from error

    def _headers(self) -> dict[str, str]:
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": f"tieline/{tieline.__version__}",
        }
        return headers | ({"Authorization": f"Bearer {self.token}"} if self.token else {})

    def _failure(self, response: "HTTPResponse") -> Failure:
        location = response.headers.get("Location") if response.status in _REDIRECT else None
        return explain(self.server, response.status, response.read(), location)


def _path(parts: tuple[str, ...]) -> str:
    return "".join("/" + quote(part, safe="") for part in parts)


def _query(query: Query | None) -> str:
    given = {name: value for name, value in (query or {}).items() if value not in (None, [])}
    return "?" + urlencode(given, doseq=True) if given else ""


def connect(server: str) -> Client:
    """A client with the token of `TIELINE_TOKEN`; for this machine also that of the data folder."""
    token = os.environ.get("TIELINE_TOKEN", "").strip() or (_operator_token() if is_local(server) else "")
    if not (token.isascii() and token.isprintable()):
        raise Failure(Status.UNAUTHENTICATED, "TIELINE_TOKEN has characters that no token has.", LOCKED_OUT)
    return Client(server, token or None)


def is_local(server: str) -> bool:
    """Whether it is on this machine: the administrator's token is sent nowhere else unasked."""
    host = urlsplit(server).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _operator_token() -> str:
    try:
        return (Path(os.environ.get("TIELINE_DATA") or "tieline-data") / "admin-token").read_text().strip()
    except OSError:
        return ""


def check_server(server: str) -> str:
    """The URL of a server without a slash at its end. Raises `ValueError`."""
    if not _is_root(server):
        raise ValueError("must be a URL like https://tieline.example.com")
    if urlsplit(server).username is not None:
        raise ValueError("must have no user or password in it; the token comes from TIELINE_TOKEN")
    return server.rstrip("/")


def _is_root(url: str) -> bool:
    try:
        parts = urlsplit(url)
        name = (parts.hostname or "").encode("idna")
        return parts.scheme in ("http", "https") and bool(name) and parts.port != 0 and not parts.query + parts.fragment
    except ValueError:
        return False
