"""What is made of answers, whatever is in them."""

from datetime import UTC, datetime

import pytest

from tieline.core.deliveries import SentRequest
from tieline.core.http import Response
from tieline.core.secret import Secret
from tieline.integrations.posts import read_answer, wait_asked
from tieline.integrations.signatures import SigningKey

MOMENT = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
URL = "https://hooks.example.com/services/T0/a%20secret%20path?token=QSECRET12&v=2"
KEY = "a-key-of-the-tests-that-is-long-enough"
SENT = SentRequest("POST", URL, {})


def sentence(body: bytes) -> str:
    return read_answer(Response(404, {}, body, "192.0.2.1"), SENT, MOMENT, [SigningKey(Secret(KEY))]).sentence


@pytest.mark.parametrize(
    "body",
    [
        b"Cannot POST /services/T0/a%20secret%20path?token=QSECRET12&v=2",
        b"<pre>Cannot POST /services/T0/a%20secret%20path?token=QSECRET12&amp;v=2</pre>",
        b"no hook is at /services/T0/a secret path",
        b'there is no hook "a%20secret%20path"',
        b"the token QSECRET12 is wrong",
    ],
)
def test_what_is_secret_of_a_url_is_not_repeated(body: bytes) -> None:
    said = sentence(body)
    assert "secret" not in said
    assert "QSECRET" not in said
    assert "********" in said


@pytest.mark.parametrize("before", range(150, 200))
def test_no_part_of_a_secret_is_left_by_where_an_answer_is_cut(before: int) -> None:
    assert KEY[:4] not in sentence(b"." * before + KEY.encode())


def test_what_terminals_act_upon_is_left_out() -> None:
    said = sentence(b"\x1b[2J\x1b]0;owned\x07 \xc2\x9b31m \xe2\x80\xae no\0 \r\n\xff oops")
    assert said.isprintable()
    assert said.endswith("oops")


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("120", 120.0),
        ("Sat, 31 Jan 2026 12:01:00 GMT", 60.0),
        ("Sat, 31 Jan 2026 11:00:00 GMT", 0.0),
        ("Sat, 31 Jan 2026 12:00:00 +999999999999999999", None),
        ("Sat, 31 Jan 9999999 12:00:00 GMT", None),
        ("-5", None),
        ("soon", None),
        ("", None),
    ],
)
def test_a_wish_that_makes_no_sense_is_none(given: str, seconds: float | None) -> None:
    assert wait_asked(Response(503, {"retry-after": given}, b""), MOMENT) == seconds
