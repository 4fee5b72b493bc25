"""The operator's day: start, stop, start again."""

import time
from pathlib import Path

from tests.story.conftest import StartServer
from tests.story.support import Server, connect
from tieline.simulators.bitbucket import BitbucketSimulator

REPOSITORY = "acme/site"


async def test_sigterm_drains_within_ten_seconds_and_the_state_survives(
    host: BitbucketSimulator, start_server: StartServer
) -> None:
    host.create_repository(REPOSITORY)
    await host.commit(REPOSITORY, "main", {"index.html": "main"}, "Start")
    server = await start_server(Server)
    project = await connect(server, host, REPOSITORY)
    await project.wait_for("main", status="active")
    before = await server.get(f"{project.path}/integrations")

    assert await server.stop() < 10
    await server.start()

    assert await server.get(f"{project.path}/integrations") == before
    assert (await project.environments())["main"]["status"] == "active"


async def test_an_activity_cut_off_by_sigterm_ends_after_the_restart(
    host: BitbucketSimulator, start_server: StartServer, tmp_path: Path
) -> None:
    slow = tmp_path / "slow-deployer"
    marker = tmp_path / "started"
    slow.write_text(f"#!/bin/sh\ncat >/dev/null\n[ -e {marker} ] || {{ touch {marker}; sleep 600; }}\n")
    slow.chmod(0o755)
    host.create_repository(REPOSITORY)
    await host.commit(REPOSITORY, "main", {"index.html": "main"}, "Start")
    server = await start_server(Server, TIELINE_DEPLOYER=f"command:{slow}")
    project = await connect(server, host, REPOSITORY)
    deadline = time.monotonic() + 30
    while not marker.exists() and time.monotonic() < deadline:
        await project.activities()

    assert await server.stop() < 10
    await server.start()

    await project.settled(seconds=45)
    push = (await project.activities(type="environment.push"))[-1]
    assert (push["state"], push["result"]) == ("complete", "success")
