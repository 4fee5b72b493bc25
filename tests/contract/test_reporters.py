"""Build statuses on commits."""

import pytest

from tests.contract.conftest import REPOSITORY, Desk, make_integration
from tieline.core.errors import RemoteNotFound, RemoteRejected
from tieline.core.ids import status_key
from tieline.core.remote import BuildState, BuildStatus
from tieline.integrations.base import StatusReporter
from tieline.simulators.bitbucket import BitbucketSimulator

KEY = status_key("project234567", "pr-1")


def reporter_of(desk: Desk) -> StatusReporter:
    reporter = desk.registry.status_reporter(make_integration())
    assert reporter is not None
    return reporter


def status(commit: str, **changes: object) -> BuildStatus:
    given: dict[str, object] = {
        "commit": commit,
        "key": KEY,
        "state": "running",
        "name": "Tieline: pr-1",
        "description": "Building",
        "url": "https://pr-1.example/",
        "refname": "topic-1",
    }
    return BuildStatus(**{**given, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "word"),
    [("running", "INPROGRESS"), ("succeeded", "SUCCESSFUL"), ("failed", "FAILED"), ("stopped", "STOPPED")],
)
async def test_a_state_is_said_in_the_host_s_words(
    desk: Desk, host: BitbucketSimulator, state: BuildState, word: str
) -> None:
    commit = host.head(REPOSITORY, "topic-1")
    await reporter_of(desk).report(status(commit, state=state))
    (shown,) = host.statuses(REPOSITORY, commit)
    assert (shown["state"], shown["key"], shown["refname"]) == (word, KEY, "topic-1")
    assert (shown["name"], shown["description"], shown["url"]) == (
        "Tieline: pr-1",
        "Building",
        "https://pr-1.example/",
    )
    assert len(desk.wire.rest) == 1


async def test_the_same_key_replaces(desk: Desk, host: BitbucketSimulator) -> None:
    commit = host.head(REPOSITORY, "topic-1")
    await reporter_of(desk).report(status(commit))
    await reporter_of(desk).report(status(commit, state="failed"))
    await reporter_of(desk).report(status(commit, key=status_key("project234567", "topic-1")))
    assert [each["state"] for each in host.statuses(REPOSITORY, commit)] == ["FAILED", "INPROGRESS"]


async def test_a_long_name_is_cut_and_braces_are_no_template(desk: Desk, host: BitbucketSimulator) -> None:
    commit = host.head(REPOSITORY, "topic-1")
    await reporter_of(desk).report(status(commit, name="n" * 300, url="https://x.example/{repository.name}"))
    (shown,) = host.statuses(REPOSITORY, commit)
    assert len(shown["name"]) == 255
    assert shown["url"] == "https://x.example/%7Brepository.name%7D"


async def test_without_a_branch_none_is_said(desk: Desk, host: BitbucketSimulator) -> None:
    commit = host.head(REPOSITORY, "topic-1")
    await reporter_of(desk).report(status(commit, refname=None))
    assert host.statuses(REPOSITORY, commit)[0]["refname"] is None


async def test_a_renamed_repository_gets_its_statuses(desk: Desk, host: BitbucketSimulator) -> None:
    await host.rename_repository(REPOSITORY, "acme/shop")
    commit = host.head("acme/shop", "topic-1")
    await reporter_of(desk).report(status(commit))
    assert [each["state"] for each in host.statuses("acme/shop", commit)] == ["INPROGRESS"]


async def test_a_commit_that_is_gone_is_not_found(desk: Desk) -> None:
    with pytest.raises(RemoteNotFound):
        await reporter_of(desk).report(status("0" * 40))


async def test_a_commit_of_a_fork_gets_its_status_in_the_fork(desk: Desk, host: BitbucketSimulator) -> None:
    await host.fork(REPOSITORY, "sam/site")
    commit = await host.commit("sam/site", "idea", {"idea": "1"}, parent="main")
    await reporter_of(desk).report(status(commit, fork="sam/site", refname="idea"))
    assert [each["state"] for each in host.statuses("sam/site", commit)] == ["INPROGRESS"]


async def test_a_key_that_is_too_long_is_refused_in_the_host_s_words(desk: Desk, host: BitbucketSimulator) -> None:
    with pytest.raises(RemoteRejected, match="at most 40 characters"):
        await reporter_of(desk).report(status(host.head(REPOSITORY, "topic-1"), key="k" * 41))
