"""Receivers that fail in every way there is: each attempt ends in time, and says what failed and at which address."""

import asyncio
import gzip
import socket
import ssl
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Event

import pytest

from tests.net.certificates import Authority
from tests.net.servers import Answer, drip, hang, hang_up_after, plain, raw_server
from tieline.core.errors import EgressRefused, RemoteBroken, RemoteError, Unreachable
from tieline.core.http import Request
from tieline.net.client import GuardedClient
from tieline.net.egress import Policy, parse_networks
from tieline.net.names import Names
from tieline.net.resolve import resolve_pinned

LOOPBACK = Policy(parse_networks("127.0.0.0/8"))
PATIENCE = 0.3
HEADERS = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


@asynccontextmanager
async def opened(names: Names | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[GuardedClient]:
    client = GuardedClient(LOOPBACK, "tieline-test/1", names, tls)
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def client() -> AsyncIterator[GuardedClient]:
    async with opened() as client:
        yield client


@contextmanager
def in_time(seconds: float = PATIENCE) -> Iterator[None]:
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < seconds + 1


async def failure_of(client: GuardedClient, url: str, method: str = "POST") -> RemoteError:
    """How a request fails, which it does in time."""
    with in_time(), pytest.raises(RemoteError) as failure:
        await client.send(Request(method, url, body=b"{}", seconds=PATIENCE))
    return failure.value


def told(error: RemoteError) -> tuple[str, str]:
    assert isinstance(error, Unreachable), error
    return error.reason, error.address


# Answers


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (hang, "timeout"),
        (drip(b"HTTP/1.1 200 OK\r\nX-Slow: "), "timeout"),
        (drip(HEADERS), "timeout"),
        (drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "timeout"),
        (hang_up_after(b""), "closed"),
        (hang_up_after(b"", rudely=True), "closed"),
        (hang_up_after(b"HTTP/1.1 200 OK\r\nContent-Le", rudely=True), "closed"),
    ],
    ids=["silence", "slow headers", "slow body", "promises", "closed", "reset", "reset within the headers"],
)
async def test_a_receiver_without_an_answer_is_told_with_its_address(
    client: GuardedClient, answer: Answer, reason: str
) -> None:
    async with raw_server(answer) as server:
        assert told(await failure_of(client, server.url)) == (reason, "127.0.0.1")


@pytest.mark.parametrize("rudely", [False, True])
async def test_an_answer_that_breaks_off_is_broken(client: GuardedClient, *, rudely: bool) -> None:
    async with raw_server(hang_up_after(HEADERS + b"begin", rudely=rudely)) as server:
        error = await failure_of(client, server.url)
    assert (type(error), error.address) == (RemoteBroken, "127.0.0.1")


async def test_a_gigabyte_costs_what_is_kept_of_it(client: GuardedClient) -> None:
    written = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        for _ in range(16 * 1024):
            writer.write(b"y" * 65536)
            await writer.drain()
            written += 65536

    async with raw_server(flood) as server:
        await client.send(Request("POST", server.url, max_bytes=1, cut=True))
        tracemalloc.start()
        response = await client.send(Request("POST", server.url, max_bytes=16384, cut=True))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # The rest is not read in silence: the connection is closed, and the next request has one of its own.
        await asyncio.wait_for(server.closed.wait(), 5)
        assert server.connections == 2
    assert (response.status, response.body, response.is_cut) == (200, b"y" * 16384, True)
    assert (peak < 5_000_000, written < 100_000_000) == (True, True)


@pytest.mark.parametrize(("size", "is_cut"), [(0, False), (9, False), (10, False), (11, True)])
async def test_what_fits_is_not_cut(client: GuardedClient, size: int, *, is_cut: bool) -> None:
    async with raw_server(plain(b"x" * size)) as server:
        response = await client.send(Request("GET", server.url, max_bytes=10, cut=True))
    assert (response.body, response.is_cut) == (b"x" * min(size, 10), is_cut)


async def test_a_bomb_is_not_unfolded_where_its_beginning_will_do(client: GuardedClient) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    async with raw_server(plain(bomb, headers="Content-Encoding: gzip\r\n")) as server:
        response = await client.send(Request("GET", server.url, max_bytes=64, cut=True))
    assert (response.body, response.is_cut) == (bomb[:64], True)
    assert b"Accept-Encoding: identity" in server.requests[0]


# Connections


