"""What each kind of activity says, waits for and carries."""

import re
from dataclasses import fields, replace
from typing import get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.samples import ACTIVITY, ANN, CHANGE, COMMIT, INTEGRATION, MAIN, NOW, PROJECT, PULL
from tieline.core import kinds
from tieline.core.clock import iso
from tieline.core.documents import Activity, ActivityState, Actor, Deployment, NewActivity, open_access
from tieline.core.remote import Scope
from tieline.core.wire import render_activity

SCOPES = st.builds(
    Scope,
    pulls=st.one_of(st.just("all"), st.frozensets(st.integers(1, 9))),
    repository=st.booleans(),
)


def every_kind() -> list[NewActivity]:
    of_environment = [
        make(PROJECT, PULL, ANN)
        for make in (
            kinds.activate,
            kinds.deactivate,
            kinds.delete,
            kinds.redeploy,
            kinds.pause,
            kinds.resume,
            kinds.synchronize,
        )
    ]
    return [
        *of_environment,
        kinds.push(PROJECT, PULL, [CHANGE], 1, ANN),
        kinds.environment_updated("http_access", PROJECT, PULL, ANN),
        kinds.register_hooks(PROJECT, INTEGRATION, "Bitbucket", ANN),
        kinds.fetch(PROJECT, INTEGRATION, "Bitbucket", ANN, kinds.fetch_parameters(Scope(), "timer")),
        kinds.project_created(PROJECT, ANN),
        kinds.project_modified(PROJECT, "title", ANN, "Old", "New"),
    ]


@pytest.mark.parametrize("new", every_kind(), ids=lambda new: new.type)
def test_every_kind_is_described_stored_and_safe_to_show(new: NewActivity) -> None:
    for unsafe in ("<script>", "<img", 'script>"'):
        assert unsafe not in new.description
    assert new.text
    assert orjson.loads(orjson.dumps(new.payload)) == new.payload
    assert orjson.loads(orjson.dumps(new.parameters)) == new.parameters
    assert "never-to-be-seen" not in repr(new)
    user = {"id": "user-1", "display_name": 'Ann <script>"', "created_at": iso(NOW), "updated_at": None}
    assert new.payload["user"] == user
    assert new.payload["project"]["id"] == PROJECT.id


@pytest.mark.parametrize("new", every_kind(), ids=lambda new: new.type)
def test_no_kind_has_a_null_or_a_tag_that_clients_cannot_bear_in_any_state(new: NewActivity) -> None:
    assert not re.search(r"</?.\s*>", new.description)
    names = {each.name for each in fields(Activity)} & {each.name for each in fields(NewActivity)}
    for state in get_args(ActivityState):
        activity = replace(ACTIVITY, **{name: getattr(new, name) for name in names}, state=state)
        document = render_activity(activity, "https://tieline.example/log")
        for name in ("id", "project", "type", "state", "description", "text", "log"):
            assert isinstance(document[name], str)
            assert document[name]
        assert isinstance(document["environments"], list)
        assert isinstance(document["commands"], list)
        assert isinstance(document["payload"]["user"]["display_name"], str)
        titled = [document["payload"][name] for name in ("project", "environment") if name in document["payload"]]
        assert all(isinstance(each["title"], str) for each in titled)


def test_what_an_activity_causes_was_caused_by_the_same() -> None:
    caused = kinds.activate(PROJECT, PULL, ANN)
    assert kinds.actor_of(replace(ACTIVITY, payload=caused.payload)) == ANN
    assert kinds.actor_of(replace(ACTIVITY, payload={"user": {"id": "u", "display_name": "Ann"}})) == Actor("u", "Ann")


def test_a_push_says_who_where_and_what() -> None:
    new = kinds.push(PROJECT, MAIN, [CHANGE] * 30, 41, Actor("u", "Ann"), {"reason": "hook"})
    assert new.type == "environment.push"
    assert new.description == '<user data-id="u">Ann</user> pushed to <environment data-id="main">main</environment>'
    assert new.text == "Ann pushed to **main**"
    assert new.parameters == {
        "user": "u",
        "environment": "main",
        "commit": COMMIT,
        "old_commit": None,
        "new_commit": COMMIT,
        "reason": "hook",
    }
    assert (len(new.payload["commits"]), new.payload["commits_count"]) == (20, 41)
    assert new.payload["commits"][0] == {
        "sha": COMMIT,
        "author": {"date": 1_764_000_000, "name": "Ann", "email": "ann@example.org"},
        "parents": ["5" * 40],
        "message": "Add a\n",
    }
    assert (new.concurrency_key, new.queue, new.is_production) == ("environment:azertyuiop234/main", "default", True)


