"""What hosts, branches and logs say never steers the terminal."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.cli.text import escaped, flat, local_time, printable, readable, short


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("plain ünïcode 🎉", "plain ünïcode 🎉"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hgone", "gone"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;ZXZpbA==\x07x", "x"),
        ("\x9b31mred", "red"),
        ("\x9d0;title\x9ctext", "text"),
        ("\x1bP1$r0m\x1b\\x", "x"),
        ("broken \x1b[", "broken "),
        ("\x1b]0;never ends", "0;never ends"),
        ("back\b\b\b\bover", "backover"),
        ("one\rtwo", "onetwo"),
        ("a\tb\nc", "a b c"),
        ("user\u202egnp.exe", "usergnp.exe"),
        ("half \ud800 pair", "half  pair"),
    ],
)
def test_control_characters_are_taken_out(foreign: str, shown: str) -> None:
    assert printable(foreign) == shown


@given(st.text(alphabet=st.sampled_from("ab[];m0\x1b\x07\x9b\x9c\x9d\x90P\\\n\t ")))
def test_nothing_that_steers_is_left_whatever_comes(foreign: str) -> None:
    assert all(each >= " " and not "\x7f" <= each <= "\x9f" for each in printable(foreign))


@pytest.mark.parametrize("part", ["\x90", "\x1b]", "\x1b[0", "a"])
def test_a_long_line_of_beginnings_takes_no_time(part: str) -> None:
    began = time.monotonic()
    printable(part * 32_000)
    assert time.monotonic() - began < 1


def test_json_stays_what_it_is_and_does_not_steer_either() -> None:
    document = {"title": "a\x9b2Jb\x7f\u202ec", "plain": "ünïcode 🎉"}
    shown = escaped(json.dumps(document, ensure_ascii=False) + "\n")
    assert shown == '{"title": "a\\u009b2Jb\\u007f\\u202ec", "plain": "ünïcode 🎉"}\n'
    assert json.loads(shown) == document


def test_a_document_is_flattened_without_its_links() -> None:
    document = {"id": "x", "a": {"b": None, "c": {"d": 1}}, "on": True, "none": {}, "_links": {"self": {}}}
    assert dict(flat(document)) == {"id": "x", "a.b": "-", "a.c.d": "1", "on": "true", "none": "-"}


def test_values_read_as_people_write_them() -> None:
    assert readable(["a", "b"]) == "a, b"
    assert readable([{"a": 1}]) == '[{"a": 1}]'
    assert readable("") == readable([]) == "-"
    assert short(None) == local_time(None) == "-"
    assert short("0123456789") == "0123456"
