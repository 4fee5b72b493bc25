"""When a delivery is tried again, and when it is given up."""

from datetime import UTC, datetime, timedelta

import pytest

from tieline.core.errors import (
    CredentialsRefused,
    RateLimited,
    RemoteBroken,
    RemoteError,
    RemoteNotFound,
    RemoteRejected,
    Unreachable,
)
from tieline.dispatch.retry import GiveUp, TryAgain, plan_retry

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)


@pytest.mark.parametrize("error", [Unreachable("no"), RemoteBroken("no"), CredentialsRefused("no")])
def test_waits_grow_until_it_is_given_up(error: RemoteError) -> None:
    waits = [plan_retry(error, attempt, NOW) for attempt in range(1, 8)]
    expected = [TryAgain(NOW + timedelta(seconds=seconds)) for seconds in (5, 30, 120, 600, 1800, 7200)]
    assert waits == [*expected, GiveUp()]


@pytest.mark.parametrize("error", [RemoteNotFound("gone"), RemoteRejected("no", 422)])
def test_what_will_never_be_accepted_is_given_up_at_once(error: RemoteError) -> None:
    assert plan_retry(error, 1, NOW) == GiveUp()


def test_a_rate_limit_is_waited_for_and_costs_no_attempt() -> None:
    until = NOW + timedelta(minutes=40)
    assert plan_retry(RateLimited("slow down", until), 99, NOW) == TryAgain(until, counted=False)


def test_a_rate_limit_that_is_over_does_not_make_a_busy_loop() -> None:
    verdict = plan_retry(RateLimited("slow down", NOW - timedelta(hours=1)), 1, NOW)
    assert isinstance(verdict, TryAgain)
    assert verdict.at > NOW
