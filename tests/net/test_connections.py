"""Connections: which are used again, which are not, and that none is left over, whatever happened on it."""

import asyncio
import gc
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

import pytest

from tests.net.certificates import Authority
from tests.net.servers import Answer, Seen, hang, hang_up_after, plain, raw_server
from tieline.core.errors import RemoteBroken, RemoteError, Unreachable
from tieline.core.http import Request
from tieline.net.body import CappedBody
from tieline.net.client import GuardedClient
from tieline.net.egress import Policy, parse_networks
from tieline.net.failures import Trail
from tieline.net.names import Names
from tieline.net.sockets import SIP, open_socket

LOOPBACK = Policy(parse_networks("127.0.0.0/8"))
FORGED = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"


@pytest.fixture(autouse=True)
async def quiet() -> AsyncIterator[None]:
    """Nothing is left for the event loop to complain about."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    yield
    gc.collect(1)
    await asyncio.sleep(0)
    assert complaints == []


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> ssl.SSLContext:
    return authority.server(["receiver.test", "other.test"])


@pytest.fixture
async def client(authority: Authority) -> AsyncIterator[GuardedClient]:
    """Every name is at 127.0.0.1."""
    client = GuardedClient(LOOPBACK, "tieline-test/1", Names(lambda _: ["127.0.0.1"]), authority.client())
    yield client
    await client.close()


@pytest.fixture(params=["http", "https"])
def serve(request: pytest.FixtureRequest, certificate: ssl.SSLContext) -> Callable[[Answer], Any]:
    """A server without and one with TLS, and its URL."""

    @asynccontextmanager
    async def started(answer: Answer) -> AsyncIterator[tuple[Seen, str]]:
        async with raw_server(answer, certificate if request.param == "https" else None) as server:
            yield server, f"{request.param}://receiver.test:{server.port}/"

    return started


def in_turn(*answers: Answer) -> Answer:
    """To each request the next answer."""
    left = list(answers)

    async def answer(writer: asyncio.StreamWriter) -> None:
        await left.pop(0)(writer)

    return answer


def writing(raw: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    return answer


def open_files() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


async def closed(server: Seen) -> None:
    await asyncio.wait_for(server.closed.wait(), 5)


# Answers that nobody asked for


@pytest.mark.parametrize("size", [2, SIP - 45, SIP - 40, SIP, 5 * SIP])
async def test_a_second_answer_is_never_given_to_the_next_request(
    client: GuardedClient, serve: Callable[[Answer], Any], size: int
) -> None:
    first = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    async with serve(in_turn(writing(first + FORGED), plain(b"second"))) as (server, url):
        assert (await client.send(Request("POST", url))).body == b"x" * size
        assert (await client.send(Request("POST", url))).body == b"second"
    assert server.connections == 2


class Scripted:
    """A server of its own pace, which is told by events what to do while nobody looks at the client's event loop."""

    def __init__(self, *moves: Callable[[socket.socket], None]) -> None:
        self._moves = moves
        self._go, self._gone = Event(), Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/"
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._listening.close()

    def move(self) -> None:
        """Have it do what it does next; the event loop does nothing meanwhile."""
        self._gone.clear()
        self._go.set()
        assert self._gone.wait(5)

    def _run(self) -> None:
        first = self._listening.accept()[0]
        _answer_one(first, b"first")
        for act in self._moves:
            assert self._go.wait(5)
            self._go.clear()
            act(first)
            self._gone.set()
        second = self._listening.accept()[0]
        _answer_one(second, b"second")
        first.close()
        second.close()


