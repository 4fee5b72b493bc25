"""What answers amount to: where they end, what is refused, and after which ones a connection may be used again."""

import asyncio
import gzip
import time
import tracemalloc
from dataclasses import dataclass
from itertools import pairwise

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.net.servers import raw_server
from tieline.core.errors import RemoteBroken
from tieline.core.http import Request
from tieline.net.answer import LARGEST_HEAD, Answer, BrokenOff, NotHTTP
from tieline.net.client import GuardedClient
from tieline.net.egress import Policy, parse_networks

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
UNTIL_THE_END = OK + b"\r\n"


@dataclass(frozen=True)
class Told:
    """What came of some bytes, before which the connection had not ended."""

    status: int
    body: bytes
    is_last: bool = False


def read(raw: bytes, *pieces: bytes, method: str = "GET", max_bytes: int = 1000, cut: bool = False) -> Answer:
    answer = Answer(method, max_bytes, cut=cut)
    for piece in (raw, *pieces):
        answer.add(memoryview(piece))
    return answer


def told(answer: Answer) -> Told:
    assert answer.is_over
    assert answer.body is not None
    return Told(answer.status, answer.body.finish(), answer.is_last)


def with_end(answer: Answer, *, is_clean: bool = True) -> Answer:
    answer.end(is_clean=is_clean)
    return answer


# Where answers end. Each of them is followed by nothing, and then by a second answer that nobody asked for.
WHOLE = {
    "a length": (OK + b"Content-Length: 2\r\n\r\nok", Told(200, b"ok")),
    "no length left": (OK + b"content-length:0\r\n\r\n", Told(200, b"")),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", Told(200, b"ok")),
    "lines without CR": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", Told(200, b"ok")),
    "empty lines before": (b"\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok", Told(200, b"ok")),
    "an unknown status": (b"HTTP/1.1 999 No\r\nContent-Length: 2\r\n\r\nok", Told(999, b"ok")),
    "chunks": (CHUNKED + b"1\r\no\r\n01\r\nk\r\n0\r\n\r\n", Told(200, b"ok")),
    "no chunks": (CHUNKED + b"0\r\n\r\n", Told(200, b"")),
    "padded chunk sizes": (CHUNKED + b"2  \r\nok\r\n0\r\n\r\n", Told(200, b"ok")),
    "chunk extensions": (CHUNKED + b'2;a=b;c="d"\r\nok\r\n0;e\r\n\r\n', Told(200, b"ok")),
    "trailers": (CHUNKED + b"2\r\nok\r\n0\r\nX: y\r\nX: z\r\n\r\n", Told(200, b"ok")),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", Told(204, b"")),
    "204 that promises a body": (b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", Told(204, b"")),
    "304 that speaks of a body": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", Told(304, b"")),
    "promises": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\nContent-Length: 7\r\n\r\n"
        + OK
        + b"Content-Length: 2\r\n\r\nok",
        Told(200, b"ok"),
    ),
    "an offer to upgrade": (
        OK + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok",
        Told(200, b"ok"),
    ),
    "connection: close": (OK + b"Connection: Close\r\nContent-Length: 2\r\n\r\nok", Told(200, b"ok", is_last=True)),
    "both words": (
        OK + b"Connection: keep-alive, close\r\nContent-Length: 2\r\n\r\nok",
        Told(200, b"ok", is_last=True),
    ),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", Told(200, b"ok", is_last=True)),
    "HTTP/1.0, kept": (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", Told(200, b"ok")),
    "HTTP/1.0 with chunks": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        Told(200, b"ok", is_last=True),
    ),
}


@pytest.mark.parametrize("case", WHOLE)
def test_an_answer_ends_where_it_says(case: str) -> None:
    raw, expected = WHOLE[case]
    assert told(read(raw)) == expected
    # Without its last byte it is not over.
    assert not read(raw[:-1]).is_over


