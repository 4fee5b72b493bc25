import socket

import pytest

from tieline.core.errors import EgressRefused, Unreachable
from tieline.net.egress import Policy, parse_networks
from tieline.net.resolve import resolve_pinned


async def test_gives_a_checked_address() -> None:
    assert await resolve_pinned(Policy(parse_networks("127.0.0.0/8")), "127.0.0.1", 443) == "127.0.0.1"
    assert await resolve_pinned(Policy(parse_networks("127.0.0.0/8,::1/128")), "localhost", 80) in ("127.0.0.1", "::1")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "169.254.169.254"])
async def test_refuses_what_may_not_be_called(host: str) -> None:
    with pytest.raises(EgressRefused):
        await resolve_pinned(Policy(), host, 443)


@pytest.mark.parametrize("host", [".", "x..y", "", "a b.example", "fe80::1%lo", "exämple.test"])
async def test_refuses_what_is_no_host(host: str) -> None:
    with pytest.raises(EgressRefused):
        await resolve_pinned(Policy(), host, 443)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".example"])
async def test_a_name_without_address_is_unreachable(host: str) -> None:
    with pytest.raises(Unreachable):
        await resolve_pinned(Policy(), host, 443)


def test_loopback_has_an_address_here() -> None:
    assert socket.getaddrinfo("localhost", 80)