def _answer_one(connection: socket.socket, body: bytes) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@pytest.mark.parametrize(
    "act",
    [
        lambda connection: connection.sendall(FORGED),
        lambda connection: connection.sendall(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"),
        lambda connection: connection.shutdown(socket.SHUT_WR),
        lambda connection: connection.close(),
    ],
    ids=["forged", "408", "half closed", "closed"],
)
@pytest.mark.parametrize("is_noticed", [True, False], ids=["noticed", "unread"])
async def test_what_came_while_a_connection_was_idle_ends_it(
    client: GuardedClient, act: Callable[[socket.socket], None], *, is_noticed: bool
) -> None:
    with Scripted(act) as server:
        assert (await client.send(Request("POST", server.url))).body == b"first"
        server.move()
        if is_noticed:
            await asyncio.sleep(0.01)
        # It is no attempt that failed, not even of what may not be sent twice.
        assert (await client.send(Request("POST", server.url))).body == b"second"


async def test_an_answer_to_a_request_that_was_given_up_is_not_another_ones(
    client: GuardedClient, serve: Callable[[Answer], Any]
) -> None:
    is_asked = asyncio.Event()
    is_late = asyncio.Event()

    async def late(writer: asyncio.StreamWriter) -> None:
        is_asked.set()
        await is_late.wait()
        writer.write(FORGED)

    async with serve(in_turn(late, plain(b"second"))) as (server, url):
        given_up = asyncio.create_task(client.send(Request("POST", url)))
        await is_asked.wait()
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        is_late.set()
        assert (await client.send(Request("POST", url))).body == b"second"
    assert server.connections == 2


async def test_a_connection_on_which_a_request_is_stuck_is_not_used_again(
    client: GuardedClient, serve: Callable[[Answer], Any]
) -> None:
    async def early(writer: asyncio.StreamWriter) -> None:
        await plain(b"too large", "413 Content Too Large")(writer)
        await writer.drain()
        # It reads no more of it.
        await hang(writer)

    async with serve(in_turn(early, plain(b"second"))) as (server, url):
        assert (await client.send(Request("POST", url, body=bytes(20_000_000)))).status == 413
        assert (await client.send(Request("POST", url))).body == b"second"
    assert server.connections == 2


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy",
    ],
)
async def test_a_last_answer_closes_its_connection(
    client: GuardedClient, serve: Callable[[Answer], Any], raw: bytes
) -> None:
    async with serve(writing(raw)) as (server, url):
        assert (await client.send(Request("GET", url))).body == b"x"
        await closed(server)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: y\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
    ],
)
async def test_a_whole_answer_leaves_its_connection_for_the_next(
    client: GuardedClient, serve: Callable[[Answer], Any], raw: bytes
) -> None:
    async with serve(writing(raw)) as (server, url):
        statuses = {(await client.send(Request("POST", url, body=b""))).status for _ in range(3)}
    assert (server.connections, len(statuses)) == (1, 1)


async def test_names_do_not_share_connections_though_their_address_is_one(
    client: GuardedClient, serve: Callable[[Answer], Any]
) -> None:
    async with serve(plain(b"x")) as (server, url):
        for _ in range(2):
            for name in ("receiver.test", "other.test"):
                await client.send(Request("GET", url.replace("receiver.test", name)))
    assert server.connections == 2
    hosts = [head.split(b"Host: ")[1].split(b":")[0] for head in server.requests]
    assert hosts == [b"receiver.test", b"other.test"] * 2


# Ends


@pytest.mark.parametrize("head", [b"Content-Length: 1000000\r\n\r\n", b"\r\n"], ids=["length", "no length"])
async def test_a_large_last_answer_comes_whole(
    client: GuardedClient, serve: Callable[[Answer], Any], head: bytes
) -> None:
    body = os.urandom(1_000_000)

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + head + body)
        writer.close()

    async with serve(answer) as (_, url):
        for _ in range(5):
            assert (await client.send(Request("GET", url))).body == body


@pytest.mark.parametrize("head", [b"Content-Length: 100000\r\n\r\n", b"\r\n"], ids=["length", "no length"])
async def test_an_answer_over_tls_comes_whole_though_its_end_is_there_before_it_is_read(
    client: GuardedClient, certificate: ssl.SSLContext, head: bytes
) -> None:
    body = os.urandom(100_000)

    def answer_and_go() -> None:
        accepted = listening.accept()[0]
        with certificate.wrap_socket(accepted, server_side=True) as connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + head + body)
            connection.setblocking(False)
            # It says goodbye, and waits for no answer.
            with suppress(ssl.SSLWantReadError):
                connection.unwrap()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=answer_and_go, daemon=True)
        thread.start()
        task = asyncio.create_task(client.send(Request("GET", f"https://receiver.test:{listening.getsockname()[1]}/")))
        while thread.is_alive():
            # The end overtakes the client.
            await asyncio.sleep(0)
            thread.join(0.02)
        assert (await task).body == body