@pytest.mark.parametrize("case", WHOLE)
@pytest.mark.parametrize("more", [OK + b"Content-Length: 3\r\n\r\nbad", b"H", b"\0", b"\r\n\r\nx"])
@pytest.mark.parametrize("at_once", [True, False])
def test_what_nobody_asked_for_ends_the_connection_and_changes_nothing(
    case: str, more: bytes, *, at_once: bool
) -> None:
    raw, expected = WHOLE[case]
    answer = read(raw + more) if at_once else read(raw, more)
    assert told(answer) == Told(expected.status, expected.body, is_last=True)
    assert "link" not in answer.headers


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 2\r\n\r\n",
        b"Content-Length: 0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Content-Encoding: br\r\n\r\n",
        b"Content-Length: 2\r\n\r\nno",
        b"\r\n" + b"x" * 2000,
    ],
)
@pytest.mark.parametrize("cut", [True, False])
def test_an_answer_to_head_has_no_body_whatever_it_says(rest: bytes, *, cut: bool) -> None:
    assert told(read(OK + rest, method="HEAD", cut=cut)) == Told(200, b"", is_last=True)


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"<html>",
        b"\x16\x03\x01",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + OK,
        b"HTTP/3.1 200 OK\r\n\r\n",
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        OK + b"Content-Length: 1, 1\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: +1\r\n\r\n",
        OK + b"Content-Length: 0x1\r\n\r\n",
        OK + b"Content-Length:\r\n\r\n",
        OK + b"Content-Length: 18446744073709551617\r\n\r\n",
        OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: xchunked\r\n\r\n",
        OK + b"Transfer-Encoding: chun\x0bked\r\n\r\n",
        OK + b"A : b\r\n\r\n",
        OK + b": b\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b"A: b\0\r\n\r\n",
        OK + b"A: b\r\n folded\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"0x1\r\n",
        CHUNKED + b"ffffffffffffffff1\r\n",
        CHUNKED + b"1\r\nab\r\n",
        b"HTTP/1.1 200 OK\rContent-Length: 0\r\n\r\n",
    ],
)
def test_what_is_not_http_or_may_be_read_in_two_ways_is_refused(raw: bytes) -> None:
    with pytest.raises(NotHTTP):
        read(raw)
    with pytest.raises(NotHTTP):
        read(*(raw[place : place + 1] for place in range(len(raw))))


@pytest.mark.parametrize("head", [b"\r\n", b"Transfer-Encoding: identity\r\n\r\n", b"Connection: keep-alive\r\n\r\n"])
def test_an_answer_without_a_length_ends_with_the_connection(head: bytes) -> None:
    answer = read(OK + head + b"all", b" of it")
    assert not answer.is_over
    assert told(with_end(answer)) == Told(200, b"all of it", is_last=True)


@pytest.mark.parametrize(
    "raw", [OK + b"Content-Length: 9\r\n\r\nbegin", CHUNKED, CHUNKED + b"5\r\nbegin\r\n", CHUNKED + b"0\r\n"]
)
@pytest.mark.parametrize("cut", [True, False])
def test_the_middle_of_a_body_is_no_end(raw: bytes, *, cut: bool) -> None:
    with pytest.raises(BrokenOff):
        with_end(read(raw, cut=cut))


def test_a_body_that_is_wanted_whole_does_not_end_where_somebody_on_the_way_cuts_it() -> None:
    with pytest.raises(BrokenOff):
        with_end(read(UNTIL_THE_END + b"begin"), is_clean=False)
    # The beginning of it will do.
    assert told(with_end(read(UNTIL_THE_END + b"begin", cut=True), is_clean=False)).body == b"begin"


