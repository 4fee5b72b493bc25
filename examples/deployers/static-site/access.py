"""Who may see an environment: the document's `http_access`. Pure."""

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from settings import Refused

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Access:
    """Rules of addresses, of which the first that fits decides, and the users with their passwords."""

    rules: tuple[tuple[bool, Network], ...] = ()
    users: tuple[tuple[str, str], ...] = ()

    def admits_address(self, text: str) -> bool:
        """Whether a client at this address may come in. No rule that fits is a yes."""
        address = _address(text)
        return next((allowed for allowed, network in self.rules if _fits(address, network)), True)

    def admits_user(self, authorization: str | None) -> bool:
        """Whether a header `Authorization` names one of the users, if there are any."""
        if not self.users:
            return True
        given = _credentials(authorization or "")
        return any(hmac.compare_digest(given, f"{user}:{password}".encode()) for user, password in self.users)


def parse_access(http_access: Mapping[str, Any]) -> Access:
    """What the document asks for. Raises `Refused` for anything not understood, so that nothing is left open."""
    try:
        if not http_access["is_enabled"]:
            return Access()
        rules = tuple((_is_allowed(each["permission"]), _network(each["address"])) for each in http_access["addresses"])
        users = tuple((str(user), str(password)) for user, password in http_access["basic_auth"].items())
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Refused("The environment's http_access is not understood, so nothing is published.") from error
    return Access(rules, users)


def _is_allowed(permission: str) -> bool:
    if permission not in ("allow", "deny"):
        raise ValueError(permission)
    return permission == "allow"


def _network(text: str) -> Network:
    return ipaddress.ip_network(text, strict=False)


def _address(text: str) -> Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _fits(address: Address, network: Network) -> bool:
    # "0.0.0.0/0" is how people write "everybody", and IPv6 is not to slip through it.
    return network.prefixlen == 0 or address in network


def _credentials(authorization: str) -> bytes:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
