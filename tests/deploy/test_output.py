"""Lines, and the answer in the last one."""

import pytest

from tieline.core.errors import DeployFailed
from tieline.core.ports import DeployAnswer
from tieline.deploy.output import LONGEST_LINE, AnswerKeeper, LineSplitter, check_answer, is_public_url, parse_answer


def split(*chunks: bytes) -> list[str]:
    splitter = LineSplitter()
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.end()


def test_lines_are_cut_at_newlines_only() -> None:
    assert split(b"one\r\ntwo\n\nfour\x0b\xe2\x80\xa8still four") == ["one", "two", "", "four\x0b\u2028still four"]


def test_a_character_may_come_in_two_chunks() -> None:
    assert split("é".encode()[:1], "é".encode()[1:] + b"\n") == ["é"]


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    assert split(b"a\xffb\n", b"\xc3") == ["a\ufffdb", "\ufffd"]


def test_an_endless_line_comes_out_in_pieces() -> None:
    pieces = split(*[b"x" * 50_000] * 5, b"\n")
    assert max(map(len, pieces)) <= LONGEST_LINE
    assert "".join(pieces) == "x" * 250_000


def test_only_the_last_line_is_held_back() -> None:
    keeper = AnswerKeeper()
    assert keeper.feed(["a", '{"not": "last"}']) == ["a"]
    assert keeper.feed([]) == []
    assert keeper.feed(["b"]) == ['{"not": "last"}', "b"]
    assert keeper.feed(['{"urls": []}']) == []
    assert keeper.held == '{"urls": []}'


@pytest.mark.parametrize("line", [None, "", "{", "{not json}", "[1]", "done"])
def test_what_is_no_answer(line: str | None) -> None:
    assert parse_answer(line) is None


def test_an_answer_carries_urls() -> None:
    answer = parse_answer('{"urls": ["https://a.example/"], "more": 1}')
    assert answer is not None
    assert check_answer(answer) == DeployAnswer(urls=("https://a.example/",))
    assert check_answer({}) == DeployAnswer()


@pytest.mark.parametrize("urls", ["https://a", ["ftp://a"], [1], ["https://u:p@a/"], ["https://a b"], ["x"] * 51, None])
def test_urls_that_nobody_should_see_are_refused(urls: object) -> None:
    with pytest.raises(DeployFailed, match="urls"):
        check_answer({"urls": urls})


def test_malformed_urls_are_not_public() -> None:
    assert not is_public_url("http://[::1")
    assert is_public_url("http://[::1]:8080/x?y#z")
