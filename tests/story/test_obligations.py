"""The oracle finds what it is there for, each kind of breach when one is planted."""

import json
from collections.abc import Sequence

import pytest

from tests.story.obligations import Event, judge
from tieline.simulators.receiver import Arrival

EVENTS = [Event("a", "pending", "main"), Event("a", "complete", "main"), Event("b", "complete"), Event("c", "complete")]


def arrival(event: Event, id: str = "", answered: int | None = 200, **more: str) -> Arrival:
    environments = [event.environment] if event.environment else []
    body = {"id": event.activity, "state": event.state, "environments": environments, **more}
    headers = {"webhook-id": id or f"msg_{event.activity}_{event.state}"}
    return Arrival(0, 0.0, "POST", "/hook", headers, json.dumps(body).encode(), answered=answered)


ALL_WELL = [arrival(each) for each in EVENTS]


def breaches(arrivals: Sequence[Arrival]) -> Sequence[str]:
    return judge({"one": EVENTS}, {"one": arrivals}).breaches


def test_everything_once_is_well() -> None:
    judgement = judge({"one": EVENTS, "two": EVENTS[:1]}, {"one": ALL_WELL, "two": ALL_WELL[:1]})
    assert (judgement.obligations, judgement.arrivals, judgement.duplicates) == (5, 5, 0)
    assert judgement.breaches == []


def test_more_than_once_is_well_too() -> None:
    refused = arrival(EVENTS[0], answered=503)
    judgement = judge({"one": EVENTS}, {"one": [refused, *ALL_WELL, *ALL_WELL]})
    assert (judgement.duplicates, judgement.breaches) == (5, [])


def test_another_environment_may_come_earlier() -> None:
    elsewhere = [EVENTS[2], EVENTS[0], EVENTS[1], EVENTS[3]]
    assert breaches([arrival(each) for each in elsewhere]) == []


@pytest.mark.parametrize(
    ("arrivals", "breach"),
    [
        (ALL_WELL[:-1], "lost: #4 (c complete to one)"),
        ([*ALL_WELL[:-1], arrival(EVENTS[3], answered=503)], "lost: #4 (c complete to one)"),
        ([*ALL_WELL[:-1], arrival(EVENTS[3], answered=None)], "lost: #4 (c complete to one)"),
        ([*ALL_WELL, arrival(Event("d", "complete"))], "invented: d complete to one"),
        ([*ALL_WELL, arrival(Event("a", "cancelled", "main"))], "invented: a cancelled to one"),
        (
            [*ALL_WELL, arrival(EVENTS[3], "msg_2")],
            "another id: #4 (c complete to one) came as msg_c_complete and as msg_2",
        ),
        ([*ALL_WELL, arrival(EVENTS[3], log="!")], "another body: #4 (c complete to one) came in two versions"),
        (
            [*ALL_WELL[:-1], arrival(EVENTS[3], "msg_b_complete")],
            "one id: msg_b_complete is #3 (b complete to one) and #4 (c complete to one)",
        ),
        (
            [ALL_WELL[1], ALL_WELL[0], *ALL_WELL[2:]],
            "reordered: #1 (a pending to one) came first after #2 (a complete to one)",
        ),
    ],
)
def test_a_planted_breach_is_found(arrivals: Sequence[Arrival], breach: str) -> None:
    assert breaches(arrivals) == [breach]


def test_a_message_without_an_id_is_found() -> None:
    nameless = arrival(EVENTS[3])
    nameless.headers = {}
    assert breaches([*ALL_WELL[:-1], nameless]) == ["no id: #4 (c complete to one)"]


def test_what_comes_to_somebody_who_is_owed_nothing_is_found() -> None:
    judgement = judge({"one": EVENTS}, {"one": ALL_WELL, "two": ALL_WELL})
    assert judgement.breaches == ["invented: two is owed nothing"]
