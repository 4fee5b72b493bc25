"""Killed at any moment, the server comes back and its environments equal the host again."""

import asyncio
import random

from tests.story.conftest import StartServer
from tests.story.support import Project, connect, eventually
from tieline.simulators.bitbucket import BitbucketSimulator

REPOSITORY = "acme/site"
KILLS = 20


async def stream_of_events(host: BitbucketSimulator, dice: random.Random, stop: asyncio.Event) -> None:
    """What a busy team does, until told to stop."""
    serial = 0
    while not stop.is_set():
        serial += 1
        branches = [each for each in host.branches(REPOSITORY) if each != "main"]
        pulls = host.open_pulls(REPOSITORY)
        kind = dice.choice(["push", "branch", "delete", "pull", "merge", "main"])
        if kind == "push" and branches:
            await host.commit(REPOSITORY, dice.choice(branches), {f"page-{serial}": "new"}, f"Push {serial}")
        elif kind == "main":
            await host.commit(REPOSITORY, "main", {f"page-{serial}": "new"}, f"Main {serial}")
        elif kind == "branch" and len(branches) < 12:
            await host.commit(
                REPOSITORY, f"topic/{serial}", {f"page-{serial}": "new"}, f"Branch {serial}", parent="main"
            )
        elif kind == "delete" and len(branches) > 4:
            await host.delete_branch(REPOSITORY, dice.choice(branches))
        elif kind == "pull" and branches and len(pulls) < 5:
            await host.open_pull(REPOSITORY, source=dice.choice(branches), target="main")
        elif kind == "merge" and pulls:
            number = dice.choice(pulls)
            if host.repository(REPOSITORY).pulls[number].head is not None:
                await host.merge_pull(REPOSITORY, number)
        await asyncio.sleep(dice.uniform(0.02, 0.2))


async def equals_the_host(project: Project, host: BitbucketSimulator) -> bool:
    environments = (await project.environments()).values()
    branches = {each["name"]: each["head_commit"] for each in environments if not each["is_pr"]}
    pulls = {each["id"] for each in environments if each["is_pr"]}
    return branches == {name: host.head(REPOSITORY, name) for name in host.branches(REPOSITORY)} and pulls == {
        f"pr-{number}" for number in host.open_pulls(REPOSITORY)
    }


async def test_twenty_kills_in_a_stream_of_events(host: BitbucketSimulator, start_server: StartServer) -> None:
    dice = random.Random(20)
    host.create_repository(REPOSITORY)
    await host.commit(REPOSITORY, "main", {"index.html": "main"}, "Start")
    server = await start_server(TIELINE_RECONCILE_SECONDS="2")
    project = await connect(server, host, REPOSITORY)
    stop = asyncio.Event()
    team = asyncio.create_task(stream_of_events(host, dice, stop))

    for _ in range(KILLS):
        await asyncio.sleep(dice.uniform(0.1, 1.0))
        await server.kill()
        await server.start()
    stop.set()
    await team
    # What has lost its source branch is kept as it is, so it would not say whether it was healed.
    for number in host.open_pulls(REPOSITORY):
        if host.repository(REPOSITORY).pulls[number].head is None:
            await host.decline_pull(REPOSITORY, number)

    async def healed() -> bool:
        return await equals_the_host(project, host)

    await eventually(healed, seconds=90, what="the environments to equal the host")
    await project.settled()
    assert {each["state"] for each in await project.activities()} <= {"complete", "cancelled"}
    assert server.starts == KILLS + 1
