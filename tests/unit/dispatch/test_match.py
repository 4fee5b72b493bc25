"""Who wants to know of what."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.samples import ACTIVITY, INTEGRATION
from tieline.core.documents import Activity
from tieline.dispatch.match import match, matches_environment, matches_type

PUSHED = replace(ACTIVITY, state="complete", result="success")


def wants(activity: Activity, **fields: Any) -> bool:
    everything = {
        "events": ["*"],
        "states": ["complete"],
        "environments": ["*"],
        "excluded_environments": [],
        "result": "*",
    }
    return match(activity, replace(INTEGRATION, type="webhook", config={**everything, **fields}))


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        ("*", True),
        ("environment.push", True),
        ("environment.*", True),
        ("environment", True),
        ("environment.", True),
        ("*.push", True),
        ("environment.pus?", True),
        ("environ", False),
        ("environment.pus", False),
        ("environment.push.", False),
        ("environment.push.*", False),
        ("environment.activate", False),
        ("Environment.Push", False),
        ("project.*", False),
        ("", False),
    ],
)
def test_types_are_named_by_pattern_or_category(wanted: str, *, matches: bool) -> None:
    assert matches_type("environment.push", wanted) is matches


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        ("environment.update.smtp", True),
        ("environment.update.*", True),
        ("environment.*", True),
        ("environment", True),
        ("environment.update", False),
        ("environment.update.http_access", False),
    ],
)
def test_a_name_with_dots_is_exact(wanted: str, *, matches: bool) -> None:
    assert matches_type("environment.update.smtp", wanted) is matches


@pytest.mark.parametrize(
    ("environment", "wanted", "excluded", "matches"),
    [
        ("main", ["*"], [], True),
        ("main", ["main"], [], True),
        ("main", ["pr-*", "ma?n"], [], True),
        ("pr-7", ["pr-*"], [], True),
        ("main", ["pr-*"], [], False),
        ("main", [], [], False),
        ("main", ["*"], ["main"], False),
        ("pr-7", ["*"], ["pr-*"], False),
        ("pr-7", ["pr-7"], ["*"], False),
        ("Main", ["main"], [], False),
        (None, ["*"], [], True),
        (None, ["*"], ["*"], True),
        (None, ["main"], [], False),
        (None, ["pr-*"], [], False),
    ],
)
def test_environments_are_globs_and_excluded_ones_win(
    environment: str | None, wanted: list[str], excluded: list[str], *, matches: bool
) -> None:
    assert matches_environment(environment, wanted, excluded) is matches


def test_states_and_results_are_asked_for() -> None:
    assert wants(PUSHED)
    assert not wants(PUSHED, states=["pending", "in_progress"])
    assert wants(replace(PUSHED, state="cancelled"), states=["complete", "cancelled"])
    assert wants(PUSHED, result="success")
    assert not wants(PUSHED, result="failure")
    assert not wants(replace(PUSHED, state="pending", result=None), states=["pending"], result="success")


def test_any_of_the_events_is_enough() -> None:
    assert wants(PUSHED, events=["project.*", "environment.push"])
    assert not wants(PUSHED, events=[])


def test_nobody_is_told_of_what_he_does_himself() -> None:
    own = replace(PUSHED, environment_id=None, type="integration.webhook.pause", integration_id=INTEGRATION.id)
    assert not wants(own)
    assert wants(replace(own, integration_id="another"))
