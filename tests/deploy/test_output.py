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


@pytest.mark.parametrize("chunks", [[b"x" * 70_000, b"\nnext\n"], [b"x" * 40_000, b"x" * 30_000 + b"\nnext\n"]])
def test_where_a_long_line_is_cut_does_not_depend_on_how_it_comes(chunks: list[bytes]) -> None:
    assert [len(line) for line in split(*chunks)] == [LONGEST_LINE, 70_000 - LONGEST_LINE, len("next")]


def test_an_answer_may_be_indented() -> None:
    keeper = AnswerKeeper()
    assert keeper.feed(['  {"urls": []}']) == []
    assert parse_answer(keeper.held) == {"urls": []}


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
    assert not is_public_url("http://a:99999/")
    assert not is_public_url("http://a:b/")
    assert not is_public_url("http://good.example\\bad.example/")
    assert not is_public_url("http://a/<script>")
    assert not is_public_url("http://a/\x7f\u202e")
    assert is_public_url("http://bücher.example/ä?q=ü")
    assert is_public_url("http://[::1]:8080/x?y#z")
