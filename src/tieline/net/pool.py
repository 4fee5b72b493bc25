"""Connections to checked addresses, kept for the next request where they can be."""

import asyncio
import socket
import ssl
from collections import defaultdict
from functools import cached_property, partial
from ipaddress import ip_address
from typing import Final

import aiohappyeyeballs

from tieline.net.connection import BUFFER_SIZE, Connection
from tieline.net.egress import Policy
from tieline.net.failures import Trail
from tieline.net.names import Names
from tieline.net.sockets import AddressInfo, open_socket
from tieline.net.target import Origin, Target

# Many servers close a connection that was idle for 5 s. What is sent on it at that moment fails, and a POST may not be
# sent again, so ours end before.
_IDLE_SECONDS: Final = 4.0
_DNS_SECONDS: Final = 10.0
# RFC 8305 section 8.
_NEXT_ADDRESS_SECONDS: Final = 0.25


class Pool:
    """Dials what the policy permits, and keeps none where there are more than `most`.

    `tls` says which certificates are trusted; as a rule, those of the machine.
    """

    def __init__(self, policy: Policy, names: Names, most: int, tls: ssl.SSLContext | None = None) -> None:
        self._policy = policy
        self._names = names
        self._most = most
        self._tls = tls
        self._is_closed = False
        self._buffer = memoryview(bytearray(BUFFER_SIZE))
        self._open: set[Connection] = set()
        self._idle: defaultdict[tuple[Origin, str], list[tuple[float, Connection]]] = defaultdict(list)
        self._addresses: dict[Origin, tuple[float, list[str]]] = {}
        self._tidying: asyncio.TimerHandle | None = None

    def kept(self, target: Target, owner: str) -> Connection | None:
        """A connection that the same owner used before and is open, as far as is known."""
        idle = self._idle.get((target.origin, owner), [])
        while idle:
            since, connection = idle.pop()
            if connection.is_quiet and _now() - since < _IDLE_SECONDS:
                return connection
            self._end(connection)
        return None

    async def new(self, target: Target, trail: Trail) -> Connection:
        """A connection of its own. Raises OSError, `EgressRefused`, or `Unreachable` when the name has no address."""
        infos = [_info(address, target.port) for address in await self._addresses_of(target)]
        dialled = await aiohappyeyeballs.start_connection(
            infos, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, socket_factory=partial(open_socket, self._policy, trail)
        )
        connection = Connection(self._buffer)
        try:
            # The last one that was dialled need not be the one that answered.
            trail.address = connection.address = str(dialled.getpeername()[0])
            trail.is_dialled = True
            await asyncio.get_running_loop().create_connection(lambda: connection, sock=dialled)
            if target.is_tls:
                await connection.secure(self._context, target.server_name)
        except BaseException:
            # First what watches the socket: its number may be another one's at once.
            connection.close()
            dialled.close()
            raise
        self._open.add(connection)
        return connection

    def give_back(self, connection: Connection, target: Target, owner: str) -> None:
        """Have a connection kept for the owner's next request, if it is still open."""
        if not connection.is_open or self._is_closed or len(self._open) > self._most:
            self._end(connection)
            return
        self._idle[target.origin, owner].append((_now(), connection))
        self._tidy_later()

    async def close(self) -> None:
        """Close all of them, and keep none that is given back later."""
        self._is_closed = True
        if self._tidying is not None:
            self._tidying.cancel()
        for connection in list(self._open):
            self._end(connection)
        # The transports close their sockets in the next turn of the loop.
        await asyncio.sleep(0)

    async def _addresses_of(self, target: Target) -> list[str]:
        """Its addresses, all of which are permitted."""
        until, addresses = self._addresses.get(target.origin, (0.0, []))
        if until <= _now():
            addresses = _literal(target.host) or await self._names.addresses(target.host)
            self._policy.check_all(addresses)
            self._addresses[target.origin] = (_now() + _DNS_SECONDS, addresses)
            self._tidy_later()
        return addresses

    @cached_property
    def _context(self) -> ssl.SSLContext:
        context = self._tls or ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context

    def _tidy_later(self) -> None:
        if self._tidying is None and not self._is_closed:
            self._tidying = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._tidy)

    def _tidy(self) -> None:
        """Close what was idle for too long, and forget names that were looked up long ago."""
        self._tidying = None
        moment = _now()
        for whose, idle in list(self._idle.items()):
            for since, connection in idle:
                if moment - since >= _IDLE_SECONDS or not connection.is_open:
                    self._end(connection)
            idle[:] = [each for each in idle if each[1] in self._open]
            if not idle:
                del self._idle[whose]
        self._addresses = {origin: known for origin, known in self._addresses.items() if known[0] > moment}
        if self._idle or self._addresses:
            self._tidy_later()

    def _end(self, connection: Connection) -> None:
        self._open.discard(connection)
        connection.close()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _literal(host: str) -> list[str]:
    """The address that a host is, which nobody need be asked for; empty for a name."""
    try:
        return [str(ip_address(host))]
    except ValueError:
        return []


def _info(address: str, port: int) -> AddressInfo:
    kind, protocol = socket.SOCK_STREAM, socket.IPPROTO_TCP
    if ":" in address:
        return socket.AF_INET6, kind, protocol, "", (address, port, 0, 0)
    return socket.AF_INET, kind, protocol, "", (address, port)
