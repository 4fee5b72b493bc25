"""Where sockets are opened: the last gate on the way out."""

import errno
import socket
from typing import Any, Final

from tieline.core.errors import EgressRefused
from tieline.net.egress import Policy
from tieline.net.failures import Trail

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[str | int | bytes, ...]]

SIP: Final = 16 * 1024


class SippingSocket(socket.socket):
    """Reads at most `SIP` bytes at a time, so that everybody has a turn between two reads.

    What asyncio would read at once for TLS, 256 KiB, may be ten thousand answers with status 100 or chunks of one byte,
    which take a good part of a second to parse.
    """

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        return super().recv_into(buffer, min(nbytes or memoryview(buffer).nbytes, SIP), flags)


def open_socket(policy: Policy, trail: Trail, info: AddressInfo) -> socket.socket:
    """A socket to dial this address with, however it was found. Raises OSError when it is refused."""
    family, kind, protocol, _, address = info
    trail.address = str(address[0])
    try:
        policy.check(trail.address)
    except EgressRefused as refused:
        trail.refusal = refused
        # What the dialler passes on; it may wrap it with the failures of other addresses.
        raise OSError(errno.EACCES, str(refused)) from refused
    return SippingSocket(family, kind, protocol)
