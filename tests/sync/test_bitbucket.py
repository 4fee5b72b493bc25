"""The same with the Bitbucket type against its simulator: every fault of a listing, and every event."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sync.conftest import BOX, INTEGRATION, NOW, Follower, FreeLimiter, follower
from tieline.core import kinds
from tieline.core.documents import Environment, Integration, Project
from tieline.core.ports import Toolbox
from tieline.core.secret import Secret
from tieline.integrations import bitbucket
from tieline.integrations.base import Registry
from tieline.net.client import GuardedClient
from tieline.simulators.bitbucket import BitbucketSimulator
from tieline.simulators.bitbucket.faults import LISTING_FAULTS
from tieline.store import activities, integrations, projects
from tieline.store.database import Database

REPOSITORY = "acme/site"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[BitbucketSimulator]:
    """`main`, six branches, and a pull request of each."""
    async with BitbucketSimulator(tmp_path / "bitbucket") as simulator:
        simulator.add_consumer("key", "secret")
        simulator.create_repository(REPOSITORY)
        await simulator.commit(REPOSITORY, "main", {"index.html": "main"}, "Start")
        for number in range(1, 7):
            await simulator.commit(REPOSITORY, f"topic-{number}", {"page": str(number)}, parent="main")
            await simulator.open_pull(REPOSITORY, source=f"topic-{number}", target="main")
        yield simulator


@pytest.fixture
async def room(
    tmp_path: Path, database: Database, project: Project, host: BitbucketSimulator, http: GuardedClient
) -> Follower:
    config = {**bitbucket.TYPE.example, "app_credentials": {"key": "key"}}
    secrets = {"app_credentials.secret": Secret("secret"), "hook": Secret("hook secret")}
    made = Integration(INTEGRATION, project.id, "bitbucket", config, NOW, None, secrets, next_reconcile_at=NOW)
    async with database.transaction() as conn:
        await integrations.create(conn, BOX, made, is_git_source=True)
    settings = {"TIELINE_BITBUCKET_API": host.api_url, "TIELINE_BITBUCKET_OAUTH": host.oauth_url}
    registry = Registry((bitbucket.TYPE,), Toolbox(http, FreeLimiter(), settings))
    return follower(database, project.id, tmp_path / "repositories", registry, http)


def heads(found: dict[str, Environment]) -> dict[str, tuple[str, str | None]]:
    return {each.id: (each.status, each.head_commit) for each in found.values()}


async def followed(room: Follower) -> dict[str, tuple[str, str | None]]:
    outcome, log = await room.fetch()
    assert outcome.result == "success", log
    await room.end_activities()
    return heads(await room.environments())


async def test_every_branch_and_pull_request(room: Follower, host: BitbucketSimulator) -> None:
    found = await followed(room)
    assert len(found) == 13
    assert found["pr-3"] == ("active", host.head(REPOSITORY, "topic-3"))
    assert found["topic-3"] == ("inactive", host.head(REPOSITORY, "topic-3"))
    assert await room.mirror.heads() == {name: host.head(REPOSITORY, name) for name in host.branches(REPOSITORY)}
    assert (await room.environments())["pr-3"].init_resources == "parent"


async def test_a_faulty_listing_changes_nothing(room: Follower, host: BitbucketSimulator) -> None:
    host.faults.page_length = 2
    before = await followed(room)
    for fault in LISTING_FAULTS:
        with host.faults.active(fault):
            outcome, log = await room.fetch()
        assert outcome.result == "failure", (fault, log)
        assert heads(await room.environments()) == before, fault
    outcome, log = await room.fetch()
    assert (outcome.result, log) == ("success", ["No changes since last fetch"])


async def test_an_empty_list_that_is_not_true_changes_nothing(room: Follower, host: BitbucketSimulator) -> None:
    before = await followed(room)
    host.faults.empty_pull_list = True
    outcome, log = await room.fetch()
    assert (outcome.result, log) == ("success", ["No changes since last fetch"])
    assert heads(await room.environments()) == before


async def test_a_token_that_ends_in_the_middle_of_a_walk(room: Follower, host: BitbucketSimulator) -> None:
    host.faults.page_length, host.faults.one_token = 2, True
    before = await followed(room)
    host.faults.expire_tokens_now = True
    outcome, log = await room.fetch()
    assert (outcome.result, log) == ("success", ["No changes since last fetch"])
    assert heads(await room.environments()) == before
    assert len(host.issued_tokens()) == 1


async def test_tokens_that_were_revoked_are_renewed(room: Follower, host: BitbucketSimulator) -> None:
    await followed(room)
    host.revoke_tokens()
    pushed = await host.commit(REPOSITORY, "main", {"index.html": "two"}, "Two")
    outcome, log = await room.hook()
    assert outcome.result == "success", log
    assert (await room.environments())["main"].head_commit == pushed


async def test_a_renamed_repository(room: Follower, host: BitbucketSimulator) -> None:
    before = await followed(room)
    await host.rename_repository(REPOSITORY, "acme/home")
    outcome, log = await room.fetch()
    assert outcome.result == "success", log
    assert "The repository is named acme/home now" in log
    pushed = await host.commit("acme/home", "main", {"index.html": "two"}, "Two")
    outcome, _ = await room.hook()
    assert outcome.result == "success"
    assert heads(await room.environments()) == {**before, "main": ("active", pushed)}


@pytest.mark.parametrize("redirects", [True, False])
async def test_a_push_hook_right_after_a_rename(room: Follower, host: BitbucketSimulator, *, redirects: bool) -> None:
    await followed(room)
    await host.rename_repository(REPOSITORY, "acme/home")
    if not redirects:
        host.host.renamed.clear()
    pushed = await host.commit("acme/home", "main", {"index.html": "two"}, "Two")
    outcome, log = await room.hook(1)
    assert outcome.result == "success", log
    assert (await room.environments())["main"].head_commit == pushed


async def test_a_stranger_takes_the_name_of_a_renamed_repository(room: Follower, host: BitbucketSimulator) -> None:
    await followed(room)
    await host.rename_repository(REPOSITORY, "acme/home")
    host.create_repository(REPOSITORY)
    await host.commit(REPOSITORY, "main", {"index.html": "a stranger's"}, "Start")
    pushed = await host.commit("acme/home", "main", {"index.html": "two"}, "Two")
    outcome, log = await room.fetch()
    assert outcome.result == "success", log
    assert (await room.environments())["main"].head_commit == pushed


async def test_a_repository_that_was_made_anew(room: Follower, host: BitbucketSimulator) -> None:
    before = await followed(room)
    host.delete_repository(REPOSITORY)
    host.create_repository(REPOSITORY)
    await host.commit(REPOSITORY, "main", {"index.html": "a stranger's"}, "Start")
    outcome, log = await room.fetch()
    assert (outcome.result, "is not the one that was followed" in log[-1]) == ("failure", True)
    assert heads(await room.environments()) == before


async def test_a_fork_and_its_end(room: Follower, host: BitbucketSimulator) -> None:
    await followed(room)
    await host.fork(REPOSITORY, "stranger/site")
    head = await host.commit("stranger/site", "main", {"index.html": "nice"}, "Be nice")
    number = await host.open_pull(REPOSITORY, source="main", source_repository="stranger/site", target="main")
    await room.hook(number)
    assert heads(await room.environments())[f"pr-{number}"] == ("inactive", head)

    host.delete_repository("stranger/site")
    outcome, log = await room.fetch()
    assert outcome.result == "success"
    assert f"Pull request {number} keeps its environment as it is: its fork or branch is gone or cannot be read" in log
    assert heads(await room.environments())[f"pr-{number}"] == ("inactive", head)

    await host.decline_pull(REPOSITORY, number)
    _, log = await room.hook(number)
    assert log == [f"Removing environment pr-{number}: pull request {number} was declined"]


async def test_a_source_that_moves_by_the_merge_of_another_pull_request(
    room: Follower, host: BitbucketSimulator
) -> None:
    """The host sends no event for the second one."""
    await host.commit(REPOSITORY, "more", {"more": "more"}, parent="topic-1")
    number = await host.open_pull(REPOSITORY, source="more", target="topic-1")
    await followed(room)
    await host.merge_pull(REPOSITORY, number)
    await room.hook(number)
    found = await room.environments()
    assert found[f"pr-{number}"].status == "deleting"
    assert found["pr-1"].head_commit == host.head(REPOSITORY, "topic-1")


async def test_a_merge_and_a_deleted_branch_in_any_order(room: Follower, host: BitbucketSimulator) -> None:
    await followed(room)
    await host.delete_branch(REPOSITORY, "topic-1")
    await room.hook()
    assert (await room.environments())["pr-1"].status == "active"
    await host.decline_pull(REPOSITORY, 1)
    await host.merge_pull(REPOSITORY, 2)
    outcome, _ = await room.fetch()
    assert outcome.result == "success"
    found = await room.environments()
    assert {each.id for each in found.values() if each.status == "deleting"} == {"topic-1", "pr-1", "pr-2"}
    assert found["main"].head_commit == host.head(REPOSITORY, "main")


async def test_a_retarget(room: Follower, host: BitbucketSimulator) -> None:
    await followed(room)
    await host.update_pull(REPOSITORY, 2, target="topic-1", title="Better")
    await room.hook(2)
    found = (await room.environments())["pr-2"]
    assert (found.parent, found.title) == ("topic-1", "PR #2: Better")


async def test_the_window_of_pages(room: Follower, host: BitbucketSimulator) -> None:
    host.faults.page_length = 2
    await room.configure(pull_requests_max_pages=2)
    found = await followed(room)
    assert sorted(name for name in found if name.startswith("pr-")) == ["pr-1", "pr-2", "pr-3", "pr-4"]
    await room.configure(pull_requests_max_pages=1)
    assert await followed(room) == found


async def test_the_hook_comes_and_goes(room: Follower, host: BitbucketSimulator) -> None:
    integration = await room.integration()
    async with room.database.transaction() as conn:
        project = await projects.get(conn, room.project_id)
        actor = kinds.integration_actor(integration, "Bitbucket")
        asked = await activities.create(conn, kinds.register_hooks(project, integration, "Bitbucket", actor))
    outcome, _ = await room.run(asked)
    assert outcome.result == "success"
    assert [each["url"] for each in host.hooks(REPOSITORY)] == [f"https://tieline.example/{INTEGRATION}/hook"]
    async with room.database.transaction() as conn:
        await integrations.mark_deleted(conn, integration)
    await room.work.remove_integration(INTEGRATION)
    assert host.hooks(REPOSITORY) == []
