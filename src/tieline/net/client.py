"""The one HTTP client: checked addresses, no redirects, no cookies, no proxies, caps on time and size."""

import asyncio
import socket
from typing import Final

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.connector import Connection
from yarl import URL

from tieline.core.errors import EgressRefused, RemoteBroken, RemoteError, RemoteRejected, Unreachable
from tieline.core.http import Request, Response
from tieline.core.redact import origin_of
from tieline.net.body import ACCEPTED_ENCODINGS, CappedBody
from tieline.net.egress import Policy

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[str | int | bytes, ...]]

_CONNECTIONS: Final = 200
_IDLE_SECONDS: Final = 30.0
_DNS_SECONDS: Final = 10


class RefusedAddressError(OSError):
    """`EgressRefused` in a form that the connector passes on."""


class _CheckingResolver(aiohttp.ThreadedResolver):
    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        answers = await super().resolve(host, port, family)
        self._policy.check_all(answer["host"] for answer in answers)
        return answers


class _Answer(aiohttp.ClientResponse):
    """Remembers who answered: a short answer gives its connection back before anybody can ask."""

    address: str = ""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        peer = connection.transport.get_extra_info("peername") if connection.transport else None
        self.address = str(peer[0]) if peer else ""
        return await super().start(connection)


class GuardedClient:
    """Implements `core.http.HTTPClient` for everything that leaves over HTTP. Connections are pooled."""

    def __init__(self, policy: Policy, user_agent: str) -> None:
        self._policy = policy
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request) -> Response:
        """Raises `EgressRefused`, `Unreachable` or `RemoteBroken`; `RemoteRejected` when HTTP cannot carry it."""
        self._policy.check_url(request.url)
        where = origin_of(request.url)
        try:
            async with asyncio.timeout(request.seconds):
                return await self._exchange(request)
        except TimeoutError as error:
            raise Unreachable(f"{where} did not answer in full within {request.seconds:g} s.") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Without the cause: it may quote headers or the query.
            raise _explain(error, where) from None

    async def close(self) -> None:
        """Close all connections; the client may not be used afterwards."""
        if self._session is not None:
            await self._session.close()

    async def _exchange(self, request: Request) -> Response:
        async with self._opened().request(
            request.method,
            URL(request.url, encoded=request.url.isascii()),
            headers={"User-Agent": self._user_agent, "Accept-Encoding": ACCEPTED_ENCODINGS, **request.headers},
            data=request.body,
            allow_redirects=False,
        ) as answer:
            body = CappedBody(request.max_bytes, "" if request.method == "HEAD" else _encoding(answer))
            async for chunk in answer.content.iter_any():
                body.add(chunk)
            return Response(answer.status, _headers(answer), body.finish(), getattr(answer, "address", ""))

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._connector(),
                cookie_jar=aiohttp.DummyCookieJar(),
                response_class=_Answer,
                # The time limit is send's; the cap on size needs the bytes as they came.
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    def _connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            limit=_CONNECTIONS,
            keepalive_timeout=_IDLE_SECONDS,
            ttl_dns_cache=_DNS_SECONDS,
            resolver=_CheckingResolver(self._policy),
            socket_factory=self._checked_socket,
        )

    def _checked_socket(self, info: AddressInfo) -> socket.socket:
        """The last gate: sees every address really dialled, however it was found."""
        family, kind, protocol, _, address = info
        try:
            self._policy.check(str(address[0]))
        except EgressRefused as refused:
            raise RefusedAddressError(str(refused)) from refused
        return socket.socket(family, kind, protocol)


def _encoding(answer: aiohttp.ClientResponse) -> str:
    return answer.headers.get("Content-Encoding", "")


def _headers(answer: aiohttp.ClientResponse) -> dict[str, str]:
    """Lower-case names; repeated headers are joined as HTTP allows."""
    joined: dict[str, str] = {}
    for name, value in answer.headers.items():
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined


def _explain(error: Exception, where: str) -> RemoteError:
    cause = getattr(error, "os_error", None)
    for each in (error, cause):
        if isinstance(each, RefusedAddressError):
            return EgressRefused(str(each))
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Unreachable(f"The host name of {where} could not be resolved.")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Unreachable(f"The TLS certificate of {where} is not valid for it.")
    if isinstance(error, aiohttp.ClientSSLError):
        return Unreachable(f"No TLS connection to {where} could be made.")
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = f": {cause.strerror}" if isinstance(cause, OSError) and cause.strerror else ""
        return Unreachable(f"No connection to {where} could be made{reason}.")
    return _explain_exchange(error, where)


def _explain_exchange(error: Exception, where: str) -> RemoteError:
    if isinstance(error, aiohttp.InvalidURL):
        return EgressRefused(f"The URL of {where} is malformed.")
    if isinstance(error, aiohttp.ClientPayloadError):
        return RemoteBroken(f"The answer of {where} broke off.")
    if isinstance(error, aiohttp.ClientResponseError):
        return RemoteBroken(f"The answer of {where} is not valid HTTP.")
    if isinstance(error, aiohttp.ClientError | OSError):
        return Unreachable(f"{where} closed the connection without an answer.")
    return RemoteRejected(f"The request to {where} cannot be sent: a header or the URL is not valid in HTTP.")
