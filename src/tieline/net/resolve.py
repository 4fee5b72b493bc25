"""Names to checked addresses, for connections that are not made by the HTTP client (git, SMTP, syslog)."""

from typing import Final

from tieline.net.egress import Policy
from tieline.net.names import LOOKUP_SECONDS, Names

_SYSTEM: Final = Names()


async def resolve_pinned(
    policy: Policy, host: str, _port: int, seconds: float = LOOKUP_SECONDS, names: Names = _SYSTEM
) -> str:
    """One IP address of the host to connect to and no other, so that a second look-up cannot change it.

    Raises `EgressRefused` when the host is an address in disguise, or any of its addresses is refused; `Unreachable`
    when it has none.
    """
    policy.check_host(host)
    addresses = await names.addresses(host, seconds)
    policy.check_all(addresses)
    return addresses[0]
