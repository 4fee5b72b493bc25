"""The parameters of a query string. All of them raise `Invalid` for what cannot be read, with the parameter's name."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from starlette.datastructures import QueryParams

from tieline.core.errors import Invalid

LONGEST: Final = 200
# Clients send the plus of an offset unescaped, so that it arrives as a space.
_BROKEN_OFFSET: Final = re.compile(r" ([0-9]{2}:?[0-9]{2})\Z")


def parse_several(params: QueryParams, name: str, known: Sequence[str] = ()) -> list[str]:
    """A repeatable parameter, also as `name[]`, which some HTTP libraries make of lists; one of `known`, if given."""
    given = [each for each in (*params.getlist(name), *params.getlist(f"{name}[]")) if each]
    for each in given:
        if known and each not in known:
            raise Invalid({name: f"{each[:50]!r} is none of {', '.join(known)}."})
        _check_text(name, each)
    return given


def parse_text(params: QueryParams, name: str) -> str | None:
    """A parameter that names something; None when it is not given."""
    text = params.get(name)
    if not text:
        return None
    _check_text(name, text)
    return text


def _check_text(name: str, text: str) -> None:
    if len(text) > LONGEST or "\0" in text:
        raise Invalid({name: f"This is no {name}."})


def parse_count(params: QueryParams, default: int, most: int) -> int:
    """How many to return: `most` for whatever is larger."""
    text = params.get("count")
    if not text:
        return default
    if not is_number(text) or int(text[:10]) < 1:
        raise Invalid({"count": f"{text[:50]!r} is not a positive whole number."})
    return min(int(text[:10]), most)


def is_number(text: str) -> bool:
    """Whether these are plain digits."""
    return text.isascii() and text.isdecimal()


def parse_moment(text: str, name: str) -> datetime:
    """A moment as clients write it: ISO 8601 with its plus broken or not, or seconds since the epoch."""
    mended = _BROKEN_OFFSET.sub(r"+\1", text.strip())
    try:
        number = re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,9})?", mended)
        if number:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(mended))
        moment = datetime.fromisoformat(mended)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        sentence = f"{text[:50]!r} is not a moment such as 2026-01-31T12:00:00.000000+00:00."
        raise Invalid({name: sentence}) from error
