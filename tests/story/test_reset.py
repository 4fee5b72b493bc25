"""A reset in the middle of a deployment: what ran is ended, and the state is that of the snapshot at once."""

import os
import time
from pathlib import Path

from tests.story.conftest import StartServer
from tests.story.support import connect, eventually
from tieline.simulators.bitbucket import BitbucketSimulator

REPOSITORY = "acme/site"


async def test_a_deployment_that_runs_is_ended_by_a_reset(
    host: BitbucketSimulator, start_server: StartServer, tmp_path: Path
) -> None:
    deployer, marker = tmp_path / "deployer", tmp_path / "started"
    deployer.write_text(f"#!/bin/sh\ncat >/dev/null\n[ ! -e {tmp_path}/slow ] || {{ echo $$ >{marker}; sleep 600; }}\n")
    deployer.chmod(0o755)
    host.create_repository(REPOSITORY)
    await host.commit(REPOSITORY, "main", {"index.html": "main"}, "Start")
    server = await start_server(TIELINE_DEPLOYER=f"command:{deployer}", TIELINE_DEVELOPMENT="1")
    project = await connect(server, host, REPOSITORY)
    await project.wait_for("main", status="active", has_deployment=True)
    await project.settled()
    await server.call("POST", "/_tieline/snapshot")
    before = await server.get(f"{project.path}/environments"), await project.activities()

    (tmp_path / "slow").touch()
    await server.call("POST", f"{project.path}/environments/main/redeploy")
    pid = await eventually(lambda: _read(marker), what="the deployer to start")
    began = time.monotonic()
    await server.call("POST", "/_tieline/reset")
    assert time.monotonic() - began < 5
    assert (await server.get(f"{project.path}/environments"), await project.activities()) == before

    await eventually(lambda: _is_gone(pid), what="the deployer to be ended")
    (tmp_path / "slow").unlink()
    await server.call("POST", f"{project.path}/environments/main/redeploy")
    await project.settled()
    newest = (await project.activities())[0]
    assert (newest["type"], newest["result"]) == ("environment.redeploy", "success")


async def _read(marker: Path) -> int | None:
    return int(marker.read_text() or 0) if marker.exists() else None


async def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
