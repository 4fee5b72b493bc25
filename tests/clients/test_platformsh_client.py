"""`platformsh-client`, unmodified, in Node.js. One program goes through all of it; each test looks at a part."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from tests.cli.programs import wait_until
from tests.cli.receiving import receiving
from tests.clients.api import Api
from tests.clients.installed import NODE, PACKAGES, present
from tieline.integrations import ALL

PROGRAM = Path(__file__).with_name("platformsh.cjs")


@pytest.fixture(scope="module")
def saw(api: Api, site: str, empty: str, told: str) -> dict[str, Any]:
    """What the program saw."""
    present(PACKAGES / "platformsh-client")
    done = subprocess.run(
        [present(NODE), PROGRAM],
        env={
            "PATH": os.environ["PATH"],
            "TIELINE_URL": api.server,
            "ACCESS_TOKEN": api.access_token(),
            "PROJECT": empty,
            "SITE": site,
            "TOLD": told,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


@pytest.fixture(scope="module")
def empty(api: Api) -> str:
    """A project that is tied to nothing."""
    return api.create_project("Empty")


@pytest.fixture(scope="module")
def told(api: Api) -> str:
    """A project with a webhook, which has been told of the project's new title."""
    project = api.create_project("Told")
    with receiving() as receiver:
        webhook = api.add(project, type="webhook", url=f"{receiver.url}/hook", events=["project.modify.*"])
        api.call("PATCH", f"/projects/{project}", {"title": "Told so"})
        wait_until(lambda: bool(api.read(f"/projects/{project}/integrations/{webhook}/activities")), "a delivery")
    return project


def test_it_knows_who_uses_it_and_their_projects(saw: dict[str, Any], api: Api, site: str, empty: str) -> None:
    assert saw["me"]["id"] == api.read("/users/me")["id"]
    assert saw["me"]["username"] == "admin"
    assert {site, empty} <= set(saw["me"]["projects"])


def test_a_listed_project_leads_to_its_integrations(saw: dict[str, Any]) -> None:
    assert saw["listed"] == {"title": "Site", "integrations": ["bitbucket"]}


def test_a_project_is_renamed(saw: dict[str, Any]) -> None:
    assert saw["renamed"] == {"title": "Renamed", "activities": 0}


def test_an_integration_is_created_read_changed_and_deleted(saw: dict[str, Any]) -> None:
    created = saw["created"]
    assert (created["type"], created["url"], created["events"]) == ("webhook", "https://e.x/h", ["*"])
    assert saw["listedIntegrations"] == [created["id"]]
    assert saw["updated"].items() >= {**created, "url": "https://q.example.com/w", "updated_at": ANY}.items()
    assert saw["deleted"]["status"] == "OK"


def test_what_the_library_does_not_know_it_keeps_to_itself(saw: dict[str, Any]) -> None:
    """It drops the field `result`, and refuses the type `otlplog` before anybody is asked."""
    assert saw["created"]["result"] == "*"
    assert saw["unknownToIt"] == {"type": "Invalid type: 'otlplog'"}


def test_what_is_refused_rejects_with_the_document(saw: dict[str, Any]) -> None:
    assert (saw["wrong"]["code"], list(saw["wrong"]["detail"])) == (400, ["url"])
    assert (saw["wrongRecipient"]["code"], list(saw["wrongRecipient"]["detail"])) == (400, ["recipients.0"])
    assert (saw["gone"]["code"], saw["gone"]["message"]) == (404, "Integration not found")


def test_activities_are_listed_by_type_and_time(saw: dict[str, Any]) -> None:
    assert set(saw["fetches"]) == {"integration.bitbucket.fetch"}
    assert set(saw["filtered"]) == {"environment.push", "project.create"}
    assert saw["noneSoEarly"] == []
    assert saw["sameActivity"] == [True, True]


def test_deliveries_are_activities_with_a_log(saw: dict[str, Any]) -> None:
    text = saw["told"].pop("text")
    assert saw["told"] == {"type": "integration.webhook", "state": "complete", "result": "success"}
    assert text.startswith("Webhook at http://127.0.0.1:")
    assert saw["toldLog"][1].startswith("The receiver answered 200. [127.0.0.1] (")
    assert saw["toldOthers"] == 0


def test_a_hook_needs_nobody(saw: dict[str, Any]) -> None:
    assert saw["hook"]["code"] == 200


def test_environments_are_listed_read_and_changed(saw: dict[str, Any]) -> None:
    assert dict(saw["environments"]) == {
        "main": "active",
        "feature-search": "inactive",
        "pr-1": "active",
        "redesign": "inactive",
    }
    assert saw["titled"] == "Search"
    assert saw["head"].strip()


def test_an_operation_is_waited_for_and_its_log_read_to_the_end(saw: dict[str, Any]) -> None:
    ended = {"type": "environment.redeploy", "state": "complete", "result": "success", "progress": 100}
    assert saw["redeployed"] == ended
    assert "deploy begins\n" in saw["log"]
    assert saw["ofEnvironment"] == [True]


def test_what_is_available_is_what_is_allowed(saw: dict[str, Any]) -> None:
    """Branches are the Git host's business here."""
    assert saw["branching"] == [False, True]


def test_every_type_is_offered(saw: dict[str, Any]) -> None:
    assert set(saw["types"]) == {each.key for each in ALL}
