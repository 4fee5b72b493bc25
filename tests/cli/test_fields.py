"""Options and bodies, from the document of an invented server with one of everything."""

import re
from typing import Any

import pytest

from tieline.cli.fields import compose, fields, is_ours, parse, parse_several, secrets_to_ask, types

LOGIN = {
    "type": "object",
    "required": ["user", "password"],
    "properties": {
        "user": {"type": "string", "description": "Who logs in."},
        "password": {"type": "string", "writeOnly": True},
    },
}
SAMPLE = {
    "description": "One of everything.",
    "required": ["type", "url", "token"],
    "properties": {
        "type": {"const": "sample", "type": "string"},
        "url": {"type": "string", "description": "Where to."},
        "token": {"type": "string", "writeOnly": True},
        "port": {"type": "integer", "minimum": 1, "maximum": 65535, "default": 443},
        "ratio": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "colour": {"type": "string", "enum": ["red", "green"], "default": "green"},
        "loud": {"type": "boolean", "default": False},
        "names": {"type": "array", "items": {"type": "string"}},
        "states": {"type": "array", "items": {"type": "string", "enum": ["open", "shut"]}},
        "headers": {"type": "object", "additionalProperties": {"type": "string"}},
        "rules": {"type": "array", "items": {"type": "object"}},
        "login": {"anyOf": [{"$ref": "#/components/schemas/Login"}, {"type": "null"}]},
    },
}
DOCUMENT = {
    "components": {
        "schemas": {
            "IntegrationCreate": {"discriminator": {"mapping": {"sample": "#/components/schemas/SampleCreate"}}},
            "SampleCreate": SAMPLE,
            "Login": LOGIN,
        }
    }
}
KNOWN = {each.name: each for each in fields(DOCUMENT, "sample")}


def test_a_document_tells_its_types() -> None:
    assert types(DOCUMENT) == {"sample": "One of everything."}
    assert is_ours(DOCUMENT)
    assert not is_ours({"components": {"schemas": {}}})
    assert not is_ours([])


def test_every_field_becomes_an_option_objects_part_by_part() -> None:
    assert {name: (each.kind, each.metavar) for name, each in KNOWN.items()} == {
        "url": ("text", "TEXT"),
        "token": ("text", "SOURCE"),
        "port": ("integer", "INTEGER"),
        "ratio": ("number", "NUMBER"),
        "colour": ("choice", "red|green"),
        "loud": ("flag", None),
        "names": ("list", "TEXT"),
        "states": ("list", "open|shut"),
        "headers": ("map", "NAME=VALUE"),
        "rules": ("json", "JSON"),
        "login.user": ("text", "TEXT"),
        "login.password": ("text", "SOURCE"),
    }
    assert [name for name, each in KNOWN.items() if each.secret] == ["token", "login.password"]
    assert [name for name, each in KNOWN.items() if each.required] == ["url", "token", "login.user", "login.password"]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("url", "https://x", "https://x"),
        ("port", "80", 80),
        ("ratio", "0.5", 0.5),
        ("colour", "red", "red"),
        ("rules", '[{"a": 1}]', [{"a": 1}]),
    ],
)
def test_what_is_written_becomes_a_value(name: str, text: str, value: Any) -> None:
    assert parse(KNOWN[name], text) == value


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("port", "eighty", "must be a whole number, not 'eighty'."),
        ("port", "0", "must be at least 1, not 0."),
        ("port", "65536", "must be at most 65535, not 65536."),
        ("ratio", "half", "must be a number, not 'half'."),
        ("colour", "grean", "'grean' is none of red, green; did you mean green?"),
        ("colour", "blue", "'blue' is none of red, green."),
        ("rules", "[", "must be JSON: Expecting value: line 1 column 2 (char 1)."),
    ],
)
def test_what_cannot_be_meant_gets_a_sentence(name: str, text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse(KNOWN[name], text)


def test_what_may_be_given_again_and_again_is_collected() -> None:
    assert parse_several(KNOWN["names"], ["a", "b"]) == ["a", "b"]
    assert parse_several(KNOWN["headers"], ["A=b=c", "X="]) == {"A": "b=c", "X": ""}
    with pytest.raises(ValueError, match="must be NAME=VALUE, not 'A'"):
        parse_several(KNOWN["headers"], ["A"])
    with pytest.raises(ValueError, match="'closed' is none of open, shut"):
        parse_several(KNOWN["states"], ["open", "closed"])


def test_a_field_is_emptied_with_what_it_can_hold() -> None:
    assert {name: each.emptied for name, each in KNOWN.items() if each.emptied is not None} == {
        "url": "",
        "token": "",
        "names": [],
        "states": [],
        "headers": {},
        "login.user": "",
        "login.password": "",
    }
    assert KNOWN["ratio"].nullable


def test_a_choice_that_is_not_read_back_is_no_secret() -> None:
    mode = {"type": "string", "enum": ["prefix", "suffix"], "writeOnly": True}
    schemas = {**DOCUMENT["components"]["schemas"], "SampleCreate": {"properties": {"mode": mode}}}
    (field,) = fields({"components": {"schemas": schemas}}, "sample")
    assert (field.secret, field.kind, field.metavar) == (False, "choice", "prefix|suffix")


def test_a_body_nests_what_the_options_name() -> None:
    given = {("url",): "https://x", ("login", "user"): "ada", ("login", "password"): "p"}
    assert compose(given) == {"url": "https://x", "login": {"user": "ada", "password": "p"}}
    assert compose({("login",): None}, {"login": {"user": "ada"}}) == {"login": None}


def test_an_object_of_which_one_part_changes_is_sent_whole() -> None:
    present = {"url": "https://x", "login": {"user": "ada"}}
    assert compose({("login", "password"): "new"}, present) == {"login": {"user": "ada", "password": "new"}}
    assert present == {"url": "https://x", "login": {"user": "ada"}}


@pytest.mark.parametrize(
    ("given", "present", "asked"),
    [
        ({("url",): "u"}, None, ["token"]),
        ({("url",): "u", ("token",): "t", ("login", "user"): "ada"}, None, ["login.password"]),
        ({("url",): "u"}, {"login": {"user": "ada"}}, []),
        ({("login", "user"): "ada"}, {"login": {"user": "ada"}}, []),
        ({("login", "user"): "eve"}, {"login": {"user": "ada"}}, ["login.password"]),
        ({("login", "user"): "ada"}, {"login": None}, ["login.password"]),
        ({("login", "user"): "eve", ("login", "password"): "p"}, {"login": None}, []),
        ({("login",): None}, {"login": {"user": "ada"}}, []),
    ],
)
def test_secrets_are_asked_for_where_nothing_works_without_them(
    given: dict[tuple[str, ...], Any], present: dict[str, Any] | None, asked: list[str]
) -> None:
    assert [each.name for each in secrets_to_ask(KNOWN.values(), given, present)] == asked
