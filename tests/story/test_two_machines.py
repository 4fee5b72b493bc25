"""Two servers on one database, each with a data folder of its own: what one cannot finish the other does."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

from tests.story.conftest import free_port
from tests.story.forked import ForkedServer
from tests.story.support import Project, connect, eventually, host_settings
from tieline.simulators.bitbucket import BitbucketSimulator

REPOSITORY = "acme/site"


def deployer(folder: Path) -> Path:
    """Notes who started it, and never ends the first time."""
    path = folder / "slow"
    first = folder / "first"
    path.write_text(f"#!/bin/sh\ncat >/dev/null\n[ -e {first} ] && exit 0\necho $PPID >{first}\nsleep 600\n")
    path.chmod(0o755)
    return path


async def test_an_activity_of_a_killed_server_ends_on_the_other_within_half_a_minute(
    host: BitbucketSimulator, dsn: str, folder: Path
) -> None:
    host.create_repository(REPOSITORY)
    await host.commit(REPOSITORY, "main", {"index.html": "main"}, "Start")
    executable = deployer(folder)
    settings = host_settings(
        host,
        TIELINE_DATABASE_URL=dsn,
        TIELINE_SECRET_KEY="a key that both have",
        TIELINE_DEPLOYER=f"command:{executable}",
    )
    machines = [ForkedServer(folder / name, settings, free_port()) for name in ("one", "other")]
    async with AsyncExitStack() as stack:
        for machine in machines:
            machine.folder.mkdir()
        await asyncio.gather(*(stack.enter_async_context(machine) for machine in machines))
        project = await connect(machines[0], host, REPOSITORY)

        async def begun() -> int:
            first = executable.with_name("first")
            return int(first.read_text() or 0) if first.exists() else 0

        runner = await eventually(begun, what="the deployer to begin")
        killed, alive = sorted(machines, key=lambda each: each.process is not None and each.process.pid != runner)
        assert killed.process is not None
        assert killed.process.pid == runner
        await killed.kill()
        began = time.monotonic()

        seen = Project(alive, project.id, project.integration_id)
        await seen.settled(seconds=30)
        (push,) = await seen.activities(type="environment.push")
        assert (push["state"], push["result"]) == ("complete", "success")
        assert time.monotonic() - began < 30
        main = (await seen.environments())["main"]
        assert (main["status"], main["head_commit"]) == ("active", host.head(REPOSITORY, "main"))

        async def told() -> bool:
            return [each["state"] for each in host.statuses(REPOSITORY, main["head_commit"])] == ["SUCCESSFUL"]

        await eventually(told, what="the last build status")
