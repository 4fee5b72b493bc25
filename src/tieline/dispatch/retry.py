"""When to try again. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tieline.core.errors import RateLimited, RemoteError, RemoteNotFound, RemoteRejected

WAITS: Final = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1800, 7200))

MOST_ATTEMPTS: Final = len(WAITS) + 1


@dataclass(frozen=True)
class GiveUp:
    """It will never be accepted, or has been tried often enough."""


@dataclass(frozen=True)
class TryAgain:
    """From `at`. An attempt that is not `counted` never reached the other side."""

    at: datetime
    counted: bool = True


def plan_retry(error: RemoteError, attempts: int, now: datetime) -> GiveUp | TryAgain:
    """What to do after the attempt number `attempts` (from 1) failed with `error`."""
    if isinstance(error, RateLimited):
        return TryAgain(max(error.until, now + timedelta(seconds=1)), counted=False)
    if isinstance(error, RemoteNotFound | RemoteRejected) or attempts >= MOST_ATTEMPTS:
        return GiveUp()
    return TryAgain(now + WAITS[attempts - 1])
