"""When an environment may be removed. Pure, and more careful than anything else here.

A listing that came back empty or partial has deleted more production systems than any other bug of this
field. So absence counts only in a complete listing, and a large removal needs two that agree.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from tieline.core.documents import Environment, PruneHold
from tieline.sync.state import Known, RemotePulls, RemoteState, SourceSettings
from tieline.sync.steps import HoldRemovals, Refusal, ReleaseHold, RemoveEnvironment

AGREEMENT_AFTER: Final = timedelta(seconds=60)
SMALLEST_POPULATION: Final = 5


@dataclass(frozen=True)
class Verdict:
    """What is removed now, what becomes of the hold, and what is not removed although it is absent."""

    remove: tuple[RemoveEnvironment, ...] = ()
    hold: HoldRemovals | ReleaseHold | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True)
class Absences:
    """`gone`: environment id -> why it should go. `unknown`: those this observation says nothing about."""

    gone: Mapping[str, str]
    unknown: frozenset[str]
    former_main: str | None = None


def find_absences(
    remote: RemoteState, settings: SourceSettings, standing: Sequence[Environment], default_branch: str | None
) -> Absences:
    """Which environments have lost what they follow, by this observation alone.

    A host that shows no branch at all proves nothing, not even about pull requests.
    """
    if not remote.heads:
        return Absences({}, frozenset(each.id for each in standing))
    gone: dict[str, str] = {}
    unknown: set[str] = set()
    for each in standing:
        if each.pull is None:
            if _branch_is_gone(each, remote, settings, default_branch):
                gone[each.id] = f"branch {each.name} is gone"
        elif (reason := _pull_is_gone(each.pull.number, remote.pulls)) is not None:
            gone[each.id] = reason
        elif each.pull.number not in remote.pulls.read:
            unknown.add(each.id)
    former = next((each.id for each in standing if each.is_main and each.id in gone), None)
    return Absences(gone, frozenset(unknown), former)


def _branch_is_gone(
    environment: Environment, remote: RemoteState, settings: SourceSettings, default_branch: str | None
) -> bool:
    prunes = settings.fetch_branches and settings.prune_branches
    return prunes and environment.name != default_branch and environment.name not in remote.heads


def _pull_is_gone(number: int, pulls: RemotePulls) -> str | None:
    """Why a pull request's environment should go; None while it is open or nothing is known."""
    if number in pulls.gone:
        return f"pull request {number} is gone"
    pull = pulls.read.get(number)
    if pull is not None:
        return None if pull.state == "open" else f"pull request {number} was {pull.state}"
    return f"pull request {number} is no longer open" if pulls.complete else None


def judge(absences: Absences, population: int, known: Known, now: datetime) -> Verdict:
    """Remove, wait or refuse.

    `population` counts the environments that stand, `now` is when the listing began. What an earlier listing held
    and this one does not contradict goes once the hold is a minute old; what is new goes unless all that would go
    at once is too much.
    """
    hold = known.hold
    if hold is None:
        return _first_sight(absences, population, now)
    pending = frozenset(hold.environments) & (absences.gone.keys() | absences.unknown)
    if not pending:
        first = _first_sight(absences, population, now)
        return first if first.hold else replace(first, hold=ReleaseHold())
    if not known.confirmed and now - hold.since < AGREEMENT_AFTER:
        return _wait(absences, pending, hold, population, now)
    return _agree(absences, pending, known, population, now)


def _first_sight(absences: Absences, population: int, now: datetime) -> Verdict:
    gone = absences.gone.keys()
    if _is_too_much(gone, absences, population):
        return Verdict(hold=_hold(gone, now), refusal=_refuse(gone, population))
    return Verdict(_removals(absences, gone))


def _wait(absences: Absences, pending: frozenset[str], hold: PruneHold, population: int, now: datetime) -> Verdict:
    """The second listing came too early to count: nothing at all is removed on suspicious ground."""
    gone = absences.gone.keys()
    refusal = _refuse(gone, population) if gone else None
    if absences.former_main is not None and absences.former_main not in pending:
        # Nobody will know what it was when the hold is old enough.
        return Verdict(hold=_hold(gone | pending, now), refusal=refusal)
    return Verdict(hold=_carry_on(pending, hold), refusal=refusal)


def _agree(absences: Absences, pending: frozenset[str], known: Known, population: int, now: datetime) -> Verdict:
    agreed = pending & absences.gone.keys()
    fresh = absences.gone.keys() - pending
    left = pending - agreed
    if _is_too_much(fresh, absences, population):
        # Two listings that disagree this much prove nothing, but what a person confirmed stands.
        removed = agreed if known.confirmed else frozenset[str]()
        held = fresh | (pending - removed)
        return Verdict(
            _removals(absences, removed), _hold(held, now), _refuse(absences.gone.keys() - removed, population)
        )
    if fresh and _is_too_much(agreed | fresh, absences, population):
        return Verdict(_removals(absences, agreed), _hold(fresh | left, now), _refuse(fresh, population))
    after = _carry_on(left, known.hold) if left and known.hold else ReleaseHold()
    return Verdict(_removals(absences, agreed | fresh), after)


def _carry_on(left: frozenset[str], hold: PruneHold) -> HoldRemovals | None:
    """A hold that has become smaller; None when it is as it was."""
    return None if left == frozenset(hold.environments) else HoldRemovals(tuple(sorted(left)), hold.since)


def _is_too_much(ids: AbstractSet[str], absences: Absences, population: int) -> bool:
    """More than half of at least five; and a former production environment never goes at first sight."""
    too_many = population >= SMALLEST_POPULATION and 2 * len(ids) > population
    return too_many or (absences.former_main is not None and absences.former_main in ids)


def _hold(ids: AbstractSet[str], now: datetime) -> HoldRemovals:
    return HoldRemovals(tuple(sorted(ids)), now)


def _refuse(ids: AbstractSet[str], population: int) -> Refusal:
    return Refusal(tuple(sorted(ids)), population)


def _removals(absences: Absences, ids: AbstractSet[str]) -> tuple[RemoveEnvironment, ...]:
    return tuple(RemoveEnvironment(each, absences.gone[each]) for each in sorted(ids))