def test_passwords_stay_out_of_payloads() -> None:
    guarded = replace(MAIN, http_access=open_access() | {"basic_auth": {"ann": "hunter22"}})
    new = kinds.activate(PROJECT, guarded, ANN)
    assert new.payload["environment"]["http_access"] == open_access()
    assert "hunter22" not in repr(new)


def test_a_push_may_name_another_commit_than_the_head() -> None:
    new = kinds.push(PROJECT, MAIN, [], 0, ANN, {"commit": "f" * 40})
    assert new.parameters["commit"] == new.parameters["new_commit"] == "f" * 40


def test_a_resumption_builds_the_head_unless_that_waits_for_approval() -> None:
    paused = replace(MAIN, status="paused", deployment=Deployment("d" * 40, (), NOW))
    assert kinds.resume(PROJECT, paused, ANN).parameters["commit"] == COMMIT
    assert kinds.resume(PROJECT, replace(paused, awaiting_approval=True), ANN).parameters["commit"] == "d" * 40


def test_a_redeploy_is_of_what_is_deployed() -> None:
    deployed = replace(MAIN, deployment=Deployment("d" * 40, (), NOW))
    assert kinds.redeploy(PROJECT, deployed, ANN).parameters["commit"] == "d" * 40
    assert kinds.redeploy(PROJECT, MAIN, ANN).parameters["commit"] == COMMIT


def test_integrations_have_a_queue_and_a_key_of_their_own() -> None:
    new = kinds.fetch(PROJECT, INTEGRATION, "Bitbucket", ANN, {})
    assert new.type == "integration.bitbucket.fetch"
    assert new.text == "Fetching from Bitbucket repository acme/site"
    assert (new.concurrency_key, new.queue) == ("integration:c4opi5tjv3yfd", "integrations")
    assert new.payload["integration"]["repository"] == "acme/site"


def test_records_of_what_is_done_wait_for_nothing() -> None:
    new = kinds.project_modified(PROJECT, "title", ANN, "Old", "New")
    assert (new.type, new.concurrency_key) == ("project.modify.title", None)
    assert new.parameters == {"old": "Old", "new": "New"}


@given(SCOPES, st.booleans())
def test_a_scope_survives_its_parameters(scope: Scope, confirm: bool) -> None:  # noqa: FBT001
    parameters = orjson.loads(orjson.dumps(kinds.fetch_parameters(scope, "hook", confirm_prune=confirm)))
    assert kinds.fetch_scope(parameters) == scope
    assert parameters["confirm_prune"] is confirm


@given(SCOPES, SCOPES)
def test_merged_parameters_cover_both(one: Scope, other: Scope) -> None:
    merged = kinds.merge_fetch_parameters(
        kinds.fetch_parameters(one, "hook"), kinds.fetch_parameters(other, "requested", confirm_prune=True)
    )
    assert kinds.fetch_scope(merged) == one.merge(other)
    assert (merged["reason"], merged["confirm_prune"]) == ("hook", True)


def test_parameters_without_a_scope_mean_everything() -> None:
    assert kinds.fetch_scope({}) == Scope()


@pytest.mark.parametrize(
    ("activity_type", "state", "expected"),
    [
        ("environment.push", "pending", True),
        ("environment.push", "in_progress", True),
        ("environment.push", "complete", False),
        ("environment.push", "cancelled", False),
        ("environment.delete", "in_progress", False),
        ("integration.bitbucket.fetch", "in_progress", True),
        ("integration.bitbucket.register_hooks", "pending", False),
    ],
)
def test_what_can_be_cancelled(activity_type: str, state: str, expected: bool) -> None:  # noqa: FBT001
    activity = replace(ACTIVITY, type=activity_type, state=state)  # type: ignore[arg-type]
    assert kinds.is_cancellable(activity) is expected


def test_clients_look_for_these_words() -> None:
    assert "cannot be cancelled in its current state" in kinds.CANNOT_BE_CANCELLED
