"""When to try again, when to leave a receiver alone for a while, and when to give up. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from tieline.core.deliveries import DeliveryState, Receipt, Receiver, Verdict

_LONGEST_BREAK: Final = timedelta(minutes=5)
_MOST_CRASHES: Final = 50


@dataclass(frozen=True)
class Schedule:
    """`waits` are the seconds before each attempt but the first, each changed at random by up to the share `jitter`.

    A receiver may ask to be left alone for `longest_wish` seconds at most. After `breaker_failures` failures in a row
    nothing is tried for `breaker_seconds`, then one delivery, and twice as long after each that fails. After
    `pause_seconds` of nothing but failures the integration is paused.
    """

    waits: Sequence[float] = (5, 300, 1800, 7200, 18000, 36000, 36000)
    jitter: float = 0.2
    longest_wish: float = 3600
    breaker_failures: int = 10
    breaker_seconds: float = 10
    pause_seconds: float = 5 * 86400

    @property
    def most_attempts(self) -> int:
        return len(self.waits) + 1


@dataclass(frozen=True)
class Plan:
    """What becomes of a delivery: its state, and the seconds until it is due again."""

    state: DeliveryState
    wait_seconds: float = 0.0


DELIVERED: Final = Plan("delivered")


def plan(receipt: Receipt, attempts: int, schedule: Schedule, chance: float, *, is_paused: bool) -> Plan:
    """What becomes of a delivery after the attempt number `attempts` (from 1); `chance` is between 0 and 1."""
    if receipt.verdict == "delivered":
        return DELIVERED
    if receipt.verdict == "gone" or (is_paused and receipt.verdict == "retry"):
        return Plan("held")
    if receipt.verdict == "refused":
        return Plan("failed")
    if not receipt.counted:
        return Plan("waiting", max(receipt.retry_after or 0.0, 1.0))
    if attempts >= schedule.most_attempts:
        return Plan("failed")
    return Plan("waiting", wait_before(attempts, receipt.retry_after, schedule, chance))


def wait_before(attempts: int, wish: float | None, schedule: Schedule, chance: float) -> float:
    """Seconds until the next attempt, never sooner than the receiver wishes within bounds."""
    planned = schedule.waits[attempts - 1]
    jittered = planned * (1 + schedule.jitter * (2 * chance - 1))
    return max(jittered, min(wish or 0.0, max(schedule.longest_wish, planned)))


def is_hopeless(crashes: int) -> bool:
    """Whether everybody who tried died of it."""
    return crashes > _MOST_CRASHES


def judge(receiver: Receiver, verdict: Verdict, moment: datetime, schedule: Schedule) -> Receiver:
    """How it stands with a receiver after one more attempt."""
    if verdict == "delivered":
        return replace(receiver, failures=0, failing_since=None, closed_until=None)
    failed = replace(receiver, failures=receiver.failures + 1, failing_since=receiver.failing_since or moment)
    if verdict == "refused" or (receiver.closed_until is not None and moment < receiver.closed_until):
        # The receiver answered, and it is only this delivery that it does not want; or it was on its way already when
        # others found that the receiver is to be left alone.
        return replace(failed, failures=receiver.failures)
    return replace(failed, closed_until=_break_until(failed.failures, moment, schedule))


def _break_until(failures: int, moment: datetime, schedule: Schedule) -> datetime | None:
    beyond = failures - schedule.breaker_failures
    if beyond < 0:
        return None
    # The exponent is bounded because the numbers of an endpoint that is dead for months are not.
    seconds = schedule.breaker_seconds * 2 ** min(beyond, 16)
    return moment + min(timedelta(seconds=seconds), max(_LONGEST_BREAK, timedelta(seconds=schedule.breaker_seconds)))


def reason_to_pause(receiver: Receiver, verdict: Verdict, moment: datetime, schedule: Schedule) -> str | None:
    """The sentence that says why nothing should be sent any more; None while it should."""
    if receiver.paused_at is not None:
        return None
    if verdict == "gone":
        return "The receiver answered 410, which asks to be told nothing any more."
    since = receiver.failing_since
    if since is not None and moment - since >= timedelta(seconds=schedule.pause_seconds):
        return f"Nothing but failures since {since:%Y-%m-%d %H:%M} UTC."
    return None
