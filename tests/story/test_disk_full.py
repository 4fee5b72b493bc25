"""The disk runs full: nothing is half done, everybody is told so, and all goes on by itself once there is room."""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from tests.story.conftest import free_port
from tests.story.forked import ForkedServer
from tests.story.support import Project, Server, connect, eventually, host_settings
from tests.story.telling import HOOK, Telling, write_seed
from tieline.simulators.bitbucket import BitbucketSimulator

REPOSITORY = "acme/site"
SIZE = "160m"
SETTINGS = {"TIELINE_DELIVERY_RETRY_SECONDS": ",".join(["0.2"] * 60), "TIELINE_RECONCILE_SECONDS": "1"}


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small one, of which somebody else can use up all."""
    folder = Path(tempfile.mkdtemp(prefix="tieline-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "tieline-story", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip(f"a small disk needs the right to mount one: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


@pytest.fixture
async def telling(disk: Path, new_folder: Path, host: BitbucketSimulator) -> AsyncIterator[Telling]:
    seed = write_seed(new_folder / "seed.yaml", 4)
    settings = host_settings(host, TIELINE_DATA=str(disk), **SETTINGS)
    async with ForkedServer(new_folder, settings, free_port(), ("--seed", str(seed))) as server:
        yield Telling(server)


def use_up(disk: Path) -> Path:
    """A file that takes all the room there is."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            os.write(file.fileno(), bytes(1024 * 1024))
    # What is left is less than that.
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        while True:
            os.write(file.fileno(), bytes(1024))
    return filler


async def readiness(server: Server) -> tuple[int, dict[str, str]]:
    assert server.session is not None
    async with server.session.get(f"{server.url}/readyz") as answer:
        return answer.status, (await answer.json())["checks"]


async def exhaust_log(telling: Telling) -> None:
    """Have PostgreSQL need another file for its log, which it cannot go on without."""
    with suppress(psycopg.Error):
        for _ in range(20):
            await telling.query("select pg_switch_wal()")
            await telling.query("update project set title = title")


async def connected(server: Server, host: BitbucketSimulator) -> Project:
    host.create_repository(REPOSITORY)
    await host.commit(REPOSITORY, "main", {"index.html": "main"}, "Start")
    project = await connect(server, host, REPOSITORY)
    await project.wait_for("main", status="active")
    return project


async def test_everything_waits_for_room_and_goes_on(disk: Path, telling: Telling, host: BitbucketSimulator) -> None:
    server = telling.server
    project = await connected(server, host)
    async with telling.hearing("room", only="*") as receiver:
        filler = use_up(disk)
        changes = asyncio.gather(*(telling.change(f"env-{number}", 20) for number in range(4)))

        async def refused() -> bool:
            return telling.answers[503] > 0

        await eventually(refused, what="a change to be refused")
        status, checks = await readiness(server)
        assert (status, checks["database"]) == (503, "There is no room left on the disk of the database.")
        pushed = await host.commit(REPOSITORY, "main", {"index.html": "new"}, "Push")
        await host.webhooks.drain()
        assert {each.status for each in host.webhooks.sent if each.event == "repo:push"} == {503}

        await exhaust_log(telling)

        async def down() -> bool:
            return "There is no room" not in (await readiness(server))[1]["database"]

        await eventually(down, what="PostgreSQL to be down")
        filler.unlink()
        await changes
        await telling.met(240)
        judgement = await telling.judge()
        assert (judgement.obligations, judgement.breaches) == (240, [])
        assert len(receiver.at(HOOK)) >= 240
        await project.wait_for("main", head_commit=pushed)
        assert (await readiness(server))[0] == 200
        assert server.starts == 1
