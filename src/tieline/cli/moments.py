"""Moments as people write them. Pure."""

import re
from datetime import datetime, timedelta
from typing import Final

EXPLANATION: Final = "such as 2h or 3d ago, or 2026-01-31T12:00 in your time zone"
_AGO: Final = re.compile(r"([0-9]{1,6})\s*([smhd])\Z")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_moment(text: str, now: datetime) -> str:
    """The moment as the API takes it: so long before `now`, or a date and time, local unless it says otherwise.

    Raises `ValueError` with a sentence.
    """
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            return (now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).isoformat()
        return datetime.fromisoformat(text.strip()).astimezone().isoformat()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no moment {EXPLANATION}") from None
