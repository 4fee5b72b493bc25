"""When a delivery is tried again, when a receiver is left alone, and when nothing more is tried."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from tests.unit.core.samples import NOW
from tieline.core.deliveries import Receipt, Receiver
from tieline.dispatch.schedule import Plan, Schedule, is_hopeless, judge, plan, reason_to_pause, wait_before

SCHEDULE = Schedule()
FAILED = Receipt("retry", "The receiver answered 500.")
FRESH = Receiver("hook")
MIDDLE = 0.5


def planned(receipt: Receipt, attempts: int = 1, *, is_paused: bool = False) -> Plan:
    return plan(receipt, attempts, SCHEDULE, MIDDLE, is_paused=is_paused)


def test_waits_grow_until_it_is_given_up() -> None:
    plans = [planned(FAILED, attempt) for attempt in range(1, 9)]
    waits = (5, 300, 1800, 7200, 18000, 36000, 36000)
    assert plans == [*(Plan("waiting", seconds) for seconds in waits), Plan("failed")]
    assert SCHEDULE.most_attempts == 8


def test_a_schedule_without_waits_is_one_attempt() -> None:
    assert plan(FAILED, 1, Schedule(waits=()), MIDDLE, is_paused=False) == Plan("failed")


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 240), (0.5, 300), (1.0, 360)])
def test_waits_vary_by_a_fifth(chance: float, seconds: float) -> None:
    assert wait_before(2, None, SCHEDULE, chance) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("attempts", "wish", "seconds"),
    [
        (1, None, 5),
        (1, 0, 5),
        (1, 2, 5),  # never sooner than planned
        (1, 120, 120),
        (1, 3600, 3600),
        (1, 86400, 3600),  # nor later than an hour because of a wish
        (4, 86400, 7200),  # where the plan is longer, so may the wish be
    ],
)
def test_a_wish_is_granted_within_bounds(attempts: int, wish: float | None, seconds: float) -> None:
    assert wait_before(attempts, wish, SCHEDULE, MIDDLE) == seconds


def test_what_ends_it_ends_it_at_once() -> None:
    assert planned(Receipt("delivered", "Taken.")) == Plan("delivered")
    assert planned(Receipt("refused", "No.")) == Plan("failed")
    assert planned(Receipt("gone", "Leave me alone.")) == Plan("held")


def test_an_attempt_that_does_not_count_costs_none_and_makes_no_busy_loop() -> None:
    assert planned(Receipt("retry", "Slow down.", retry_after=2400, counted=False), 99) == Plan("waiting", 2400)
    assert planned(Receipt("retry", "Slow down.", retry_after=-5, counted=False)) == Plan("waiting", 1)


def test_what_fails_while_it_is_paused_is_kept() -> None:
    assert planned(FAILED, 8, is_paused=True) == Plan("held")
    assert planned(Receipt("delivered", "Taken."), is_paused=True) == Plan("delivered")


def test_only_what_kills_everybody_is_hopeless() -> None:
    assert not is_hopeless(50)
    assert is_hopeless(51)


def failing(times: int, receiver: Receiver = FRESH) -> Receiver:
    """After so many failures, each as soon as something is tried."""
    for _ in range(times):
        receiver = judge(receiver, "retry", receiver.closed_until or NOW, SCHEDULE)
    return receiver


def test_a_receiver_is_left_alone_for_longer_and_longer() -> None:
    assert failing(9) == replace(FRESH, failures=9, failing_since=NOW)
    closed = [failing(times).closed_until or NOW for times in range(9, 18)]
    seconds = [(after - before).total_seconds() for before, after in pairwise(closed)]
    assert seconds == [10, 20, 40, 80, 160, 300, 300, 300]


def test_what_was_on_its_way_when_others_failed_makes_it_no_longer() -> None:
    closed = failing(10)
    assert failing_at(closed, NOW + timedelta(seconds=9)) == closed
    assert failing_at(closed, NOW + timedelta(seconds=10)).closed_until == NOW + timedelta(seconds=30)


def failing_at(receiver: Receiver, moment: datetime) -> Receiver:
    return judge(receiver, "retry", moment, SCHEDULE)


def test_the_time_has_a_bound_however_often_it_failed() -> None:
    assert failing_at(replace(FRESH, failures=100_000), NOW).closed_until == NOW + timedelta(minutes=5)


def test_one_success_makes_all_well() -> None:
    assert judge(failing(12), "delivered", NOW, SCHEDULE) == FRESH


def test_a_receiver_that_does_not_want_one_thing_is_there_for_others() -> None:
    refused = judge(FRESH, "refused", NOW, SCHEDULE)
    assert refused == replace(FRESH, failing_since=NOW)


def test_nothing_but_failures_for_days_is_a_reason_to_pause() -> None:
    later = NOW + timedelta(days=5)
    assert reason_to_pause(failing(3), "retry", later - timedelta(seconds=1), SCHEDULE) is None
    assert reason_to_pause(failing(3), "retry", later, SCHEDULE) == "Nothing but failures since 2026-11-24 10:00 UTC."
    assert reason_to_pause(judge(failing(3), "delivered", NOW, SCHEDULE), "delivered", later, SCHEDULE) is None


def test_who_asks_for_it_is_told_nothing_more_but_once() -> None:
    because = reason_to_pause(failing(1), "gone", NOW, SCHEDULE)
    assert because is not None
    assert "410" in because
    assert reason_to_pause(replace(FRESH, paused_at=NOW), "gone", NOW, SCHEDULE) is None
