"""Which addresses and URLs outgoing traffic may reach. Pure: nothing here resolves or connects."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

from tieline.core.errors import EgressRefused
from tieline.net.ranges import Address, Network, Rule, layers_of, rule_against

SETTING: Final = "TIELINE_EGRESS_ALLOW"
_LONGEST_URL: Final = 8192
_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?\Z")
_NUMBER: Final = re.compile(r"(?:0[xX][0-9A-Fa-f]*|[0-9]+)\Z")
_BYTES_OF_IPV4: Final = 4
_HIGHEST_PORT: Final = 65535
_REMEMBERED: Final = 1024


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read a comma list of CIDRs, as `TIELINE_EGRESS_ALLOW` has it. Raises ValueError naming the bad one."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


class Policy:
    """Public addresses are permitted; others only when `allow` has their network."""

    def __init__(self, allow: Sequence[Network] = ()) -> None:
        self._allow = tuple(allow)
        # Thousands of requests a second go to a few URLs, and what is permitted once is permitted always.
        self._permit = lru_cache(maxsize=_REMEMBERED)(self._check_url)

    def check(self, address: str) -> None:
        """Raise `EgressRefused` unless traffic may go to this IP address, whatever it is wrapped in."""
        try:
            parsed = ip_address(address)
        except ValueError as error:
            raise EgressRefused(f"{address!r} is not an IP address.") from error
        for layer in layers_of(parsed):
            self._check_layer(layer, spelled=parsed)

    def check_all(self, addresses: Iterable[str]) -> None:
        """Raise `EgressRefused` when any of a name's addresses is refused: which one is dialled is left to luck."""
        for address in addresses:
            self.check(address)

    def check_url(self, url: str) -> None:
        """Raise `EgressRefused` with a sentence for a form field, unless this is an HTTP URL without tricks.

        Names are not resolved here; the address is checked again when it is dialled.
        """
        self._permit(url)

    def check_host(self, host: str) -> None:
        """The same for a host with nothing around it: a name, an IPv4 address, or an IPv6 address without brackets."""
        if ":" in host:
            _check_ipv6(host)
            self.check(host)
            return
        _check_name(host)
        if (literal := _ipv4_literal(host)) is not None:
            self.check(literal)
        elif _is_localhost(host):
            self.check("127.0.0.1")

    def _check_url(self, url: str) -> None:
        self.check_host(_host_of(url))

    def _check_layer(self, layer: Address, spelled: Address) -> None:
        rule = rule_against(layer)
        if rule is not None and not self._is_allowed(layer):
            raise _refusal(layer, spelled, rule)

    def _is_allowed(self, address: Address) -> bool:
        return any(address.version == each.version and address in each for each in self._allow)


def _refusal(layer: Address, spelled: Address, rule: Rule) -> EgressRefused:
    hidden = "" if layer == spelled else f" (written as {spelled})"
    refusal = EgressRefused(
        f"{layer}{hidden} is {rule.sentence} ({rule.network}, {rule.source}), which Tieline does not call. "
        f"If it should, add {layer}/{layer.max_prefixlen} or its network to {SETTING}."
    )
    refusal.address = str(spelled)
    return refusal


def _host_of(url: str) -> str:
    """The host of a URL. Refuses whatever two parsers might read in two ways."""
    if len(url) > _LONGEST_URL:
        raise EgressRefused(f"The URL is longer than {_LONGEST_URL} characters.")
    if any(character <= " " or character in "\\\x7f" for character in url):
        raise EgressRefused("The URL contains a space, a control character or a backslash; please encode it.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise EgressRefused("The URL is malformed: please check its host and port.") from error
    if parts.scheme not in ("http", "https"):
        raise EgressRefused("The URL must begin with https:// or http://.")
    if "@" in parts.netloc:
        raise EgressRefused("The URL must not contain a user name or password; give credentials in their own fields.")
    if port == 0:
        raise EgressRefused(f"The port must be between 1 and {_HIGHEST_PORT}.")
    return _bare_host(parts)


def _bare_host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if not host:
        raise EgressRefused("The URL has no host name.")
    if "[" in parts.netloc:
        _check_ipv6(host)
    return host


def _check_name(host: str) -> None:
    if not host.isascii():
        raise EgressRefused("Please write the host name in ASCII (an international name in its xn-- form).")
    if not _HOST.match(host):
        raise EgressRefused("The host name contains a character that host names do not have.")


def _check_ipv6(host: str) -> None:
    if "%" in host:
        raise EgressRefused("An IPv6 address with a zone is only valid on its own link; leave the zone away.")
    try:
        IPv6Address(host)
    except ValueError as error:
        raise EgressRefused(f"{host!r} is not an IPv6 address.") from error


def _is_localhost(host: str) -> bool:
    """By RFC 6761 every resolver sends these names to the machine itself."""
    name = host.lower().rstrip(".")
    return name == "localhost" or name.endswith(".localhost")


def _ipv4_literal(host: str) -> str | None:
    """The IPv4 address that a host stands for, or None for a name. Refuses spellings but four decimals.

    C libraries read 127.1, 0177.0.0.1, 0x7f.1 and 2130706433 as addresses; such a spelling has no honest use.
    """
    parts = host.rstrip(".").split(".")
    if not _NUMBER.match(parts[-1]):
        return None
    try:
        return str(IPv4Address(host.rstrip(".")))
    except ValueError:
        meant = _as_c_reads_it(parts)
    means = f" ({meant})" if meant else ""
    raise EgressRefused(f"{host!r} is an unusual spelling of an IP address{means}; write four decimal numbers.")


def _as_c_reads_it(parts: list[str]) -> IPv4Address | None:
    """What inet_aton makes of up to four decimal, octal or hexadecimal numbers; the last fills the rest."""
    try:
        numbers = [_c_number(part) for part in parts]
    except ValueError:
        return None
    *first, last = numbers
    room = _BYTES_OF_IPV4 - len(first)
    if room < 1 or last >= 256**room or any(number > 255 for number in first):  # noqa: PLR2004
        return None
    return IPv4Address(sum(number << (8 * (3 - place)) for place, number in enumerate(first)) + last)


def _c_number(text: str) -> int:
    if text[:2].lower() == "0x":
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") and len(text) > 1 else 10)
