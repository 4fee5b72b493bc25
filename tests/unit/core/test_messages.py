"""What receivers are told of an activity."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.unit.core.samples import ACTIVITY, ANN, CHANGE, COMMIT, INTEGRATION, MAIN, NOW, PROJECT
from tieline.core import kinds
from tieline.core.deployments import render_deployed
from tieline.core.documents import JSON, Activity, Deployment, open_access
from tieline.core.wire import SENT_LOG, render_activity, render_message, render_project

URL = "https://tieline.example:8420"
PUSH = kinds.push(PROJECT, MAIN, [CHANGE], 1, ANN, {"old_commit": "5" * 40})
DEPLOYED = Deployment(COMMIT, ("https://main.example/", "https://www.main.example/"), NOW)


def pushed(**payload: Any) -> Activity:
    return replace(ACTIVITY, parameters=PUSH.parameters, payload={**PUSH.payload, **payload})


def sent(activity: Activity, log: str = "", *, is_cut: bool = False) -> JSON:
    document: JSON = orjson.loads(orjson.dumps(render_message(activity, log, is_cut=is_cut, public_url=URL)))
    return document


def test_a_message_is_the_activity_with_its_links_and_the_text_of_its_log() -> None:
    document = sent(pushed(), "Building\nDone\n")
    assert document["log"] == "Building\nDone\n"
    assert document["_links"] == {
        "self": {"href": f"{URL}/api/projects/azertyuiop234/activities/x4opi5tjv3yfd"},
        "log": {"href": "/api/projects/azertyuiop234/activities/x4opi5tjv3yfd/log"},
    }
    shown = orjson.loads(orjson.dumps(render_activity(pushed(), "")))
    own = ("log", "payload", "_links")
    assert document == {**shown, **{name: document[name] for name in own}}


def test_a_push_tells_who_pushed_what_to_which_environment_of_which_project() -> None:
    document = sent(pushed())
    payload = document["payload"]
    assert payload["user"]["display_name"] == ANN.display_name
    assert payload["project"] == orjson.loads(orjson.dumps(render_project(PROJECT, URL)))
    assert payload["project"]["subscription"]["license_uri"].startswith(URL)
    assert (payload["environment"]["name"], payload["environment"]["type"]) == ("main", "production")
    assert (payload["commits"][0]["sha"], payload["commits_count"]) == (COMMIT, 1)
    assert document["parameters"] == {
        "user": ANN.id,
        "environment": "main",
        "commit": COMMIT,
        "old_commit": "5" * 40,
        "new_commit": COMMIT,
    }


def test_a_deployment_has_what_the_scripts_in_the_vendors_guides_read() -> None:
    guarded = replace(MAIN, deployment=DEPLOYED, http_access=open_access() | {"basic_auth": {"ann": "hunter22"}})
    document = sent(pushed(deployment=render_deployed(guarded, DEPLOYED, PROJECT)))
    deployment = document["payload"]["deployment"]
    primary = [url for url, route in deployment["routes"].items() if route["primary"] and route["type"] == "upstream"]
    assert primary == ["https://main.example/"]
    route = deployment["routes"]["https://www.main.example/"]
    assert (route["primary"], route["id"], route["original_url"]) == (False, "https://www.main.example/", route["id"])
    assert route["upstream"].split(":")[0] == "deployer"
    assert (deployment["webapps"], deployment["services"], deployment["workers"]) == ({}, {}, {})
    assert deployment["variables"] == []
    assert deployment["environment_info"]["reference"] == "refs/heads/main"
    assert deployment["subscription"] == document["payload"]["project"]["subscription"]
    assert deployment["commit"] == COMMIT
    assert deployment["urls"] == ["https://main.example/", "https://www.main.example/"]
    assert deployment["deployed_at"] == deployment["updated_at"] == "2026-11-24T10:00:00.000123+00:00"
    assert "hunter22" not in repr(document)


def test_receivers_are_not_told_how_an_integration_is_set_up() -> None:
    fetch = kinds.fetch(PROJECT, INTEGRATION, "Bitbucket", ANN, {})
    document = sent(replace(ACTIVITY, payload=fetch.payload))
    assert document["payload"]["integration"] == {"id": INTEGRATION.id, "type": "bitbucket"}


def test_a_log_of_just_the_longest_length_is_sent_whole() -> None:
    log = "é" * (SENT_LOG // 2 - 1) + "a\n"
    assert sent(ACTIVITY, log)["log"] == log


def test_of_a_longer_log_the_last_lines_are_sent_after_a_mark() -> None:
    log = "".join(f"line {number}\n" for number in range(40_000)) + "It failed here.\n"
    first, *lines = sent(ACTIVITY, log)["log"].splitlines()
    assert first == (
        "[The beginning of this log is left out, for it is too long; "
        f"the whole log is at {URL}/api/projects/azertyuiop234/activities/x4opi5tjv3yfd/log]"
    )
    assert lines == log.splitlines()[-len(lines) :]
    assert SENT_LOG - 20 < len(sent(ACTIVITY, log)["log"].encode()) <= SENT_LOG


@pytest.mark.parametrize("log", ["€" * SENT_LOG, "€" * SENT_LOG + "\n"])
def test_a_line_that_is_too_long_by_itself_is_cut_between_characters(log: str) -> None:
    mark, _, rest = sent(ACTIVITY, log)["log"].partition("\n")
    assert mark.startswith("[The beginning")
    assert rest.strip("\n") == "€" * len(rest.strip("\n"))
    assert len(f"{mark}\n{rest}".encode()) > SENT_LOG - 4


def test_the_end_of_a_log_says_that_it_is_one() -> None:
    mark, _, rest = sent(ACTIVITY, "end of a line\nlast\n", is_cut=True)["log"].partition("\n")
    assert mark.startswith("[The beginning")
    assert rest == "end of a line\nlast\n"
