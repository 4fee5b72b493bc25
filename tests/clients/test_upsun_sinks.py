"""`upsun integration:*` on those that are told of activities: what they are sent, and what their deliveries show."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.programs import read_until, wait_until
from tests.cli.receiving import receiving
from tests.clients.api import Api
from tests.clients.upsun import INVALID, Upsun, conclude
from tieline.simulators.receiver import Behaviour, Receiver
from tieline.simulators.receiver.arrivals import Arrival

KEY = "a-shared-key-of-at-least-32-bytes"
SCRIPT = """
console.log("seen", activity.type);
const answer = fetch("{url}/script", {{ method: "POST", body: activity.text }});
console.log(answer.status, answer.json().status);
"""


@dataclass(frozen=True)
class Told:
    """A project with an integration, and the person who looks after it."""

    upsun: Upsun
    api: Api
    receiver: Receiver
    project: str

    def add(self, kind: str, *options: str) -> str:
        """The id of a new integration."""
        shown = self.upsun("integration:add", "--type", kind, *options, "--yes")
        (integration,) = (each["id"] for each in self.api.integrations(self.project) if each["type"] == kind)
        assert f"| {integration} " in shown
        return str(integration)

    def happen(self, title: str) -> None:
        assert self.api.call("PATCH", f"/projects/{self.project}", {"title": title}).status == 200

    def activities(self, integration: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.api.read(f"/projects/{self.project}/integrations/{integration}/activities")
        return listed

    def wait_for(self, integration: str, *states: str) -> str:
        """The id of the newest activity of an integration, once all of them are in these states, newest first."""
        wait_until(lambda: [each["state"] for each in self.activities(integration)] == [*states], str(states))
        return str(self.activities(integration)[0]["id"])

    def arrived(self, path: str) -> Arrival:
        """What came last to a path."""
        return self.receiver.at(path)[-1]


@pytest.fixture
def told(upsun: Upsun, api: Api) -> Iterator[Told]:
    with receiving(KEY) as receiver:
        project = api.create_project("Shop")
        yield Told(upsun.within(project), api, receiver, project)
        api.unfollow(project)


def test_a_webhook_is_told_signed_and_its_deliveries_are_read(told: Told) -> None:
    upsun, url = told.upsun, told.receiver.url
    webhook = told.add("webhook", "--url", f"{url}/secret", "--shared-key", KEY, "--events", "project.modify.*")
    assert dict(upsun.rows("integration:list", "--columns", "id,summary")) == {webhook: f"URL: {url}/secret"}

    told.happen("Books")
    activity = told.wait_for(webhook, "complete")
    arrival = told.arrived("/secret")
    assert (arrival.jws, arrival.standard) == ("valid", "valid")
    assert arrival.document()["type"] == "project.modify.title"
    title = f"Webhook at {url} is told of project.modify.title (complete)"
    columns = ("--columns", "id,type,description,state,result")
    assert upsun.rows("integration:activities", webhook, *columns) == [
        [activity, "integration.webhook", title, "complete", "success"]
    ]
    read = dict(upsun.rows("integration:activity:get", webhook, activity))
    assert (read["text"], read["result"], read["integration"]) == (title, "success", webhook)
    assert f"message: {arrival.id}" in read["parameters"]
    attempt, answer = upsun("integration:activity:log", webhook, activity).splitlines()
    about = f"project.modify.title (complete) for Webhook at {url}"
    assert attempt == f"Attempt 1 of at most 8: {about} ({len(arrival.body):,} bytes, {arrival.id})"
    assert answer.startswith("The receiver answered 200. [127.0.0.1] (")
    assert "The integration is valid." in upsun.run("integration:validate", webhook).err
    assert told.arrived("/secret").document()["type"] == "integration.ping"


def test_a_webhook_whose_receiver_fails_says_so_until_it_is_given_up(told: Told) -> None:
    upsun, url = told.upsun, told.receiver.url
    webhook = told.api.add(told.project, type="webhook", url=f"{url}/old", events=["project.modify.*"])
    told.receiver.behave("/new", Behaviour(503, body="Closed on Sundays"))
    upsun("integration:update", webhook, "--url", f"{url}/new", "--events", "project.modify.title")
    whole = dict(upsun.rows("integration:get", webhook))
    assert (whole["url"], whole["events"], whole["shared_key"]) == (f"{url}/new", "- project.modify.title", "")

    told.happen("Books")
    activity = told.wait_for(webhook, "in_progress")
    with upsun.started("integration:activity:log", webhook, activity) as following:
        lines = read_until(following.stdout, b"The next attempt comes in")
        assert upsun.run("activity:cancel", activity, "--yes").status == 0
        ended = conclude(following)
    assert lines[-2].startswith(b"The receiver answered 503: Closed on Sundays [127.0.0.1] (")
    assert ended.out == "Administrator gave it up.\n"
    assert told.arrived("/new").jws == "missing"
    assert told.receiver.at("/old") == []
    said = upsun("integration:validate", webhook, status=INVALID)
    assert "url: The receiver answered 503: Closed on Sundays" in said
    assert f"Deleted integration {webhook}" in upsun.run("integration:delete", webhook, "--yes").err


def test_a_script_runs_and_what_it_says_is_read(told: Told, tmp_path: Path) -> None:
    upsun, url, file = told.upsun, told.receiver.url, tmp_path / "tell.js"
    file.write_text(SCRIPT.format(url=url))
    script = told.add("script", "--file", str(file))

    told.happen("Books")
    activity = told.wait_for(script, "complete")
    assert told.arrived("/script").body == b"Administrator changed the title of project **Books**"
    columns = ("--columns", "id,type,description,result")
    assert upsun.rows("integration:activities", script, *columns) == [
        [activity, "integration.script", "Script is told of project.modify.title (complete)", "success"]
    ]
    logged = upsun("integration:activity:log", script).splitlines()
    assert logged[0].startswith("Attempt 1 of at most 8: project.modify.title (complete) for Script (")
    assert logged[1] == "seen project.modify.title"
    assert logged[2].startswith(f"POST {url}: 200 OK after ")
    assert logged[3] == "200 ok"
    assert logged[4].startswith("The script ran to its end. (")

    file.write_text("console.log(")
    upsun("integration:update", script, "--file", str(file))
    assert "script: " in upsun("integration:validate", script, status=INVALID)
    told.happen("Papers")
    told.wait_for(script, "complete", "complete", "complete")
    failed = upsun("integration:activity:log", script).splitlines()
    assert failed[-2].startswith("The script failed: SyntaxError: ")
    assert failed[-1].startswith("Given up. To send it again: tieline delivery replay ")
