"""The HTTP client against servers that mean harm."""

import asyncio
import gzip
import socket
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from tests.net.servers import plain, raw_server
from tieline.core.errors import EgressRefused, RemoteBroken, RemoteRejected, Unreachable
from tieline.core.http import Request
from tieline.net.client import GuardedClient
from tieline.net.egress import Policy, parse_networks
from tieline.net.failures import Trail
from tieline.net.sockets import open_socket

LOOPBACK = Policy(parse_networks("127.0.0.0/8"))


@pytest.fixture
async def client() -> AsyncIterator[GuardedClient]:
    guarded = GuardedClient(LOOPBACK, "tieline-test/1")
    yield guarded
    await guarded.close()


@pytest.fixture
async def strict() -> AsyncIterator[GuardedClient]:
    guarded = GuardedClient(Policy(), "tieline-test/1")
    yield guarded
    await guarded.close()


async def test_an_answer_comes_back_whole(client: GuardedClient) -> None:
    async with raw_server(
        plain(b'{"a":1}', "201 Created", "Content-Type: application/json\r\nX-A: 1\r\nX-A: 2\r\n")
    ) as server:
        response = await client.send(Request("POST", server.url + "/x?y=%2F", {"X-Mine": "yes"}, b"body"))
    assert (response.status, response.json(), response.address) == (201, {"a": 1}, "127.0.0.1")
    assert response.headers["x-a"] == "1, 2"
    head = server.requests[0].decode()
    assert head.startswith("POST /x?y=%2F HTTP/1.1")
    assert "User-Agent: tieline-test/1" in head
    assert "X-Mine: yes" in head


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "127.1", "0x7f.1", "0"]
)
async def test_loopback_is_refused_however_it_is_spelled(strict: GuardedClient, host: str) -> None:
    async with raw_server(plain(b"secret")) as server:
        with pytest.raises(EgressRefused):
            await strict.send(Request("GET", f"http://{host}:{server.port}/"))
    assert server.connections == 0


async def test_a_name_that_resolves_to_loopback_is_refused_when_dialled(strict: GuardedClient) -> None:
    async with raw_server(plain(b"secret")) as server:
        with pytest.raises(EgressRefused, match="TIELINE_EGRESS_ALLOW"):
            await strict.send(Request("GET", f"http://{_own_name()}:{server.port}/"))
    assert server.connections == 0


def _own_name() -> str:
    """A name other than localhost that this machine resolves to an address that is not public."""
    for name in (socket.gethostname(), "ip6-localhost", "localhost.localdomain"):
        try:
            addresses = {info[4][0] for info in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)}
        except OSError:
            continue
        if addresses:
            return name
    pytest.skip("this machine has no name for itself")


def test_the_socket_itself_is_guarded() -> None:
    trail = Trail()
    with pytest.raises(OSError, match="loopback"):
        open_socket(Policy(), trail, (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80)))
    assert trail.address == "127.0.0.1"
    assert trail.refusal is not None


async def test_redirects_are_answers(client: GuardedClient) -> None:
    async with raw_server(plain(b"", "302 Found", "Location: http://169.254.169.254/\r\n")) as server:
        response = await client.send(Request("GET", server.url))
    assert (response.status, response.headers["location"]) == (302, "http://169.254.169.254/")
    assert len(server.requests) == 1


async def test_cookies_are_not_kept(client: GuardedClient) -> None:
    async with raw_server(plain(b"", headers="Set-Cookie: a=b\r\n")) as server:
        for _ in range(2):
            await client.send(Request("GET", server.url))
    assert b"cookie" not in server.requests[1].lower()


async def test_connections_are_reused(client: GuardedClient) -> None:
    async with raw_server(plain(b"x")) as server:
        addresses = [(await client.send(Request("GET", server.url))).address for _ in range(5)]
    assert (server.connections, set(addresses)) == (1, {"127.0.0.1"})


