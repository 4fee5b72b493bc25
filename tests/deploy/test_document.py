"""The document that commands read, against the page that describes it."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tests.unit.core import samples
from tieline.activities.log import LONGEST_LOG
from tieline.core.documents import Deployment, PullInfo
from tieline.core.ports import DeployAnswer, DeployOrder, DeploySubject
from tieline.deploy.command import Limits
from tieline.deploy.document import render_order
from tieline.deploy.none import NoDeployer
from tieline.deploy.output import LONGEST_LINE, LONGEST_URL, MOST_URLS

PAGE = Path(__file__).parents[2] / "docs" / "deployers.md"
DEPLOYED = Deployment(
    "5d0c5b2f0e2f4d4f7a6a8e7a0f3f0f1b2c3d4e5f",
    ("https://main.example.org/",),
    datetime(2026, 11, 24, 10, tzinfo=UTC),
)
PROJECT = replace(samples.PROJECT, title="Demo")
MAIN = replace(samples.MAIN, deployment=DEPLOYED)
PULL = replace(
    samples.PULL,
    title="PR #7: Add a",
    init_resources="parent",
    pull=PullInfo(
        7, "Add a", "feature/a", "acme/site", "main", False, "https://bitbucket.org/acme/site/pull-requests/7"
    ),
)


def test_the_page_shows_the_document_as_it_is() -> None:
    shown = json.loads(re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)[0])
    subject = DeploySubject(PROJECT, PULL, MAIN, samples.COMMIT, shown["activity"])
    assert render_order("deploy", subject, Path(shown["tree"])) == shown


def test_the_page_gives_the_limits_as_they_are() -> None:
    page = " ".join(PAGE.read_text().split())
    limits = Limits()
    assert f"{MOST_URLS} URLs of {LONGEST_URL:,} characters" in page
    assert f"longer than {LONGEST_LINE:,} characters" in page
    assert f"more than {limits.output_bytes // 2**20} MiB" in page
    assert f"log keeps {LONGEST_LOG // 2**20} MiB" in page
    assert (limits.seconds, limits.grace_seconds, limits.linger_seconds) == (3600, 5, 1)
    assert "one hour" in page
    assert "five seconds later" in page
    assert "silent for a second" in page


def test_the_page_links_to_what_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", PAGE.read_text())
    assert links
    assert [link for link in links if not (PAGE.parent / link).exists()] == []


def test_a_branch_without_parent_after_its_first_deployment() -> None:
    document = render_order("pause", DeploySubject(PROJECT, MAIN, None, None, "a"), None)
    assert (document["parent"], document["commit"], document["tree"]) == (None, None, None)
    assert document["environment"]["pull_request"] is None
    assert document["previous_deployment"]["urls"] == ["https://main.example.org/"]


class Lines(list[str]):
    async def write(self, text: str) -> None:
        self.append(text)


async def test_no_deployer_says_that_nothing_runs() -> None:
    log = Lines()
    assert await NoDeployer().run(DeployOrder("build", {}), log) == DeployAnswer()
    assert await NoDeployer().run(DeployOrder("deploy", {}), log) == DeployAnswer()
    assert len(log) == 1
