"""`tieline delivery`, and `tieline integration pause` and `resume`, against the real server and a receiver."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.programs import CommandLine, wait_until
from tests.cli.receiving import receiving
from tieline.simulators.receiver import Behaviour, Receiver

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture
def told(in_project: CommandLine, receiver: Receiver) -> Iterator[CommandLine]:
    """The command line in a project that tells the receiver of each new title, which it has done once."""
    options = ("--url", f"{receiver.url}/hook", "--events", "project.modify.*")
    added = in_project("integration", "add", "webhook", *options, "--no-wait")
    assert added.status == 0, added.err
    happen(in_project, "First")
    wait_until(lambda: states(in_project) == ["delivered"], "the first delivery")
    yield in_project
    receiver.behave("/hook")
    in_project("integration", "delete", "webhook", "--yes")


def happen(tieline: CommandLine, title: str) -> None:
    assert tieline("project", "update", "--title", title).status == 0


def deliveries(tieline: CommandLine) -> Any:
    return tieline("delivery", "list", "webhook", "--json").document


def states(tieline: CommandLine) -> list[str]:
    """Those of all deliveries, the newest first."""
    return [each["state"] for each in deliveries(tieline)]


def test_what_was_delivered_is_listed_and_shown(told: CommandLine, receiver: Receiver) -> None:
    [delivery] = deliveries(told)
    listed = told("delivery", "list", "webhook", "--type", "project.modify.title", "--since", "1h", "--count", "1")
    heading, row = listed.out.splitlines()
    assert heading.split() == ["ID", "CREATED", "STATE", "TRIES", "WHAT"]
    assert row.split()[0] == delivery["id"]
    assert row.split()[3:] == ["delivered", "1", "project.modify.title", "(complete)"]
    assert listed.err == f"There may be older ones: --before {delivery['id']}\n"
    assert told("delivery", "list", "webhook", "--before", delivery["id"]).err == "There are none.\n"

    shown = told("delivery", "get", "webhook")
    properties, attempts, request, body, answer = shown.out.split("\n\n")
    assert ["state", "delivered"] in [line.split() for line in properties.splitlines()]
    assert " 200 The receiver answered 200. [127.0.0.1]" in " ".join(attempts.split())
    assert request.splitlines()[0] == f"POST {receiver.url}/hook"
    assert f"webhook-id: {receiver.at('/hook')[-1].id}" in request.splitlines()
    assert body.encode() == receiver.at("/hook")[-1].body
    assert answer == 'The answer was:\n{"status":"ok"}\n'
    assert told("delivery", "get", "webhook", delivery["id"], "--json").document["id"] == delivery["id"]
    missing = told("delivery", "get", "webhook", "9999999")
    assert (missing.status, missing.err.splitlines()[0]) == (5, "Delivery not found")


def test_what_failed_is_given_up_and_sent_again(told: CommandLine, receiver: Receiver) -> None:
    receiver.behave("/hook", Behaviour(503, body="away"))
    happen(told, "Second")
    wait_until(lambda: states(told)[0] == "waiting", "an attempt that fails")
    waiting = deliveries(told)[0]
    status = told("delivery", "status", "webhook").out
    assert ["failures", "1"] in [line.split() for line in status.splitlines()]
    too_soon = told("delivery", "replay", "webhook", waiting["id"])
    assert (too_soon.status, "its state is waiting" in too_soon.err) == (4, True)
    assert told("activity", "cancel", waiting["own_activity"]).status == 0
    assert states(told) == ["failed", "delivered"]
    assert "The receiver answered 503: away" in " ".join(told("delivery", "get", "webhook").out.split())

    receiver.behave("/hook")
    before = len(receiver.at("/hook"))
    assert told("delivery", "replay-failed", "webhook", "--since", "1h").err == "Deliveries that are sent again: 1\n"
    wait_until(lambda: states(told) == ["delivered", "delivered"], "what was given up to arrive")
    again = told("delivery", "replay", "webhook", waiting["id"])
    assert again.err == f"The delivery {waiting['id']} is sent again.\n"
    wait_until(lambda: len(receiver.at("/hook")) == before + 2, "the same once more")
    assert len({each.id for each in receiver.at("/hook")[before - 1 :]}) == 1
    assert told("delivery", "replay-failed", "webhook", "--since", "1h", "--json").document["deliveries"] == 0


def test_a_paused_integration_is_told_later(told: CommandLine, receiver: Receiver) -> None:
    integration = told("integration", "get", "webhook", "--json").document["id"]
    resume = f"tieline integration resume {integration}"
    before = len(receiver.at("/hook"))
    paused = told("integration", "pause", "webhook", "--reason", "It moves.")
    assert (paused.status, paused.err.startswith("Paused."), paused.err.endswith(f"{resume}\n")) == (0, True, True)
    assert "It moves. To go on:" in told("integration", "pause", "webhook").err
    happen(told, "Third")
    wait_until(lambda: states(told) == ["held", "delivered"], "a delivery that is held")
    [_, first] = deliveries(told)
    assert told("delivery", "replay", "webhook", first["id"]).err.endswith(f"{resume}\n")
    assert len(receiver.at("/hook")) == before
    resumed = told("integration", "resume", "webhook", "--json")
    assert json.loads(resumed.out)["deliveries"] == 2
    wait_until(lambda: len(receiver.at("/hook")) == before + 2, "what was held")
    assert told("integration", "resume", "webhook").err == "It is not paused.\n"


def test_what_cannot_be_is_told_by_its_name(told: CommandLine) -> None:
    told("integration", "add", "blackfire")
    for line, status, words in (
        ("delivery list webhook --since soon", 2, "'soon' is no moment such as 2h or 3d ago"),
        ("delivery replay-failed webhook", 2, "Missing option '--since'"),
        ("delivery list webhook --state gone", 4, "state: 'gone' is none of pending, delivering"),
        ("delivery list webhook --before x", 4, "before: 'x' is not the id of a delivery."),
        ("integration pause blackfire", 4, "type blackfire is not told of activities"),
        ("delivery get blackfire", 5, "There are no deliveries yet."),
    ):
        ended = told(*line.split())
        assert (ended.status, words in " ".join(ended.err.split())) == (status, True), ended.err


def commands(page: str, **stands_for: str) -> list[list[str]]:
    """Those on a page of the docs, with other words where it has examples of them."""
    lines = "".join(re.findall(r"^```sh\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)).splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    assert {each[0] for each in words} == {"tieline"}
    return [[stands_for.get(word, word) for word in each[1:]] for each in words]


def test_the_commands_of_the_docs_do_what_they_are_there_for(told: CommandLine, receiver: Receiver) -> None:
    receiver.behave("/hook", Behaviour(503))
    happen(told, "Second")
    wait_until(lambda: states(told)[0] == "waiting", "an attempt that fails")
    given_up = deliveries(told)[0]
    told("activity", "cancel", given_up["own_activity"])
    receiver.behave("/hook")
    for line in commands("deliveries.md", **{"1207": given_up["id"]}):
        ended = told(*line)
        assert (line, ended.status) == (line, 0), ended.err
    wait_until(lambda: states(told) == ["delivered", "delivered"], "what had been given up to arrive")

    page = (DOCS / "activity-scripts.md").read_text()
    [source] = re.findall(r"^```javascript\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    for line in commands("activity-scripts.md", **{"$(cat tell.js)": source}):
        ended = told(*line)
        assert (line[:2], ended.status) == (line[:2], 0), ended.err
    told("integration", "delete", "script", "--yes")
