"""Killed at any moment, the server comes back and its environments equal the host again."""

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import pytest

from tests.story.conftest import StartServer
from tests.story.support import Project, Server, connect, eventually
from tieline.simulators.bitbucket import BitbucketSimulator

REPOSITORY = "acme/site"
# More than all that comes and goes, so that no removal is of more than half, which would have to wait a minute.
LASTING = [f"lasting/{number}" for number in range(10)]


async def stream_of_events(host: BitbucketSimulator, dice: random.Random, stop: asyncio.Event) -> None:
    """What a busy team does, until told to stop."""
    serial = 0
    while not stop.is_set():
        serial += 1
        branches = [each for each in host.branches(REPOSITORY) if each != "main"]
        topics = [each for each in branches if each.startswith("topic/")]
        pulls = host.open_pulls(REPOSITORY)
        kind = dice.choice(["push", "branch", "delete", "pull", "merge", "main"])
        if kind == "push" and branches:
            await host.commit(REPOSITORY, dice.choice(branches), {f"page-{serial}": "new"}, f"Push {serial}")
        elif kind == "main":
            await host.commit(REPOSITORY, "main", {f"page-{serial}": "new"}, f"Main {serial}")
        elif kind == "branch" and len(topics) < 6:
            await host.commit(
                REPOSITORY, f"topic/{serial}", {f"page-{serial}": "new"}, f"Branch {serial}", parent="main"
            )
        elif kind == "delete" and topics:
            await host.delete_branch(REPOSITORY, dice.choice(topics))
        elif kind == "pull" and branches and len(pulls) < 4:
            await host.open_pull(REPOSITORY, source=dice.choice(branches), target="main")
        elif kind == "merge" and pulls:
            number = dice.choice(pulls)
            if host.repository(REPOSITORY).pulls[number].head is not None:
                await host.merge_pull(REPOSITORY, number)
        await asyncio.sleep(dice.uniform(0.02, 0.2))


def deployer(folder: Path) -> Path:
    """Remembers in a folder which commit of which environment runs."""
    (folder / "running").mkdir(parents=True)
    path = folder / "deploy"
    path.write_text(
        f"""#!/bin/sh
order=$(cat)
commit=$(printf %s "$order" | sed 's/.*"commit":"\\([0-9a-f]*\\)","tree.*/\\1/')
id=$(printf %s "$order" | sed 's/.*"environment":{{"id":"\\([^"]*\\)".*/\\1/')
case $1 in
    deploy) echo "$commit" >"{folder}/running/$id" ;;
    delete) rm -f "{folder}/running/$id" ;;
esac
"""
    )
    path.chmod(0o755)
    return path


def running(executable: Path) -> dict[str, str]:
    return {each.name: each.read_text().strip() for each in (executable.parent / "running").iterdir()}


def wanted_pulls(host: BitbucketSimulator) -> dict[str, str | None]:
    pulls = host.repository(REPOSITORY).pulls
    return {f"pr-{number}": pulls[number].head for number in host.open_pulls(REPOSITORY)}


async def differences(project: Project, host: BitbucketSimulator) -> dict[str, tuple[object, object]]:
    """What the environments should be at and what they are, where that is not the same."""
    environments = (await project.environments()).values()
    found = {each["id"] if each["is_pr"] else each["name"]: each["head_commit"] for each in environments}
    wanted = {name: host.head(REPOSITORY, name) for name in host.branches(REPOSITORY)} | wanted_pulls(host)
    return {
        name: (wanted.get(name), found.get(name))
        for name in found.keys() | wanted.keys()
        if wanted.get(name) != found.get(name)
    }


async def kill_again_and_again(server: Server, dice: random.Random, kills: int) -> None:
    """Half of the time as soon as it works, and half of the time while it starts."""
    for number in range(kills):
        if number % 2:
            await server.start()
            await asyncio.sleep(dice.uniform(0.0, 1.2))
        else:
            await server.spawn()
            await asyncio.sleep(dice.uniform(0.0, 0.8))
        await server.kill()


@pytest.mark.parametrize("kills", [pytest.param(12, id="short"), pytest.param(20, id="whole", marks=pytest.mark.long)])
async def test_kills_in_a_stream_of_events(
    host: BitbucketSimulator, start_server: StartServer, tmp_path: Path, kills: int
) -> None:
    dice = random.Random(20)
    executable = deployer(tmp_path / "deployer")
    host.create_repository(REPOSITORY)
    await host.commit(REPOSITORY, "main", {"index.html": "main"}, "Start")
    for name in LASTING:
        await host.commit(REPOSITORY, name, {f"{name}.html": "new"}, f"Add {name}", parent="main")
    server = await start_server(TIELINE_RECONCILE_SECONDS="2", TIELINE_DEPLOYER=f"command:{executable}")
    project = await connect(server, host, REPOSITORY)
    stop = asyncio.Event()
    team = asyncio.create_task(stream_of_events(host, dice, stop))

    await asyncio.sleep(1)
    await server.kill()
    await kill_again_and_again(server, dice, kills)
    await server.start()
    stop.set()
    await team
    # What has lost its source branch is kept as it is, so it would not say whether it was healed.
    for number in host.open_pulls(REPOSITORY):
        if host.repository(REPOSITORY).pulls[number].head is None:
            await host.decline_pull(REPOSITORY, number)

    async def healed() -> bool:
        return not await differences(project, host)

    with suppress(AssertionError):
        await eventually(healed, seconds=40)
    assert await differences(project, host) == {}
    await project.settled()
    assert server.starts == kills + 2
    activities = (await project.all_activities()).values()
    assert {each["state"] for each in activities} <= {"complete", "cancelled"}
    assert all(each["completion_percent"] == 100 for each in activities)

    deployed = {"main": host.head(REPOSITORY, "main"), **wanted_pulls(host)}
    assert running(executable) == deployed

    async def told() -> bool:
        return all(
            [each["state"] for each in host.statuses(REPOSITORY, str(commit))][-1:] == ["SUCCESSFUL"]
            for commit in deployed.values()
        )

    await eventually(told, seconds=15, what="a last build status of each commit that runs")
