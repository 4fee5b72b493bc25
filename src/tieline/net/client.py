"""The one HTTP client: checked addresses, no redirects, no cookies, no proxies, caps on time and size."""

import asyncio
import resource
import socket
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from multidict import CIMultiDict
from yarl import URL

from tieline.core.errors import RemoteError
from tieline.core.http import Request, Response
from tieline.net.body import ACCEPTED_ENCODINGS, CappedBody, CutBody
from tieline.net.egress import Policy
from tieline.net.failures import Trail, explain, overdue
from tieline.net.names import Names
from tieline.net.sockets import AddressInfo, open_socket

# Many servers close a connection that was idle for 5 s. What is sent on it at that moment fails, and a POST may not be
# sent again, so ours end before.
_IDLE_SECONDS: Final = 4.0
_NO_LIMIT: Final = 0
_DNS_SECONDS: Final = 10

_trail: ContextVar[Trail] = ContextVar("trail")


class _CheckingResolver(AbstractResolver):
    def __init__(self, policy: Policy, names: Names) -> None:
        self._policy = policy
        self._names = names

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 -- the connector asks for any
    ) -> list[ResolveResult]:
        addresses = await self._names.addresses(host)
        self._policy.check_all(addresses)
        return [_resolved(host, address, port) for address in addresses]

    async def close(self) -> None:
        """There is nothing to close."""


class _Request(aiohttp.ClientRequest):
    """Notes who is spoken to, on a connection that is kept as well as on a new one."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        trail = _trail.get()
        trail.is_connected = True
        if conn.transport is not None and (peer := conn.transport.get_extra_info("peername")):
            trail.address = str(peer[0])
        return await super().send(conn)


class GuardedClient:
    """Implements `core.http.HTTPClient` for everything that leaves over HTTP. Connections are pooled.

    No request that could do something twice is sent again when a kept connection turns out to be closed: a POST is
    one attempt, and fails as `closed`. `tls` says which certificates are trusted; as a rule, those of the machine.
    """

    def __init__(
        self, policy: Policy, user_agent: str, names: Names | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._policy = policy
        self._tls = tls
        self._names = names or Names()
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request) -> Response:
        """Raises `EgressRefused`, `Unreachable` or `RemoteBroken`; `RemoteRejected` when HTTP cannot carry it."""
        self._policy.check_url(request.url)
        trail = Trail()
        _trail.set(trail)
        failure: RemoteError
        try:
            async with asyncio.timeout(request.seconds):
                return await self._exchange(request, trail)
        except TimeoutError:
            failure = overdue(request, trail, is_looked_up=self._names.is_looking_up(_url_of(request).raw_host or ""))
        except RemoteError as error:
            failure = error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = explain(error, request, trail)
        failure.address = failure.address or trail.address
        # Without the cause: it may quote headers or the query.
        raise failure from None

    async def close(self) -> None:
        """Close all connections; the client may not be used afterwards."""
        if self._session is not None:
            await self._session.close()

    async def _exchange(self, request: Request, trail: Trail) -> Response:
        async with self._opened().request(
            request.method,
            _url_of(request),
            headers=_uncompressed(request.headers) if request.cut else request.headers,
            data=request.body,
            allow_redirects=False,
        ) as answer:
            body = await _read_body(request, answer)
            return Response(answer.status, _headers(answer), body.finish(), trail.address, body.is_cut)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._connector(),
                cookie_jar=aiohttp.DummyCookieJar(),
                request_class=_Request,
                headers={"User-Agent": self._user_agent, "Accept-Encoding": ACCEPTED_ENCODINGS},
                # The time limit is send's; the cap on size needs the bytes as they came.
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    def _connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            limit=_most_connections(),
            keepalive_timeout=_IDLE_SECONDS,
            ttl_dns_cache=_DNS_SECONDS,
            resolver=_CheckingResolver(self._policy, self._names),
            socket_factory=self._checked_socket,
            ssl=self._tls or True,
        )

    def _checked_socket(self, info: AddressInfo) -> socket.socket:
        return open_socket(self._policy, _trail.get(), info)


def _uncompressed(headers: Mapping[str, str]) -> CIMultiDict[str]:
    given = CIMultiDict({"Accept-Encoding": "identity"})
    given.update(headers)
    return given


def _url_of(request: Request) -> URL:
    return _parse_url(request.url)


@lru_cache(maxsize=1024)
def _parse_url(url: str) -> URL:
    return URL(url, encoded=url.isascii())


def _most_connections() -> int:
    """Who sends much bounds itself, per receiver: a low limit for all would let slow receivers starve the others.

    So this one only keeps clear of how many files the process may open.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _NO_LIMIT if files == resource.RLIM_INFINITY else files // 4


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)


async def _read_body(request: Request, answer: aiohttp.ClientResponse) -> CappedBody | CutBody:
    body = _empty_body(request, answer)
    while not answer.content.at_eof():
        body.add(await answer.content.readany())
        if body.is_cut:
            answer.close()
            break
    return body


def _empty_body(request: Request, answer: aiohttp.ClientResponse) -> CappedBody | CutBody:
    if request.cut:
        return CutBody(request.max_bytes)
    encoding = "" if request.method == "HEAD" else answer.headers.get("Content-Encoding", "")
    return CappedBody(request.max_bytes, encoding)


def _headers(answer: aiohttp.ClientResponse) -> dict[str, str]:
    """Lower-case names; repeated headers are joined as HTTP allows."""
    joined: dict[str, str] = {}
    for name, value in answer.headers.items():
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined
