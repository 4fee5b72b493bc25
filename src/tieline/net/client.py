"""The one HTTP client: checked addresses, no redirects, no cookies, no proxies, caps on time and size."""

import asyncio
import resource
import ssl
import sys
from typing import Final

from tieline.core.errors import RemoteError
from tieline.core.http import Request, Response
from tieline.net.answer import Answer
from tieline.net.connection import Closed, Connection
from tieline.net.egress import Policy
from tieline.net.failures import FAILURES, Trail, explain, overdue
from tieline.net.head import render_head
from tieline.net.names import Names
from tieline.net.pool import Pool
from tieline.net.target import Target, target_of

# RFC 9110 section 9.2.2.
_IDEMPOTENT: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PUT", "TRACE"})


class GuardedClient:
    """Implements `core.http.HTTPClient` for everything that leaves over HTTP. Connections are pooled.

    No request that could do something twice is sent again when a kept connection turns out to be closed: a POST is
    one attempt, and fails as `closed`. `tls` says which certificates are trusted; as a rule, those of the machine.
    """

    def __init__(
        self, policy: Policy, user_agent: str, names: Names | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._policy = policy
        self._names = names or Names()
        self._user_agent = user_agent
        most = _most_at_once()
        self._pool = Pool(policy, self._names, most, tls)
        self._turns = asyncio.Semaphore(most)

    async def send(self, request: Request) -> Response:
        """Raises `EgressRefused`, `Unreachable` or `RemoteBroken`; `RemoteRejected` when HTTP cannot carry it."""
        self._policy.check_url(request.url)
        trail = Trail()
        failure: RemoteError
        try:
            async with asyncio.timeout(request.seconds) as limit:
                return await self._send(request, trail)
        except RemoteError as error:
            failure = error
        except FAILURES as error:
            if limit.expired():
                is_looked_up = self._names.is_looking_up(target_of(request.url).host)
                failure = overdue(request, trail, is_looked_up=is_looked_up)
            else:
                failure = explain(error, request, trail)
        failure.address = failure.address or trail.address
        try:
            # Without the cause: it may quote headers or the query.
            raise failure from None
        finally:
            # This frame and the failure would hold on to each other, and to what was received.
            del failure

    async def close(self) -> None:
        """Close all connections; the client may not be used afterwards."""
        await self._pool.close()

    async def _send(self, request: Request, trail: Trail) -> Response:
        target = target_of(request.url)
        head = render_head(request, target, self._user_agent)
        async with self._turns:
            answer = await self._answer_on_kept(request, target, head, trail)
            if answer is None:
                answer = await self._ask(await self._pool.new(target, trail), request, target, head, trail)
        return Response(answer.status, answer.headers, answer.content(), trail.address, answer.is_cut)

    async def _answer_on_kept(self, request: Request, target: Target, head: bytes, trail: Trail) -> Answer | None:
        """The answer on a connection that is there; None when none is, or it was closed and nobody minds."""
        kept = self._pool.kept(target, request.owner)
        if kept is None:
            return None
        try:
            return await self._ask(kept, request, target, head, trail)
        except Closed:
            if request.method not in _IDEMPOTENT:
                raise
            trail.address, trail.is_connected = "", False
            return None

    async def _ask(self, connection: Connection, request: Request, target: Target, head: bytes, trail: Trail) -> Answer:
        trail.address, trail.is_connected = connection.address, True
        answer = Answer(request.method, request.max_bytes, cut=request.cut)
        try:
            await connection.ask(head, request.body or b"", answer)
        finally:
            self._pool.give_back(connection, target, request.owner)
        return answer


def _most_at_once() -> int:
    """Who sends much bounds itself, per receiver: a low limit for all would let slow receivers starve the others.

    So this one only keeps clear of how many files the process may open.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if files == resource.RLIM_INFINITY else files // 4
