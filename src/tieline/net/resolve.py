"""Names to checked addresses, for connections that are not made by the HTTP client (git, SMTP, syslog)."""

import asyncio
import socket

from tieline.core.errors import Unreachable
from tieline.net.egress import Policy


async def resolve_pinned(policy: Policy, host: str, port: int, seconds: float = 10.0) -> str:
    """One IP address of the host to connect to and no other, so that a second look-up cannot change it.

    Raises `EgressRefused` when any address of the host is refused, `Unreachable` when there is none.
    """
    addresses = await _addresses(host, port, seconds)
    policy.check_all(addresses)
    return addresses[0]


async def _addresses(host: str, port: int, seconds: float) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except TimeoutError as error:
        raise Unreachable(f"The name {host} could not be resolved within {seconds:g} s.") from error
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"The name {host} could not be resolved.") from error
    if not answers:
        raise Unreachable(f"The name {host} has no address.")
    return [str(answer[4][0]) for answer in answers]
