"""The main job, end to end: a repository's branches and pull requests become environments that follow it."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.story.conftest import StartServer, free_port
from tests.story.support import ADMIN_TOKEN, Project, Server, connect, eventually, host_settings
from tieline.simulators.bitbucket import BitbucketSimulator

REPOSITORY = "acme/site"


@pytest.fixture
def deployer(tmp_path: Path) -> Path:
    path = tmp_path / "deployer" / "deploy"
    path.parent.mkdir()
    shutil.copy(Path(__file__).with_name("deployer.py"), path)
    path.chmod(0o755)
    return path


def orders(deployer: Path, environment: str) -> list[dict[str, Any]]:
    record = deployer.parent / "orders" / f"{environment}.jsonl"
    return [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []


async def status_of(host: BitbucketSimulator, commit: str, state: str, repository: str = REPOSITORY) -> dict[str, Any]:
    async def posted() -> dict[str, Any] | None:
        return next((each for each in host.statuses(repository, commit) if each["state"] == state), None)

    return await eventually(posted, what=f"a {state} status on {commit}")


async def sample_repository(host: BitbucketSimulator) -> str:
    host.create_repository(REPOSITORY)
    head = await host.commit(REPOSITORY, "main", {"index.html": "main"}, "Start")
    await host.commit(REPOSITORY, "feature/a", {"a.html": "a"}, "Add a", parent="main")
    await host.commit(REPOSITORY, "Feature-A", {"upper.html": "A"}, "Add the other a", parent="main")
    return head


async def walk(project: Project, host: BitbucketSimulator, deployer: Path, first: str) -> None:
    """Every step of the life of a repository, and what must follow from it."""
    main = await project.wait_for("main", status="active", head_commit=first, type="production", is_main=True)
    assert main["parent"] is None
    status = await status_of(host, first, "SUCCESSFUL")
    assert len(status["key"]) <= 40
    assert status["refname"] == "main"
    assert status["url"] == f"http://{main['machine_name']}.localhost/"

    branches = {each["name"]: each for each in (await project.environments()).values()}
    assert branches["feature/a"]["status"] == branches["Feature-A"]["status"] == "inactive"
    assert branches["feature/a"]["parent"] == "main"
    assert branches["feature/a"]["id"] != branches["Feature-A"]["id"]

    number = await host.open_pull(REPOSITORY, source="feature/a", target="main", title="A <b>bold</b> change")
    head = host.head(REPOSITORY, "feature/a")
    pull = await project.wait_for(f"pr-{number}", status="active", head_commit=head, is_pr=True, parent="main")
    assert pull["title"] == f"PR #{number}: A <b>bold</b> change"
    await status_of(host, head, "SUCCESSFUL")
    done = orders(deployer, f"pr-{number}")
    assert [each["action"] for each in done] == ["sync-data", "build", "deploy"]
    assert done[0]["parent"]["id"] == "main"

    pushed = await host.commit(REPOSITORY, "feature/a", {"a.html": "a2"}, "Improve a")
    await project.wait_for(f"pr-{number}", head_commit=pushed)
    status = await status_of(host, pushed, "SUCCESSFUL")
    assert status["refname"] == "feature/a"
    pushes = await project.activities(type="environment.push")
    assert any(each["environments"] == [f"pr-{number}"] and each["payload"]["commits_count"] == 1 for each in pushes)

    await host.update_pull(REPOSITORY, number, target="Feature-A")
    await project.wait_for(f"pr-{number}", parent=branches["Feature-A"]["id"])

    await host.merge_pull(REPOSITORY, number)
    await project.wait_gone(f"pr-{number}")
    assert orders(deployer, f"pr-{number}")[-1]["action"] == "delete"

    await host.delete_branch(REPOSITORY, "feature/a")
    await project.wait_gone(branches["feature/a"]["id"])
    await project.settled()
    assert {each["result"] for each in await project.activities(state="complete")} == {"success"}


async def test_every_step_is_followed(host: BitbucketSimulator, new_folder: Path, deployer: Path) -> None:
    first = await sample_repository(host)
    settings = host_settings(host, TIELINE_DEPLOYER=f"command:{deployer}")
    async with Server(new_folder, settings, free_port()) as server:
        project = await connect(server, host, REPOSITORY)

        await walk(project, host, deployer, first)

        hooks = host.hooks(REPOSITORY)
        assert [each["url"] for each in hooks] == [f"{server.url}/api{project.integration_path}/hook"]
        await server.call("DELETE", project.integration_path)

        async def hook_removed() -> bool:
            return not host.hooks(REPOSITORY)

        await eventually(hook_removed, what="the hook at the host to be removed")
        assert await server.get(f"{project.path}/integrations") == []


async def test_the_same_story_heals_with_every_hook_lost(
    host: BitbucketSimulator, start_server: StartServer, deployer: Path
) -> None:
    first = await sample_repository(host)
    host.faults.drop_hooks = True
    server = await start_server(TIELINE_DEPLOYER=f"command:{deployer}", TIELINE_RECONCILE_SECONDS="1")
    project = await connect(server, host, REPOSITORY)

    await walk(project, host, deployer, first)


async def test_a_failed_build_says_so_everywhere(
    host: BitbucketSimulator, start_server: StartServer, deployer: Path
) -> None:
    first = await sample_repository(host)
    server = await start_server(TIELINE_DEPLOYER=f"command:{deployer}")
    project = await connect(server, host, REPOSITORY)
    await status_of(host, first, "SUCCESSFUL")

    broken = await host.commit(REPOSITORY, "main", {"fail": "yes"}, "Break the build")

    await status_of(host, broken, "FAILED")
    activity = (await project.activities(type="environment.push"))[0]
    assert (activity["state"], activity["result"], activity["completion_percent"]) == ("complete", "failure", 100)
    assert server.session is not None
    async with server.session.get(f"{server.url}{project.path}/activities/{activity['id']}/log") as answer:
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert "the build fails because the tree says so\n" in [each["data"]["message"] for each in lines[:-1]]
    assert lines[-1]["seal"] is True


async def environment_list(project: Project) -> str:
    """What `tieline environment list` shows."""
    environment = {
        "PATH": os.environ["PATH"],
        "TIELINE_SERVER": project.server.url,
        "TIELINE_TOKEN": ADMIN_TOKEN,
        "TIELINE_PROJECT": project.id,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tieline", "environment", "list", env=environment, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return output.decode()


async def test_a_fork_is_built_only_after_an_admin_says_so(
    host: BitbucketSimulator, start_server: StartServer, deployer: Path
) -> None:
    await sample_repository(host)
    server = await start_server(TIELINE_DEPLOYER=f"command:{deployer}")
    project = await connect(server, host, REPOSITORY)
    await project.wait_for("main", status="active")
    await host.fork(REPOSITORY, "stranger/site")
    commit = await host.commit("stranger/site", "main", {"index.html": "hello"}, "Be nice")

    number = await host.open_pull(REPOSITORY, source="main", source_repository="stranger/site", target="main")
    waiting = await project.wait_for(f"pr-{number}", status="inactive", head_commit=commit)
    await project.settled()
    assert "#activate" in waiting["_links"]
    assert f"pr-{number}" in (listed := await environment_list(project))
    assert "inactive, needs approval" in listed
    assert orders(deployer, f"pr-{number}") == []
    assert host.statuses(REPOSITORY, commit) == []

    await server.call("POST", f"{project.path}/environments/pr-{number}/activate")
    await project.wait_for(f"pr-{number}", status="active")
    assert (await status_of(host, commit, "SUCCESSFUL", "stranger/site"))["refname"] is None


async def test_a_new_default_branch_is_followed(
    host: BitbucketSimulator, start_server: StartServer, deployer: Path
) -> None:
    await sample_repository(host)
    server = await start_server(TIELINE_DEPLOYER=f"command:{deployer}", TIELINE_RECONCILE_SECONDS="1")
    project = await connect(server, host, REPOSITORY)
    await project.wait_for("main", status="active")
    await host.commit(REPOSITORY, "trunk", {"index.html": "trunk"}, "Grow", parent="main")

    await host.set_default_branch(REPOSITORY, "trunk")

    await project.wait_for("trunk", type="production", is_main=True, status="active", parent=None)
    await project.wait_for("main", type="development", is_main=False, parent="trunk")
    assert (await server.get(project.path))["default_branch"] == "trunk"