async def cut_off(writer: asyncio.StreamWriter) -> None:
    """As somebody on the way could, and as many a simple server does: TLS does not say goodbye."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it?")
    await writer.drain()
    writer.transport.abort()


async def test_an_answer_over_tls_that_ends_without_a_goodbye_may_not_be_whole(
    client: GuardedClient, certificate: ssl.SSLContext
) -> None:
    async with raw_server(cut_off, certificate) as server:
        url = f"https://receiver.test:{server.port}/"
        with pytest.raises(RemoteBroken, match="broke off"):
            await client.send(Request("GET", url))
        assert (await client.send(Request("POST", url, cut=True))).body == b"all of it?"
    async with raw_server(cut_off) as server:
        assert (await client.send(Request("GET", server.url))).body == b"all of it?"


async def test_idle_connections_and_names_are_forgotten(
    client: GuardedClient, serve: Callable[[Answer], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    now, later = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: now() + later)
    async with serve(plain(b"x")) as (server, url):
        await client.send(Request("GET", url))
        later += 3.9
        await client.send(Request("GET", url))
        assert server.connections == 1
        for _ in range(2):
            later += 4.1
            await asyncio.sleep(0.01)
        await closed(server)
        with suppress(RemoteError):
            await client.send(Request("GET", "http://never-again.test:1/"))
        for _ in range(3):
            later += 4.1
            await asyncio.sleep(0.01)
    assert (client._pool._idle, client._pool._addresses) == ({}, {})
    assert client._pool._tidying is None


async def test_a_receiver_that_went_away_for_good_is_told_as_such(client: GuardedClient) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await plain(b"x")(writer)
        await reader.readuntil(b"\r\n\r\n")
        listening.close()
        writer.close()

    listening = await asyncio.start_server(leave, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    assert (await client.send(Request("GET", url))).body == b"x"
    with pytest.raises(Unreachable, match="refused") as failure:
        await client.send(Request("GET", url))
    assert (failure.value.reason, failure.value.address) == ("connection", "127.0.0.1")


async def test_what_is_kept_has_an_end_where_few_files_may_be_open() -> None:
    with few_files(200):
        client = GuardedClient(LOOPBACK, "tieline-test/1", Names(lambda _: ["127.0.0.1"]))
    async with raw_server(plain(b"x")) as server:
        before = open_files()
        for number in range(120):
            await client.send(Request("GET", f"http://receiver-{number}.test:{server.port}"))
        # Both ends of fifty connections.
        await settled(lambda: open_files() - before <= 102)
        await client.close()


async def test_to_wait_for_a_turn_takes_of_the_time_as_well() -> None:
    with few_files(4):
        client = GuardedClient(LOOPBACK, "tieline-test/1")
    async with raw_server(hang) as server:
        stuck = asyncio.create_task(client.send(Request("GET", server.url)))
        await settled(lambda: bool(server.requests))
        with pytest.raises(Unreachable, match="No connection") as failure:
            await client.send(Request("GET", server.url, seconds=0.05))
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)
    assert failure.value.reason == "timeout"
    await client.close()


@contextmanager
def few_files(most: int) -> Iterator[None]:
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)


# Nothing is left over

FAILURES: dict[str, Answer] = {
    "closed": hang_up_after(b""),
    "reset": hang_up_after(b"", rudely=True),
    "half a head": hang_up_after(b"HTTP/1.1 200 OK\r\nX"),
    "half a body": hang_up_after(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"),
    "no HTTP": writing(b"SSH-2.0-OpenSSH\r\n"),
    "another protocol": writing(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello"),
    "too large": writing(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + b"x" * 99),
    "no gzip": writing(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
    "half a gzip": writing(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08"),
    "silence": hang,
}


@pytest.mark.parametrize("kind", FAILURES)
async def test_no_failure_leaves_anything_open(
    client: GuardedClient, serve: Callable[[Answer], Any], kind: str
) -> None:
    before = open_files()
    async with serve(FAILURES[kind]) as (_, url):
        for method in ("POST", "GET", "POST"):
            requests = [Request(method, url, max_bytes=9, seconds=0.2 if kind == "silence" else 5) for _ in range(5)]
            results = await asyncio.gather(*map(client.send, requests), return_exceptions=True)
            assert {isinstance(each, RemoteError) for each in results} == {True}, results
    await client.close()
    await settled(lambda: open_files() <= before)


async def test_nothing_holds_on_to_an_answer_that_was_taken_or_refused(
    client: GuardedClient, serve: Callable[[Answer], Any]
) -> None:
    whole, half = plain(bytes(1_000_000)), writing(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    async with serve(in_turn(whole, whole, half)) as (_, url):
        gc.collect()
        gc.disable()
        try:
            await client.send(Request("GET", url))
            with pytest.raises(RemoteBroken):
                await client.send(Request("GET", url, max_bytes=900_000))
            with pytest.raises(Unreachable):
                await client.send(Request("GET", url, seconds=0.1))
            await asyncio.sleep(0.01)
            assert not [each for each in gc.get_objects() if isinstance(each, CappedBody)]
        finally:
            gc.enable()


async def settled(is_settled: Callable[[], bool]) -> None:
    for _ in range(200):
        if is_settled():
            return
        await asyncio.sleep(0.01)
    assert is_settled()


async def test_a_handshake_that_fails_leaves_nothing_open(client: GuardedClient, authority: Authority) -> None:
    before = open_files()
    async with raw_server(hang, authority.server(["elsewhere.test"])) as wrong, raw_server(hang) as bare:
        for port, reason in ((wrong.port, "certificate"), (bare.port, "timeout")):
            requests = [Request("POST", f"https://receiver.test:{port}/", seconds=0.3) for _ in range(5)]
            results = await asyncio.gather(*map(client.send, requests), return_exceptions=True)
            assert [getattr(each, "reason", each) for each in results] == [reason] * 5
    await settled(lambda: open_files() <= before)


async def test_a_request_may_be_cancelled_at_any_moment(client: GuardedClient, serve: Callable[[Answer], Any]) -> None:
    async with serve(plain(b"x")) as (server, url):
        await asyncio.sleep(0)
        before = open_files()
        for turns in range(30):
            # One on a connection of its own, and one on a kept one.
            for target in (url.replace("receiver", "other"), url):
                task = asyncio.create_task(client.send(Request("POST", target, body=b"")))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            # Whose socket may have the number that the one before had.
            assert (await client.send(Request("POST", url, body=b"", seconds=5))).body == b"x"
        await client.close()
        await settled(lambda: open_files() <= before)
    assert server.connections > 1


async def test_a_request_may_be_cancelled_the_moment_tls_is_agreed_upon(
    authority: Authority, certificate: ssl.SSLContext
) -> None:
    tasks: list[asyncio.Task[Any]] = []

    class Cancelling(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            if tasks:
                tasks.pop().cancel()

    context = authority.client()
    context.sslobject_class = Cancelling
    client = GuardedClient(LOOPBACK, "tieline-test/1", Names(lambda _: ["127.0.0.1"]), context)
    async with raw_server(plain(b"x"), certificate) as server:
        request = Request("POST", f"https://receiver.test:{server.port}/", seconds=5)
        before = open_files()
        tasks.append(asyncio.create_task(client.send(request)))
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        assert (await client.send(request)).body == b"x"
        await client.close()
        await settled(lambda: open_files() <= before)


async def test_to_close_the_client_closes_what_is_under_way_too(
    client: GuardedClient, serve: Callable[[Answer], Any]
) -> None:
    before = open_files()
    async with serve(in_turn(plain(b"x"), hang, writing(b"HTTP/1.1 200 OK\r\n\r\nbegin"))) as (server, url):
        await client.send(Request("POST", url))
        under_way = [asyncio.create_task(client.send(Request("POST", url))) for _ in range(2)]
        await settled(lambda: len(server.requests) == 3)
        await asyncio.sleep(0.05)
        await client.close()
        results = await asyncio.gather(*under_way, return_exceptions=True)
        # What had begun and has no length is not taken for whole, though its connection has ended.
        assert sorted(type(each).__name__ for each in results) == ["RemoteBroken", "Unreachable"]
    await settled(lambda: open_files() <= before)


async def test_what_was_being_dialled_when_the_client_was_closed_is_not_kept() -> None:
    is_looked_up, may_answer = Event(), Event()

    def lookup(_: str) -> list[str]:
        is_looked_up.set()
        may_answer.wait(5)
        return ["127.0.0.1"]

    client = GuardedClient(LOOPBACK, "tieline-test/1", Names(lookup))
    async with raw_server(plain(b"x")) as server:
        task = asyncio.create_task(client.send(Request("GET", f"http://receiver.test:{server.port}")))
        await settled(is_looked_up.is_set)
        await client.close()
        may_answer.set()
        assert (await task).body == b"x"
        await closed(server)


# Turns


async def test_a_socket_is_read_in_sips() -> None:
    loop, buffer = asyncio.get_running_loop(), bytearray(1024 * 1024)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with open_socket(LOOPBACK, Trail(), (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)) as ours:
            ours.setblocking(False)
            await loop.sock_connect(ours, address)
            with server.accept()[0] as theirs:
                theirs.sendall(bytes(4 * SIP))
                assert await loop.sock_recv_into(ours, buffer) == SIP
                assert await loop.sock_recv_into(ours, buffer) == SIP


async def test_others_have_their_turn_between_two_sips_of_a_flood(
    client: GuardedClient, serve: Callable[[Answer], Any]
) -> None:
    flood = b"1\r\nx\r\n" * 200_000

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + flood + b"0\r\n\r\n")

    turns = 0
    async with serve(answer) as (_, url):
        task = asyncio.create_task(client.send(Request("GET", url)))
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
    assert len((await task).body) == 200_000
    assert turns > len(flood) // SIP


# Addresses


@asynccontextmanager
async def on_ipv6() -> AsyncIterator[str]:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await plain(b"six", headers="Connection: close\r\n")(writer)
        writer.close()

    try:
        server = await asyncio.start_server(answer, "::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with server:
        yield f"http://[::1]:{server.sockets[0].getsockname()[1]}/"


async def test_an_address_of_ipv6_is_dialled_and_told_without_brackets() -> None:
    client = GuardedClient(Policy(parse_networks("::1/128")), "tieline-test/1")
    async with on_ipv6() as url:
        response = await client.send(Request("GET", url))
    await client.close()
    assert (response.body, response.address) == (b"six", "::1")


async def test_a_name_with_both_kinds_of_addresses_is_reached_at_the_one_that_answers() -> None:
    policy, names = Policy(parse_networks("127.0.0.0/8,::1/128")), Names(lambda _: ["::1", "127.0.0.1"])
    client = GuardedClient(policy, "tieline-test/1", names)
    async with raw_server(plain(b"four")) as server:
        response = await client.send(Request("GET", f"http://both.test:{server.port}"))
    assert (response.body, response.address) == (b"four", "127.0.0.1")
    async with on_ipv6() as url:
        response = await client.send(Request("GET", url.replace("[::1]", "both.test")))
    assert (response.body, response.address) == (b"six", "::1")
    await client.close()


async def test_a_machine_that_can_start_no_thread_resolves_nothing_and_recovers(
    client: GuardedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with raw_server(plain(b"x")) as server:
        request = Request("GET", f"http://receiver.test:{server.port}", seconds=5)
        with monkeypatch.context() as patched, pytest.raises(Unreachable) as failure:
            patched.setattr(Thread, "start", refuse)
            await client.send(request)
        assert failure.value.reason == "dns"
        assert (await client.send(request)).body == b"x"


# TLS


async def test_what_is_no_tls_any_more_is_no_answer(client: GuardedClient, certificate: ssl.SSLContext) -> None:
    def garble() -> None:
        accepted = listening.accept()[0]
        with certificate.wrap_socket(accepted, server_side=True) as connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegin")
            os.write(connection.fileno(), b"the rest is plain text")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=garble, daemon=True)
        thread.start()
        with pytest.raises((RemoteBroken, Unreachable)):
            await client.send(Request("GET", f"https://receiver.test:{listening.getsockname()[1]}/"))
        thread.join(5)


async def test_a_name_is_told_before_tls_and_must_be_in_the_certificate(
    client: GuardedClient, authority: Authority
) -> None:
    context, asked = authority.server(["receiver.test", "127.0.0.1"]), []
    context.sni_callback = lambda _, name, __: asked.append(name)
    context.set_alpn_protocols(["h2", "http/1.1"])
    spoken: list[str | None] = []

    async def answer(writer: asyncio.StreamWriter) -> None:
        spoken.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with raw_server(answer, context) as server:
        for host in ("receiver.test", "Receiver.Test.", "127.0.0.1"):
            assert (await client.send(Request("POST", f"https://{host}:{server.port}/"))).status == 204
    assert asked == ["receiver.test", "receiver.test", None]
    assert spoken == ["http/1.1"] * 3


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (["other.test"], "receiver.test"),
        (["*.test"], "a.b.test"),
        (["receiver.test"], "127.0.0.1"),
        (["127.0.0.2"], "127.0.0.1"),
    ],
)
async def test_a_certificate_for_others_is_refused(
    client: GuardedClient, authority: Authority, names: list[str], host: str
) -> None:
    async with raw_server(plain(b"x"), authority.server(names)) as server:
        with pytest.raises(Unreachable) as failure:
            await client.send(Request("POST", f"https://{host}:{server.port}/"))
    assert (failure.value.reason, server.requests) == ("certificate", [])


async def test_what_comes_too_late_for_one_owner_is_no_answer_to_another(client: GuardedClient) -> None:
    """HTTP/1.1 cannot tell an answer that nobody asked for from the one that is awaited."""

    async def twice(writer: asyncio.StreamWriter) -> None:
        await plain(b"first")(writer)
        await writer.drain()
        late.append(writer)

    late: list[asyncio.StreamWriter] = []
    async with raw_server(twice) as server:
        await client.send(Request("POST", server.url, owner="one"))
        await client.send(Request("POST", server.url, owner="two"))
        await client.send(Request("POST", server.url, owner="two"))
    assert server.connections == 2
    assert [each is late[0] for each in late] == [True, False, False]
