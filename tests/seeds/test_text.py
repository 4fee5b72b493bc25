"""The YAML of seeds: what is written is read back as it was, and what could do harm is not read at all."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.core.errors import Invalid, TooLarge
from tieline.seeds.text import LARGEST, LIMIT, read_yaml, write_yaml

AWKWARD = st.text(" \n\t:#-'\"|>ab\r1e~?&*!%@`{}[],=\u2028\x85\ufeff\x7f\x1f")
ANYTHING = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
TEXT = AWKWARD | ANYTHING
SCALARS = st.none() | st.booleans() | st.integers(-LARGEST, LARGEST) | st.floats(-1e18, 1e18) | TEXT
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS)
def test_what_is_written_is_read_back(document: object) -> None:
    assert read_yaml(write_yaml(document)) == document


@pytest.mark.parametrize(
    "word", ["yes", "No", "on", "2026-01-01", "1e3", "012", "0x1F", "1_000", "12:30:45", ".inf", "~", "null", "=", "<<"]
)
def test_what_other_readers_would_take_for_something_else_is_quoted(word: str) -> None:
    assert write_yaml({"title": word}) in (f"title: '{word}'\n".encode(), f'title: "{word}"\n'.encode())


def test_words_need_no_quotes() -> None:
    text = b"a: yes\nb: 2026-01-01\nc: 012\nd: 12:30:45\ne: 1_000\nf: off\n"
    assert read_yaml(text) == {"a": "yes", "b": "2026-01-01", "c": "012", "d": "12:30:45", "e": "1_000", "f": "off"}


def test_numbers_are_those_of_json() -> None:
    assert read_yaml(b"[0, -5, 0.5, 1e3, true, null, ~, ]") == [0, -5, 0.5, 1000.0, True, None, None]


def test_lines_are_written_as_lines() -> None:
    assert write_yaml({"message": "one\ntwo\n"}) == b"message: |\n  one\n  two\n"


BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in pairwise("abcdefghi")
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (BOMB, "Line 1, column 4: anchors and aliases (&name, *name) are not read here; write the value out."),
        ("a: !!python/object/apply:os.system [id]", "Line 1, column 4: tags (!name) are not read here."),
        ("a: !!binary aGk=", "Line 1, column 4: tags (!name) are not read here."),
        ("a: 1\nb: 2\na: 3", "Line 3, column 1: 'a' is there twice; give it once."),
        ("1: a", "Line 1, column 1: names must be strings; put this one in quotes."),
        ("? [a]\n: b", "Line 1, column 3: names must be strings; put this one in quotes."),
        ("a: b\n c: d", "Line 2, column 3: mapping values are not allowed in this context."),
        ("--- 1\n--- 2", "Line 2, column 1: a second document begins; one file is one document."),
        ("[" * 41 + "]" * 41, "Line 1, column 41: this is nested more than 40 levels deep."),
        ("a: " + "9" * 5000, "The file has a number of more digits than can be read; put it in quotes."),
        ("a: \x01", "The file is not YAML: unacceptable character #x0001: control characters are not allowed."),
    ],
)
def test_what_could_do_harm_is_refused_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_yaml(text.encode())
    assert refused.value.detail == {"file": sentence}


@pytest.mark.parametrize(
    ("text", "place", "sentence"),
    [
        ('a: [{b: "\\0"}]', "a[0].b", "This contains a NUL character, which cannot be kept."),
        ("a: 99999999999999999999", "a", "This number is too large; put it in quotes."),
        ("a: 1e999", "a", "This number is too large; put it in quotes."),
    ],
)
def test_what_no_database_keeps_is_refused(text: str, place: str, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_yaml(text.encode())
    assert refused.value.detail == {place: sentence}


def test_a_file_that_is_not_utf_8_is_said_to_be_so() -> None:
    with pytest.raises(Invalid) as refused:
        read_yaml(b"a: \xff")
    assert refused.value.detail == {"file": "The file is not UTF-8 (byte 3)."}


def test_a_file_beyond_the_limit_is_not_even_looked_at() -> None:
    with pytest.raises(TooLarge):
        read_yaml(b"&" * (LIMIT + 1))
