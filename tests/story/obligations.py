"""The oracle of deliveries: every obligation has a number, and whatever breaks one is named by it. Pure."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tieline.simulators.receiver import Arrival


@dataclass(frozen=True)
class Event:
    """An activity that entered a state. `environment` is empty for what concerns the project as a whole."""

    activity: str
    state: str
    environment: str = ""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Event":
        """The event that an activity's document tells of."""
        return cls(document["id"], document["state"], next(iter(document["environments"]), ""))

    def __str__(self) -> str:
        return f"{self.activity} {self.state}"


@dataclass(frozen=True)
class Obligation:
    """That one receiver is told of one event."""

    number: int
    receiver: str
    event: Event

    def __str__(self) -> str:
        return f"#{self.number} ({self.event} to {self.receiver})"


@dataclass(frozen=True)
class Judgement:
    """What became of the obligations; `breaches` says each one that was not kept."""

    obligations: int
    arrivals: int
    breaches: Sequence[str] = field(default_factory=list)

    @property
    def duplicates(self) -> int:
        """How many arrivals were more than the one that is owed."""
        return self.arrivals - self.obligations


def judge(owed: Mapping[str, Sequence[Event]], arrived: Mapping[str, Sequence[Arrival]]) -> Judgement:
    """Compare what each receiver is owed, in the order in which it happened, with what came to it."""
    breaches: list[str] = []
    number = 0
    for receiver, events in owed.items():
        obligations = [Obligation(number + place, receiver, event) for place, event in enumerate(events, 1)]
        number += len(obligations)
        breaches += _judge_one(receiver, obligations, arrived.get(receiver, ()))
    strangers = arrived.keys() - owed.keys()
    breaches += [f"invented: {receiver} is owed nothing" for receiver in sorted(strangers) if arrived[receiver]]
    return Judgement(number, sum(map(len, arrived.values())), breaches)


def _judge_one(receiver: str, obligations: Sequence[Obligation], arrivals: Sequence[Arrival]) -> list[str]:
    told = [(Event.of(json.loads(each.body)), each) for each in arrivals]
    by_event = {each.event: each for each in obligations}
    owed = [(by_event[event], arrival) for event, arrival in told if event in by_event]
    invented = {event for event, _ in told} - by_event.keys()
    return [
        *(f"invented: {event} to {receiver}" for event in sorted(invented, key=str)),
        *_lost(obligations, owed),
        *_changed(owed),
        *_reordered(owed),
    ]


Owed = Sequence[tuple[Obligation, Arrival]]


def _lost(obligations: Iterable[Obligation], owed: Owed) -> list[str]:
    met = {obligation for obligation, arrival in owed if arrival.accepted}
    return [f"lost: {each}" for each in obligations if each not in met]


def _changed(owed: Owed) -> list[str]:
    """One event has one id and one body, whenever it comes, and no two events have the same id."""
    found: list[str] = []
    first: dict[Obligation, Arrival] = {}
    owner: dict[str, Obligation] = {}
    for obligation, arrival in owed:
        known = first.setdefault(obligation, arrival)
        if arrival.id != known.id:
            found.append(f"another id: {obligation} came as {known.id} and as {arrival.id}")
        if arrival.body != known.body:
            found.append(f"another body: {obligation} came in two versions")
        if owner.setdefault(arrival.id, obligation) is not obligation:
            found.append(f"one id: {arrival.id} is {owner[arrival.id]} and {obligation}")
        if not arrival.id:
            found.append(f"no id: {obligation}")
    return found


def _reordered(owed: Owed) -> list[str]:
    """What comes of one environment for the first time comes after all that happened there before."""
    newest: dict[str, Obligation] = {}
    seen: defaultdict[str, set[Obligation]] = defaultdict(set)
    found: list[str] = []
    for obligation, _ in owed:
        environment = obligation.event.environment
        if obligation in seen[environment]:
            continue
        seen[environment].add(obligation)
        before = newest.get(environment)
        if before is not None and before.number > obligation.number:
            found.append(f"reordered: {obligation} came first after {before}")
        else:
            newest[environment] = obligation
    return found
