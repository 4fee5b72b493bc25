"""Moments on the command line: so long ago, or a date in the time zone of whoever writes it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tieline.cli.moments import parse_moment

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def in_paris() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Europe/Paris")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", "2026-11-23T11:58:30+00:00"),
        ("2h", "2026-11-23T10:00:00+00:00"),
        (" 3 d ", "2026-11-20T12:00:00+00:00"),
        ("2026-11-23T12:00", "2026-11-23T12:00:00+01:00"),
        ("2026-11-23 12:00:01", "2026-11-23T12:00:01+01:00"),
        ("2026-11-23", "2026-11-23T00:00:00+01:00"),
        ("2026-11-23T12:00:00.5Z", "2026-11-23T13:00:00.500000+01:00"),
    ],
)
def test_a_moment_is_read_as_it_is_meant(text: str, moment: str) -> None:
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "soon", "2", "h", "-1h", "999999d", "2026-13-01", "0001-01-01T00:00"])
def test_what_is_none_is_explained(text: str) -> None:
    with pytest.raises(ValueError, match="such as 2h or 3d ago"):
        parse_moment(text, NOW)
