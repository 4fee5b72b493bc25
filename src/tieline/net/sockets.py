"""Where sockets are opened: the last gate on the way out."""

import errno
import socket

from tieline.core.errors import EgressRefused
from tieline.net.egress import Policy
from tieline.net.failures import Trail

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[str | int | bytes, ...]]


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
    return socket.socket(family, kind, protocol)
