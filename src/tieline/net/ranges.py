"""The addresses that outgoing traffic may not reach, and how addresses hide in other addresses. Pure.

`ipaddress.is_global` is no guard: it calls multicast, NAT64 of loopback, 6to4 and others global, and its
answers change between Python releases. So the rules are spelled out here, most particular first.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Rule:
    """A range that is refused. `sentence` completes "<address> is ..."."""

    network: Network
    sentence: str
    source: str


def _rule(cidr: str, sentence: str, source: str) -> Rule:
    return Rule(ip_network(cidr), sentence, source)


RULES: Final[tuple[Rule, ...]] = (
    _rule("169.254.169.254/32", "the metadata service of a cloud", "RFC 3927"),
    _rule("169.254.170.2/32", "the credentials service of a container platform", "Amazon ECS"),
    _rule("100.100.100.200/32", "the metadata service of a cloud", "Alibaba Cloud"),
    _rule("168.63.129.16/32", "the platform service of a cloud", "Microsoft Azure"),
    _rule("192.0.0.192/32", "the metadata service of a cloud", "Oracle Cloud"),
    _rule("0.0.0.0/8", 'an address of "this network"', "RFC 791"),
    _rule("10.0.0.0/8", "a private address", "RFC 1918"),
    _rule("100.64.0.0/10", "an address shared behind a carrier's NAT", "RFC 6598"),
    _rule("127.0.0.0/8", "a loopback address", "RFC 1122"),
    _rule("169.254.0.0/16", "a link-local address", "RFC 3927"),
    _rule("172.16.0.0/12", "a private address", "RFC 1918"),
    _rule("192.0.0.0/24", "reserved for protocol assignments", "RFC 6890"),
    _rule("192.0.2.0/24", "reserved for documentation", "RFC 5737"),
    _rule("192.88.99.0/24", "a former 6to4 relay address", "RFC 7526"),
    _rule("192.168.0.0/16", "a private address", "RFC 1918"),
    _rule("198.18.0.0/15", "reserved for benchmarks", "RFC 2544"),
    _rule("198.51.100.0/24", "reserved for documentation", "RFC 5737"),
    _rule("203.0.113.0/24", "reserved for documentation", "RFC 5737"),
    _rule("224.0.0.0/4", "a multicast address", "RFC 5771"),
    _rule("255.255.255.255/32", "the broadcast address", "RFC 919"),
    _rule("240.0.0.0/4", "a reserved address", "RFC 1112"),
    _rule("fd00:ec2::254/128", "the metadata service of a cloud", "Amazon EC2"),
    _rule("fd20:ce::254/128", "the metadata service of a cloud", "Google Cloud"),
    _rule("::/128", "the unspecified address", "RFC 4291"),
    _rule("::1/128", "the loopback address", "RFC 4291"),
    _rule("::/96", "an IPv4-compatible address, which is out of use", "RFC 4291"),
    _rule("::ffff:0:0:0/96", "an IPv4-translated address", "RFC 7915"),
    _rule("64:ff9b:1::/48", "a local translation address", "RFC 8215"),
    _rule("100::/64", "a discard address", "RFC 6666"),
    _rule("100:0:0:1::/64", "a dummy address", "RFC 9780"),
    _rule("2001::/32", "a Teredo tunnel address", "RFC 4380"),
    _rule("2001:2::/48", "reserved for benchmarks", "RFC 5180"),
    _rule("2001::/23", "reserved for protocol assignments", "RFC 2928"),
    _rule("2001:db8::/32", "reserved for documentation", "RFC 3849"),
    _rule("2002::/16", "a 6to4 tunnel address, which is out of use", "RFC 7526"),
    _rule("3fff::/20", "reserved for documentation", "RFC 9637"),
    _rule("5f00::/16", "a segment routing address", "RFC 9602"),
    _rule("fc00::/7", "a private (unique local) address", "RFC 4193"),
    _rule("fe80::/10", "a link-local address", "RFC 4291"),
    _rule("fec0::/10", "a site-local address, which is out of use", "RFC 3879"),
    _rule("ff00::/8", "a multicast address", "RFC 4291"),
)

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = IPv6Network("::/96")
_TRANSLATED: Final = IPv6Network("::ffff:0:0:0/96")
# The middle of an interface identifier of RFC 5214: 0000:5efe or 0200:5efe, then the IPv4 address.
_ISATAP: Final = 0x00005EFE
_ISATAP_MASK: Final = 0xFDFFFFFF
_OUTSIDE: Final = Rule(IPv6Network("::/0"), "outside the global unicast range 2000::/3", "RFC 4291")


def rule_against(address: Address) -> Rule | None:
    """The rule that refuses this very address, not looking into it."""
    for rule in RULES:
        if address.version == rule.network.version and address in rule.network:
            return rule
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return _OUTSIDE
    return None


def layers_of(address: Address) -> tuple[Address, ...]:
    """Every address that a packet to this one may end at.

    IPv4-mapped and NAT64 addresses are only another spelling, so they give the IPv4 address alone; tunnels
    (6to4, Teredo, ISATAP) and retired forms give themselves and what they carry.
    """
    if isinstance(address, IPv4Address):
        return (address,)
    plain = IPv6Address(int(address))
    if plain.ipv4_mapped is not None:
        return (plain.ipv4_mapped,)
    if plain in _NAT64:
        return (_last_four_bytes(plain),)
    return (*_carried(plain), plain)


def _carried(address: IPv6Address) -> tuple[IPv4Address, ...]:
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if (int(address) >> 32) & _ISATAP_MASK == _ISATAP:
        return (_last_four_bytes(address),)
    # ::1 and :: are addresses of their own, not forms of 0.0.0.1 and 0.0.0.0.
    if address in _TRANSLATED or (address in _COMPATIBLE and int(address) > 1):
        return (_last_four_bytes(address),)
    return ()


def _last_four_bytes(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)