@pytest.mark.parametrize("raw", [b"", b"\r\n", b"HTTP/1.1 200 OK\r\nX", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_an_end_before_the_headers_are_complete_is_no_answer(raw: bytes) -> None:
    assert not with_end(read(raw)).is_over


def test_an_end_after_the_end_changes_nothing() -> None:
    answer = read(OK + b"Content-Length: 2\r\n\r\nok")
    assert told(with_end(answer, is_clean=False)) == Told(200, b"ok")


# Headers


def test_headers_are_joined_and_empty_ones_stay() -> None:
    answer = read(
        OK + b"X-A: 1\r\nSet-Cookie: a=b\r\nx-a:  2 \r\nEmpty:\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n"
    )
    assert answer.headers == {"x-a": "1, 2", "set-cookie": "a=b, c=d", "empty": "", "content-length": "0"}


def test_headers_are_text_that_can_be_written_anywhere() -> None:
    answer = read(OK + "X: é€\r\n".encode() + b"Y: \xff\xe9\r\nContent-Length: 0\r\n\r\n")
    assert (answer.headers["x"], answer.headers["y"]) == ("é€", "\ufffd\ufffd")


def test_trailers_are_no_headers() -> None:
    answer = read(CHUNKED + b"2\r\nok\r\n0\r\nContent-Type: text/evil\r\nTransfer-Encoding: gzip\r\n\r\n")
    assert answer.headers == {"transfer-encoding": "chunked"}


FLOODS = {
    "one header": (OK + b"X: ", b"y" * 1000),
    "headers": (OK, b"X-Y: zzz\r\n" * 100),
    "promises": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
    "empty lines": (b"", b"\r\n" * 500),
    "a chunk extension": (CHUNKED + b"1;", b"x" * 1000),
    "zeros of a chunk size": (CHUNKED, b"0" * 1000),
    "trailers": (CHUNKED + b"2\r\nok\r\n0\r\n", b"X-Y: zzz\r\n" * 100),
    "one trailer": (CHUNKED + b"2\r\nok\r\n0\r\nX: ", b"y" * 1000),
}


@pytest.mark.parametrize("case", FLOODS)
@pytest.mark.parametrize("cut", [True, False])
def test_what_is_not_body_has_an_end(case: str, *, cut: bool) -> None:
    beginning, more = FLOODS[case]
    answer, size = read(beginning, cut=cut), 0
    with pytest.raises(NotHTTP):
        while size < 2 * LARGEST_HEAD:
            answer.add(memoryview(more))
            size += len(more)
    assert size > LARGEST_HEAD - 2 * len(more)


def test_a_body_may_come_in_a_million_pieces() -> None:
    # Every piece in a chunk of its own, and the parts of a chunk as they please.
    answer = read(CHUNKED, *[b"1", b"\r\n", b"x", b"\r\n"] * 50_000, b"0\r\n\r\n", max_bytes=50_000)
    assert told(answer) == Told(200, b"x" * 50_000)


def test_small_pieces_cost_no_more_memory_than_large_ones() -> None:
    pieces = b"2\r\nxy\r\n" * 2000
    tracemalloc.start()
    answer = read(CHUNKED, *[pieces] * 25, max_bytes=200_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not answer.is_over
    assert peak < 1_000_000


def test_a_sip_of_a_flood_takes_little_time() -> None:
    for sip in (b"1\r\nx\r\n" * 2730, b"HTTP/1.1 100 C\r\n\r\n" * 900, OK + b"a:\r\n" * 4000):
        answer = read(b"" if sip.startswith(b"H") else CHUNKED, max_bytes=100_000)
        begin = time.process_time()
        answer.add(memoryview(sip))
        assert time.process_time() - begin < 0.1


# Sizes


@pytest.mark.parametrize("beginning", [OK + b"Content-Length: 11\r\n\r\n", UNTIL_THE_END])
def test_a_byte_too_many(beginning: bytes) -> None:
    assert read(beginning + b"x" * 10, max_bytes=10).body is not None
    with pytest.raises(RemoteBroken, match="larger than 10 bytes"):
        read(beginning + b"x" * 10, b"x", max_bytes=10)
    assert told(read(beginning + b"x" * 10, b"x", max_bytes=10, cut=True)) == Told(200, b"x" * 10, is_last=True)


def test_a_wrong_encoding_is_told_by_the_headers_alone() -> None:
    with pytest.raises(RemoteBroken, match="'br'"):
        read(OK + b"Content-Encoding: br\r\nContent-Length: 9\r\n\r\n")
    raw = b"HTTP/1.1 304 Not Modified\r\nContent-Encoding: br\r\n\r\n"
    assert told(read(raw)) == Told(304, b"")


# Pieces

ANSWERS = [
    *(raw for raw, _ in WHOLE.values()),
    UNTIL_THE_END + b"until the end",
    OK
    + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
    % (len(gzip.compress(b"hello" * 9, mtime=0)), gzip.compress(b"hello" * 9, mtime=0)),
    OK + b"X:\r\nX: 1\r\nSet-Cookie: a\r\nContent-Length: 5\r\n\r\nhello" + OK,
    OK + b"Content-Length: 5\r\n\r\nhel",
    CHUNKED + b"5\r\nhelloworld\r\n",
    OK + b"Content-Length: 60\r\n\r\n" + b"long" * 15,
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nbytes",
]


def outcome(pieces: list[bytes], *, cut: bool) -> tuple[object, ...]:
    """All that is to be seen of an answer, after which the connection ends."""
    answer = Answer("GET", 50, cut=cut)
    try:
        for piece in pieces:
            answer.add(memoryview(piece))
            if answer.is_over and answer.is_last:
                break
        answer.end(is_clean=True)
        body = answer.body.finish() if answer.body is not None else None
    except (NotHTTP, BrokenOff, RemoteBroken) as error:
        return type(error), str(error)
    is_cut = answer.body is not None and answer.body.is_cut
    return answer.status, answer.headers, body, answer.is_over, answer.is_last, is_cut


@given(st.sampled_from(ANSWERS), st.sets(st.integers(1, 200)), st.booleans())
@settings(max_examples=200, deadline=None)
def test_how_an_answer_is_cut_into_pieces_changes_nothing(raw: bytes, places: set[int], cut: bool) -> None:  # noqa: FBT001 -- hypothesis fills it in
    ends = [0, *sorted(place for place in places if place < len(raw)), len(raw)]
    pieces = [raw[begin:end] for begin, end in pairwise(ends)]
    assert outcome(pieces, cut=cut) == outcome([raw], cut=cut)


@given(st.binary(max_size=300), st.booleans(), st.sampled_from([b"", OK, CHUNKED, UNTIL_THE_END]))
@settings(deadline=None)
def test_no_bytes_at_all_cause_any_other_error(raw: bytes, cut: bool, beginning: bytes) -> None:  # noqa: FBT001 -- hypothesis fills it in
    outcome([beginning + raw], cut=cut)
    outcome([beginning, *(raw[place : place + 1] for place in range(len(raw)))], cut=cut)


# Another opinion


OPINIONS = {
    "GET": [raw for raw in ANSWERS if b" 101 " not in raw],
    "HEAD": [
        OK + b"Content-Length: 9\r\nX: y \r\n\r\n",
        CHUNKED,
        UNTIL_THE_END,
        b"HTTP/1.0 404 No\r\n\r\n",
        b"HTTP/1.1 20\r\n\r\n",
    ],
}


@pytest.mark.parametrize("method", OPINIONS)
async def test_aiohttp_is_of_the_same_opinion(method: str) -> None:
    answers = [raw for raw in OPINIONS[method] for _ in ("ours", "theirs")]

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop(0))
        await writer.drain()
        writer.close()

    async with raw_server(answer) as server, aiohttp.ClientSession() as session:
        client = GuardedClient(Policy(parse_networks("127.0.0.0/8")), "tieline-test/1")
        while answers:
            raw = answers[0]
            ours = await _ours(client, method, server.url)
            assert (raw, ours) == (raw, await _theirs(session, method, server.url))
        await client.close()


async def _ours(client: GuardedClient, method: str, url: str) -> tuple[int, dict[str, str], bytes] | None:
    try:
        response = await client.send(Request(method, url, seconds=5))
    except RemoteBroken:
        return None
    return response.status, dict(response.headers), response.body


async def _theirs(session: aiohttp.ClientSession, method: str, url: str) -> tuple[int, dict[str, str], bytes] | None:
    try:
        async with session.request(method, url) as response:
            body = await response.read()
    except aiohttp.ClientError:
        return None
    names = {name.lower() for name in response.headers}
    return response.status, {name: ", ".join(response.headers.getall(name)) for name in names}, body