async def test_proxies_of_the_environment_are_ignored(client: GuardedClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with raw_server(plain(b"x")) as server:
        assert (await client.send(Request("GET", server.url))).body == b"x"


async def test_a_stream_without_end_is_cut(client: GuardedClient) -> None:
    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        for _ in range(1024):
            writer.write(bytes(1024 * 1024))
            await writer.drain()

    async with raw_server(flood) as server:
        tracemalloc.start()
        with pytest.raises(RemoteBroken, match="larger than 1000000 bytes"):
            await client.send(Request("GET", server.url, max_bytes=1_000_000))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 20_000_000


async def test_a_gzip_bomb_is_cut_before_it_unfolds(client: GuardedClient) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    async with raw_server(plain(bomb, headers="Content-Encoding: gzip\r\n")) as server:
        tracemalloc.start()
        with pytest.raises(RemoteBroken, match="larger"):
            await client.send(Request("GET", server.url, max_bytes=1_000_000))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize("members", [1, 3])
async def test_gzip_is_unfolded(client: GuardedClient, members: int) -> None:
    body = gzip.compress(b"hello ") * members
    async with raw_server(plain(body, headers="Content-Encoding: gzip\r\n")) as server:
        assert (await client.send(Request("GET", server.url))).body == b"hello " * members


async def test_an_empty_answer_may_claim_to_be_gzip(client: GuardedClient) -> None:
    async with raw_server(plain(b"", headers="Content-Encoding: gzip\r\n")) as server:
        assert (await client.send(Request("GET", server.url))).body == b""


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(gzip.compress(b"x" * 999, mtime=0)[:-12], "gzip"), (b"not gzip", "gzip"), (b"x", "br"), (b"x", "gzip, gzip")],
)
async def test_wrong_compression_is_told(client: GuardedClient, body: bytes, encoding: str) -> None:
    async with raw_server(plain(body, headers=f"Content-Encoding: {encoding}\r\n")) as server:
        with pytest.raises(RemoteBroken):
            await client.send(Request("GET", server.url))


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"",
    ],
)
async def test_an_answer_that_is_no_http_is_told(client: GuardedClient, raw: bytes) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        writer.close()

    async with raw_server(answer) as server:
        with pytest.raises((RemoteBroken, Unreachable)):
            await client.send(Request("GET", server.url))


@pytest.mark.parametrize("cut", [False, True])
async def test_a_header_that_is_given_replaces_ours_in_any_case(client: GuardedClient, *, cut: bool) -> None:
    given = {"user-agent": "mine/1", "ACCEPT-ENCODING": "identity;q=1"}
    async with raw_server(plain(b"x")) as server:
        await client.send(Request("GET", server.url, given, cut=cut))
    head = server.requests[0].decode().lower()
    assert "user-agent: mine/1\r\n" in head
    assert "accept-encoding: identity;q=1\r\n" in head
    assert (head.count("user-agent"), head.count("accept-encoding")) == (1, 1)


@pytest.mark.parametrize("headers", [{"X": "a\r\nY: b"}, {"X\n": "a"}, {"X": "a\0"}])
async def test_headers_cannot_be_smuggled(client: GuardedClient, headers: dict[str, str]) -> None:
    async with raw_server(plain(b"x")) as server:
        with pytest.raises(RemoteRejected):
            await client.send(Request("GET", server.url, headers))
    assert server.requests == []


async def test_errors_carry_no_secret(client: GuardedClient) -> None:
    async def hang_up(writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with raw_server(hang_up) as server:
        for url in (f"{server.url}/path-s3cret?token=s3cret", "http://127.0.0.1:1/path-s3cret?token=s3cret"):
            with pytest.raises(Unreachable) as failure:
                await client.send(Request("GET", url, {"Authorization": "Bearer s3cret"}, b"s3cret"))
            assert "s3cret" not in str(failure.value)
            assert failure.value.__cause__ is None
