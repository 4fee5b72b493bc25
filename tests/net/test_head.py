"""Requests as they go out, which nothing that is given breaks out of."""

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.core.http import Request
from tieline.net.head import render_head
from tieline.net.target import target_of

URL = "http://receiver.test:8080/x?y=1"


def head_of(request: Request) -> list[str]:
    text = render_head(request, target_of(request.url), "tieline-test/1").decode()
    assert text.endswith("\r\n\r\n")
    return text.removesuffix("\r\n\r\n").split("\r\n")


def test_a_request_without_a_body() -> None:
    assert head_of(Request("GET", URL)) == [
        "GET /x?y=1 HTTP/1.1",
        "Host: receiver.test:8080",
        "User-Agent: tieline-test/1",
        "Accept: */*",
        "Accept-Encoding: gzip",
    ]


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        ("POST", b"abc", "3"),
        ("POST", b"", "0"),
        ("POST", None, "0"),
        ("PUT", None, "0"),
        ("PATCH", None, "0"),
        ("DELETE", b"{}", "2"),
        ("GET", b"{}", "2"),
        ("DELETE", None, None),
        ("HEAD", None, None),
        ("OPTIONS", None, None),
    ],
)
def test_a_length_is_told_where_there_is_a_body_or_should_be_one(method: str, body: bytes | None, length: str) -> None:
    lines = head_of(Request(method, URL, body=body))
    assert [each for each in lines if each.startswith("Content-Length")] == (
        [f"Content-Length: {length}"] * bool(length)
    )
    assert ("Content-Type: application/octet-stream" in lines) == (body is not None)


def test_what_is_given_replaces_what_we_would_send() -> None:
    given = {"HOST": "virtual.test", "user-agent": "mine/1", "ACCEPT": "text/html", "content-type": "text/plain"}
    assert head_of(Request("POST", URL, given, b"x", cut=True)) == [
        "POST /x?y=1 HTTP/1.1",
        "HOST: virtual.test",
        "user-agent: mine/1",
        "ACCEPT: text/html",
        "content-type: text/plain",
        "Accept-Encoding: identity",
        "Content-Length: 1",
    ]


def test_a_header_is_sent_once_however_often_it_is_spelled() -> None:
    lines = head_of(Request("GET", URL, {"X-A": "1", "x-a": "2", "Host": "a", "host": "b"}))
    assert [each for each in lines if each.lower().startswith(("x-a", "host"))] == ["host: b", "x-a: 2"]


@pytest.mark.parametrize(
    "name",
    ["Content-Length", "TRANSFER-ENCODING", "connection", "Keep-Alive", "Expect", "Upgrade", "TE", "Trailer"],
)
def test_how_messages_are_framed_is_not_for_others_to_say(name: str) -> None:
    assert head_of(Request("POST", URL, {name: "7"}, b"x")) == head_of(Request("POST", URL, body=b"x"))


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET /other", {}),
        ("GET\r\nX: y", {}),
        ("GET\n", {}),
        ("", {}),
        ("GÉT", {}),
        ("GET", {"X\r\nY": "z"}),
        ("GET", {"X\n": "z"}),
        ("GET", {"X ": "z"}),
        ("GET", {" X": "z"}),
        ("GET", {"X:Y": "z"}),
        ("GET", {"": "z"}),
        ("GET", {"Ä": "z"}),
        ("GET", {"Transfer-Encoding ": "chunked"}),
        ("GET", {"X": "a\r\nY: b"}),
        ("GET", {"X": "a\nY: b"}),
        ("GET", {"X": "a\rY: b"}),
        ("GET", {"X": "a\r\n b"}),
        ("GET", {"X": "a\0"}),
        ("GET", {"X": "a\x0bY: b"}),
        ("GET", {"X": "a\x7f"}),
        ("GET", {"X": "\ud800"}),
        ("GET", {"Host": "a\r\nX: b"}),
    ],
)
def test_nothing_breaks_out_of_its_place(method: str, headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"method|header|surrogates"):
        head_of(Request(method, URL, headers))


def test_values_go_out_in_utf_8() -> None:
    # U+010A and U+010D end in the bytes of a line break when somebody cuts them to one byte.
    assert "X: é\u010a\u010d\t€" in head_of(Request("GET", URL, {"X": "é\u010a\u010d\t€"}))


class Read:
    """One request, as a server's parser reads it."""

    def __init__(self, raw: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = 0
        httptools.HttpRequestParser(self).feed_data(raw)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_message_complete(self) -> None:
        self.complete += 1


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=12), max_size=4), st.binary(max_size=40))
@settings(deadline=None)
def test_whatever_headers_are_given_a_server_reads_one_request(headers: dict[str, str], body: bytes) -> None:
    request = Request("POST", URL, headers, body)
    try:
        head = render_head(request, target_of(URL), "tieline-test/1")
    except ValueError:
        return
    read = Read(head + body)
    assert read.complete == 1
    names = [name.lower() for name, _ in read.headers]
    assert len(names) == len(set(names))
    assert (b"Content-Length", str(len(body)).encode()) in read.headers
