"""What an answer means to a person, and to a script."""

import json
from typing import Any

import pytest

from tieline.cli.failure import LOCKED_OUT, MEANING, Status, explain

SERVER = "https://tieline.example"


def answer(**document: Any) -> bytes:
    return json.dumps(document).encode()


def test_invalid_input_gets_a_line_for_each_field() -> None:
    body = answer(message="The integration is invalid.", detail={"repository": "Required.", "": "And more."})
    failure = explain(SERVER, 400, body)
    assert failure.status is Status.INVALID
    assert failure.sentences == ("repository: Required.", "And more.")
    assert explain(SERVER, 400, answer(message="Bad.", detail={})).sentences == ("Bad.",)
    assert explain(SERVER, 413, answer(message="Too large.", detail="Too large.")).status == Status.INVALID


@pytest.mark.parametrize(
    ("code", "message", "status", "advice"),
    [
        (401, "The access token is invalid.", 3, (LOCKED_OUT,)),
        (403, "This needs the role admin.", 6, ()),
        (404, "Project not found", 5, ("`tieline project list` shows what there is.",)),
        (404, "Activity not found", 5, ("`tieline activity list` shows what there is.",)),
        (404, "There is no such path here.", 5, ()),
        (409, "The environment is about to activate already.", 1, ()),
        (500, "Something went wrong at reference x.", 1, ()),
        (503, "The database does not answer.", 7, ()),
    ],
)
def test_every_refusal_has_a_status_and_says_what_to_do(
    code: int, message: str, status: int, advice: tuple[str, ...]
) -> None:
    failure = explain(SERVER, code, answer(message=message, detail={}))
    assert failure.status == status
    assert failure.sentences == (message, *advice)


@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"", b"[]", b'{"error": "?"}', b"\xff"])
def test_what_is_no_tieline_is_told_apart(body: bytes) -> None:
    failure = explain(SERVER, 404, body)
    assert failure.status is Status.UNREACHABLE
    assert "Is TIELINE_SERVER right?" in failure.sentences[0]


def test_a_redirect_is_named_and_not_followed() -> None:
    failure = explain(SERVER, 301, b"", "https://new.example/")
    assert failure.status == Status.UNREACHABLE
    assert "https://new.example/" in failure.sentences[1]


def test_answers_cannot_steer_the_terminal() -> None:
    assert explain(SERVER, 400, answer(message="x", detail={"a": "\x1b[2Jb"})).sentences == ("a: b",)


def test_every_status_has_a_meaning() -> None:
    assert MEANING.keys() == set(Status)
