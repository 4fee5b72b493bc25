"""The most expensive bug of the field: a listing that came back wrong, and everything deleted. Not here."""

import pytest

from tests.story.conftest import StartServer
from tests.story.support import Project, connect, eventually
from tieline.simulators.bitbucket import BitbucketSimulator

REPOSITORY = "acme/site"
BRANCHES = [f"topic-{number}" for number in range(6)]


async def connected(host: BitbucketSimulator, start_server: StartServer) -> Project:
    host.create_repository(REPOSITORY)
    await host.commit(REPOSITORY, "main", {"index.html": "main"}, "Start")
    for branch in BRANCHES:
        await host.commit(REPOSITORY, branch, {"page.html": branch}, f"Add {branch}", parent="main")
        await host.open_pull(REPOSITORY, source=branch, target="main")
    # Two more, so that losing them all at once is more than half of everything.
    for target in BRANCHES[:2]:
        await host.open_pull(REPOSITORY, source=BRANCHES[2], target=target)
    server = await start_server()
    project = await connect(server, host, REPOSITORY)
    await project.wait_for("pr-8", status="active")
    await project.settled()
    return project


async def ended_fetches(project: Project) -> list[str]:
    fetches = await project.activities(type="integration.bitbucket.fetch")
    return [each["id"] for each in fetches if each["state"] == "complete"]


async def test_fifteen_faults_prune_nothing(host: BitbucketSimulator, start_server: StartServer) -> None:
    project = await connected(host, start_server)
    before = {name: (each["status"], each["head_commit"]) for name, each in (await project.environments()).items()}
    assert len(before) == 15

    for fault in host.faults.LISTING_FAULTS:
        ended = await ended_fetches(project)
        with host.faults.active(fault):
            await project.sync()

            async def another_ended(known: tuple[str, ...] = tuple(ended)) -> bool:
                return set(await ended_fetches(project)) > set(known)

            await eventually(another_ended, seconds=60, what=f"the fetch under {fault} to end")
            after = {
                name: (each["status"], each["head_commit"]) for name, each in (await project.environments()).items()
            }
            assert after == before, fault

    assert len(host.faults.LISTING_FAULTS) >= 15


async def test_a_mass_deletion_waits_for_a_person(host: BitbucketSimulator, start_server: StartServer) -> None:
    project = await connected(host, start_server)
    host.faults.drop_hooks = True
    for branch in BRANCHES:
        await host.delete_branch(REPOSITORY, branch)
    for number in range(1, 9):
        await host.decline_pull(REPOSITORY, number)

    await project.sync()

    async def refused() -> str | None:
        for each in await project.activities(type="integration.bitbucket.fetch"):
            if each["result"] == "failure":
                return str(each["id"])
        return None

    await eventually(refused, what="the fetch that refuses")
    assert len(await project.environments()) == 15

    await project.sync(confirm_prune=True)

    async def only_main() -> bool:
        return set(await project.environments()) == {"main"}

    await eventually(only_main, what="the confirmed removal")


@pytest.mark.parametrize("pages", [1])
async def test_nothing_beyond_the_page_window_is_removed(
    host: BitbucketSimulator, start_server: StartServer, pages: int
) -> None:
    project = await connected(host, start_server)
    host.faults.page_length = 2
    await project.server.call("PATCH", project.integration_path, {"pull_requests_max_pages": pages})
    await project.sync()
    await project.settled()
    assert {f"pr-{number}" for number in range(1, 9)} <= set(await project.environments())