async def test_nobody_listening(client: GuardedClient) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert told(await failure_of(client, url)) == ("connection", "127.0.0.1")


async def test_a_receiver_that_accepts_no_connection(client: GuardedClient) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        # The system takes one more than the backlog, and lets later ones wait.
        with socket.create_connection(("127.0.0.1", port)):
            error = await failure_of(client, f"http://127.0.0.1:{port}")
    assert told(error) == ("timeout", "127.0.0.1")
    assert "No connection" in str(error)


async def test_slow_receivers_do_not_starve_the_others(client: GuardedClient) -> None:
    everyone = asyncio.Barrier(251)

    async def hang_together(_: asyncio.StreamWriter) -> None:
        await everyone.wait()
        await asyncio.Event().wait()

    async with raw_server(hang_together) as slow, raw_server(plain(b"quick")) as quick:
        stuck = [asyncio.create_task(client.send(Request("POST", slow.url))) for _ in range(250)]
        await everyone.wait()
        assert (await client.send(Request("POST", quick.url, seconds=2))).body == b"quick"
        for each in stuck:
            each.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)


@pytest.mark.parametrize(("method", "times"), [("POST", 1), ("PATCH", 1), ("GET", 2)])
async def test_what_could_do_something_twice_is_sent_once_when_a_kept_connection_is_closed(
    client: GuardedClient, method: str, times: int
) -> None:
    answered = 0

    async def once(writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        answered += 1
        await (plain(b"first") if answered == 1 else hang_up_after(b""))(writer)

    async with raw_server(once) as server:
        await client.send(Request(method, server.url))
        with pytest.raises(Unreachable) as failure:
            await client.send(Request(method, server.url, seconds=PATIENCE))
    assert told(failure.value) == ("closed", "127.0.0.1")
    assert len(server.requests) == 1 + times


async def test_silence_on_a_kept_connection_has_an_address_too(client: GuardedClient) -> None:
    answered = 0

    async def once(writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        answered += 1
        await (plain(b"first") if answered == 1 else hang)(writer)

    async with raw_server(once) as server:
        await client.send(Request("POST", server.url))
        assert told(await failure_of(client, server.url)) == ("timeout", "127.0.0.1")
    assert server.connections == 1


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def trusting(authority: Authority) -> AsyncIterator[GuardedClient]:
    async with opened(at("127.0.0.1"), authority.client()) as client:
        yield client


def at(*addresses: str) -> Names:
    """Every name is at these addresses."""
    return Names(lambda _: list(addresses))


async def test_a_certificate_for_the_name_is_trusted(trusting: GuardedClient, authority: Authority) -> None:
    async with raw_server(plain(b"hello"), authority.server(["receiver.test"])) as server:
        response = await trusting.send(Request("POST", f"https://receiver.test:{server.port}/"))
    assert (response.body, response.address) == (b"hello", "127.0.0.1")


@pytest.mark.parametrize(
    ("certificate", "flaw"),
    [
        (lambda authority: authority.server(["other.test"]), "not valid for 'receiver.test'"),
        (lambda authority: authority.server(["receiver.test"], days=-1), "has expired"),
        (lambda authority: authority.impostor("receiver.test"), "self-signed"),
    ],
    ids=["another name", "expired", "self-signed"],
)
async def test_a_certificate_that_does_not_hold_is_told(
    trusting: GuardedClient, authority: Authority, certificate: Callable[[Authority], ssl.SSLContext], flaw: str
) -> None:
    async with raw_server(plain(b"x"), certificate(authority)) as server:
        error = await failure_of(trusting, f"https://receiver.test:{server.port}/")
    assert told(error) == ("certificate", "127.0.0.1")
    assert flaw in str(error)
    assert server.requests == []


@pytest.mark.parametrize(
    ("first_bytes", "reason"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "tls"), (b"", "tls"), (None, "timeout")],
    ids=["no TLS", "closed", "handshake that hangs"],
)
async def test_a_port_without_tls_is_told(trusting: GuardedClient, first_bytes: bytes | None, reason: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if first_bytes is None:
            await reader.read()
        else:
            writer.write(first_bytes)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await failure_of(trusting, f"https://receiver.test:{port}/")
    assert told(error) == (reason, "127.0.0.1")
    assert "TLS" in str(error)


# Names


async def test_a_name_that_is_not_there() -> None:
    def nowhere(host: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with opened(Names(nowhere)) as client:
        assert told(await failure_of(client, "http://gone.test")) == ("dns", "")
    async with opened(at()) as client:
        assert told(await failure_of(client, "http://empty.test")) == ("dns", "")


async def test_a_name_server_that_hangs_holds_up_nobody_else() -> None:
    asked: list[str] = []
    forever = Event()

    def lookup(host: str) -> list[str]:
        asked.append(host)
        if host == "dead.test":
            forever.wait()
        return ["127.0.0.1"]

    names = Names(lookup, threads=2)
    try:
        async with opened(names) as client, raw_server(plain(b"x")) as server:
            errors = await asyncio.gather(*(failure_of(client, f"http://Dead.test:{port}") for port in (1, 2, 3)))
            assert [told(each) for each in errors] == [("dns", "")] * 3
            assert (await client.send(Request("GET", f"http://alive.test:{server.port}", seconds=2))).body == b"x"
        with pytest.raises(Unreachable) as failure:
            await resolve_pinned(LOOPBACK, "Dead.test", 443, seconds=0.05, names=names)
        assert told(failure.value) == ("dns", "")
        # However often it is asked for, a name that hangs is looked up once.
        assert asked == ["dead.test", "alive.test"]
    finally:
        forever.set()


def test_a_process_ends_while_a_name_hangs() -> None:
    program = """
import asyncio, threading
from tieline.core.errors import Unreachable
from tieline.net.names import Names

async def main():
    try:
        await Names(lambda host: threading.Event().wait()).addresses("dead.test", seconds=0.01)
    except Unreachable as error:
        print(error.reason)

asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=10, check=True)
    assert (ended.stdout, ended.stderr) == ("dns\n", "")


async def test_more_names_than_threads_are_all_found() -> None:
    names = Names(lambda host: [host], threads=2)
    found = await asyncio.gather(*(names.addresses(f"127.0.0.{number}") for number in range(50)))
    assert [each[0] for each in found] == [f"127.0.0.{number}" for number in range(50)]


def changing(*answers: list[str]) -> tuple[Names, list[str]]:
    """A name whose answer changes each time it is looked up; and the look-ups that were made."""
    asked: list[str] = []

    def lookup(host: str) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return Names(lookup), asked


async def test_the_address_that_was_checked_is_the_one_that_is_dialled() -> None:
    names, asked = changing(["127.0.0.1"], ["10.0.0.1"])
    async with opened(names) as client, raw_server(plain(b"x")) as server:
        response = await client.send(Request("POST", f"http://rebind.test:{server.port}"))
    assert (response.address, asked) == ("127.0.0.1", ["rebind.test"])
    again, asked = changing(["127.0.0.1"], ["10.0.0.1"])
    assert await resolve_pinned(LOOPBACK, "rebind.test", 443, names=again) == "127.0.0.1"
    assert asked == ["rebind.test"]


async def test_a_name_that_moves_inside_between_two_requests_is_refused() -> None:
    names, _ = changing(["127.0.0.1"], ["127.0.0.1", "169.254.169.254"])
    async with opened(names) as client, raw_server(hang_up_after(b"")) as server, raw_server(plain(b"x")) as other:
        await failure_of(client, f"http://rebind.test:{server.port}")
        error = await failure_of(client, f"http://rebind.test:{other.port}")
        assert (type(error), error.address, other.connections) == (EgressRefused, "169.254.169.254", 0)


async def test_the_next_address_is_dialled_when_one_is_dead() -> None:
    async with opened(at("127.0.0.2", "127.0.0.1")) as client, raw_server(plain(b"x")) as server:
        assert (await client.send(Request("POST", f"http://two.test:{server.port}"))).address == "127.0.0.1"


async def test_who_asks_for_an_address_waits_for_no_name() -> None:
    forever = Event()
    names = Names(lambda _: [str(forever.wait())], threads=1)
    try:
        async with opened(names) as client, raw_server(plain(b"x")) as server:
            await failure_of(client, "http://dead.test")
            assert (await client.send(Request("GET", server.url, seconds=2))).body == b"x"
    finally:
        forever.set()


async def test_an_answer_that_is_all_headers_is_told_as_such(client: GuardedClient) -> None:
    async with raw_server(drip(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 8192)) as server:
        error = await failure_of(client, server.url)
    assert "is not valid HTTP: there are more than 64 KiB beside its body." in str(error)
