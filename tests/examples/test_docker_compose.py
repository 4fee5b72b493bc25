"""The docker compose deployer, against a stand-in for docker, and against docker itself where there is one."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.examples import docker_simulator
from tests.examples.orders import EXAMPLES, Lines, bottomless, environment, order, write_wrapper
from tests.unit.core.samples import COMMIT
from tieline.core.documents import Environment, open_access
from tieline.core.errors import DeployFailed
from tieline.core.ports import Action
from tieline.deploy.command import CommandDeployer

SITE = {"services": {"web": {"build": ".", "ports": ["80"], "volumes": ["files:/files"]}}, "volumes": {"files": None}}


@dataclass(frozen=True)
class Docker:
    """A machine with docker on it."""

    folder: Path
    deployer: CommandDeployer

    async def run(self, action: Action, subject: Environment, model: Any = None, **others: Environment) -> list[str]:
        """Run an action, with a tree that has this compose file; the URLs that were reported."""
        return await self.run_logged(Lines(), action, subject, model, **others)

    async def run_logged(
        self, log: Lines, action: Action, subject: Environment, model: Any = None, **others: Environment
    ) -> list[str]:
        tree = self.tree(model) if model is not None else None
        answer = await self.deployer.run(order(action, subject, tree, others.get("parent")), log)
        return list(answer.urls)

    def tree(self, model: Any) -> Path:
        tree = self.folder / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir()
        (tree / "compose.yaml").write_text(json.dumps(model))
        return tree

    @property
    def calls(self) -> list[Mapping[str, Any]]:
        return [json.loads(line) for line in (self.folder / "docker" / "calls.jsonl").read_text().splitlines()]

    @property
    def state(self) -> Any:
        return json.loads((self.folder / "docker" / "state.json").read_text())

    def kept(self, subject: Environment) -> list[Path]:
        folder = self.folder / "root" / subject.machine_name
        return list(folder.iterdir()) if folder.exists() else []

    def volume(self, subject: Environment, key: str = "files") -> Path:
        return self.folder / "docker" / "volumes" / f"{subject.machine_name}_{key}"


SETTINGS = {"DEPLOYER_HOST": "build.example", "DEPLOYER_WAIT_SECONDS": "7", "DEPLOYER_COPY_IMAGE": "alpine:3"}


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    folder = tmp_path
    (folder / "docker").mkdir()
    (folder / "bin").mkdir()
    stand_in = folder / "bin" / "docker"
    stand_in.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {docker_simulator.__file__} "$@"\n')
    stand_in.chmod(0o755)
    variables = {"DEPLOYER_ROOT": str(folder / "root"), "DOCKER_SIMULATOR": str(folder / "docker"), **SETTINGS}
    wrapper = write_wrapper(folder / "deployer", variables, EXAMPLES / "docker-compose" / "deploy", folder / "bin")
    return Docker(folder, CommandDeployer(wrapper, folder / "runs"))


async def test_an_environment_is_built_and_runs_under_its_own_name(docker: Docker) -> None:
    branch = environment("feature/a", id="feature-a", machine_name="feature-a-abcdefg")
    await docker.run("build", branch, SITE)
    assert docker.state["images"] == ["feature-a-abcdefg-web"]
    assert await docker.run("deploy", branch, SITE) == ["http://build.example:32080/"]
    assert docker.state["projects"]["feature-a-abcdefg"]["web"]["running"]
    for call in docker.calls:
        assert call["arguments"][:7] == [
            *("compose", "--ansi", "never", "--progress", "plain"),
            *("--project-name", "feature-a-abcdefg"),
        ]
        assert call["stdin"] == ""
    up = next(call["arguments"] for call in docker.calls if "up" in call["arguments"])
    assert up[up.index("--wait-timeout") + 1] == "7"
    assert docker.calls[0]["variables"] == {
        "TIELINE_ENVIRONMENT": "feature-a",
        "TIELINE_ENVIRONMENT_TYPE": "development",
        "TIELINE_BRANCH": "feature/a",
        "TIELINE_COMMIT": COMMIT,
        "TIELINE_RESTRICT_ROBOTS": "1",
    }


async def test_the_tree_that_containers_mount_outlives_the_deployment(docker: Docker) -> None:
    branch = environment("mounts")
    await docker.run("deploy", branch, SITE)
    (first,) = docker.kept(branch)
    shutil.rmtree(docker.folder / "tree")
    assert (first / "compose.yaml").is_file()
    await docker.run("deploy", branch, SITE)
    (second,) = docker.kept(branch)
    assert second != first


async def test_urls_are_those_of_the_published_ports(docker: Docker) -> None:
    services = {
        "admin": {"ports": ["8081:8080"]},
        "web": {"ports": ["9443:443", "9080:80", "53:53/udp"]},
        "hidden": {},
    }
    urls = await docker.run("deploy", environment("ports"), {"services": services})
    assert urls == ["http://build.example:9080/", "https://build.example:9443/", "http://build.example:8081/"]


async def test_volumes_are_copied_from_the_parent_and_adopted(docker: Docker) -> None:
    parent, child = environment("main"), environment("pr-1")
    await docker.run("deploy", parent, SITE)
    (docker.volume(parent) / "upload.txt").write_text("of the parent")
    (docker.volume(parent) / ".hidden").write_text("too")
    await docker.run("sync-data", child, parent=parent)
    await docker.run("deploy", child, SITE, parent=parent)
    assert sorted(path.name for path in docker.volume(child).iterdir()) == [".hidden", "upload.txt"]
    labels = docker.state["volumes"][docker.volume(child).name]
    assert labels == {docker_simulator.PROJECT_LABEL: child.machine_name, docker_simulator.VOLUME_LABEL: "files"}
    (docker.volume(child) / "mine.txt").write_text("of the child")
    began = len(docker.calls)
    await docker.run("sync-data", child, parent=parent)
    assert sorted(path.name for path in docker.volume(child).iterdir()) == [".hidden", "upload.txt"]
    assert docker.state["projects"][child.machine_name]["web"]["running"]
    words = [set(call["arguments"]) & {"stop", "run", "start"} for call in docker.calls[began:]]
    assert [word for word in words if word] == [{"stop"}, {"run"}, {"start"}]
    assert [True for call in docker.calls if "alpine:3" in call["arguments"]] == [True, True]
    assert (docker.volume(parent) / "upload.txt").read_text() == "of the parent"


async def test_a_copy_that_outlived_its_action_is_ended_before_the_next(docker: Docker) -> None:
    parent, child = environment("main"), environment("pr-1")
    await docker.run("deploy", parent, SITE)
    left = {**docker.state, "helpers": [f"{child.machine_name}-sync-data", "another"]}
    (docker.folder / "docker" / "state.json").write_text(json.dumps(left))
    await docker.run("sync-data", child, parent=parent)
    assert docker.state["helpers"] == ["another"]


async def test_a_parent_that_never_ran_has_nothing_to_copy(docker: Docker) -> None:
    log = Lines()
    await docker.run_logged(log, "sync-data", environment("pr-1"), parent=environment("main"))
    assert "no volumes yet" in log.text


async def test_a_paused_environment_keeps_its_containers_and_data(docker: Docker) -> None:
    branch = environment("tired")
    await docker.run("deploy", branch, SITE)
    (docker.volume(branch) / "kept").touch()
    await docker.run("pause", branch)
    assert not docker.state["projects"][branch.machine_name]["web"]["running"]
    await docker.run("deploy", branch, SITE)
    assert docker.state["projects"][branch.machine_name]["web"]["running"]
    assert (docker.volume(branch) / "kept").exists()


async def test_a_deleted_environment_leaves_nothing_and_takes_nothing_with_it(docker: Docker) -> None:
    main, branch = environment("main"), environment("merged")
    for each in (main, branch):
        await docker.run("build", each, SITE)
        await docker.run("deploy", each, SITE)
    for _ in range(2):
        await docker.run("delete", branch)
    assert list(docker.state["projects"]) == [main.machine_name]
    assert list(docker.state["volumes"]) == [docker.volume(main).name]
    assert docker.state["images"] == [f"{main.machine_name}-web"]
    assert (docker.kept(branch), len(docker.kept(main))) == ([], 1)


async def test_a_deployment_that_is_not_healthy_fails_and_shows_why(docker: Docker) -> None:
    sick = {"services": {"web": {"image": "x", "labels": {"unhealthy": "yes"}}}}
    log = Lines()
    with pytest.raises(DeployFailed, match="exit status 1"):
        await docker.run_logged(log, "deploy", environment("sick"), sick)
    assert "is unhealthy" in log.text
    assert "the reason is in the log" in log.text


@pytest.mark.parametrize(("action", "volume"), [("build", {"name": "main_files"}), ("deploy", {"external": True})])
async def test_data_of_other_environments_is_out_of_reach(docker: Docker, action: Action, volume: Any) -> None:
    shared = {"services": {"web": {"image": "x"}}, "volumes": {"files": volume}}
    log = Lines()
    with pytest.raises(DeployFailed):
        await docker.run_logged(log, action, environment("greedy"), shared)
    assert "The volume files" in log.text
    assert all("config" in call["arguments"] for call in docker.calls)


@pytest.mark.parametrize(
    "access",
    [
        {"basic_auth": {"ann": "s3cret"}},
        {"addresses": [{"permission": "deny", "address": "0.0.0.0/0"}]},
    ],
)
async def test_a_protected_environment_is_not_published_openly(docker: Docker, access: dict[str, Any]) -> None:
    log = Lines()
    with pytest.raises(DeployFailed):
        await docker.run_logged(log, "deploy", environment("private", http_access=open_access() | access), SITE)
    assert "http_access" in log.text
    assert "s3cret" not in log.text
    assert not (docker.folder / "docker" / "calls.jsonl").exists()
    await docker.run("deploy", environment("private", http_access={**access, "is_enabled": False}), SITE)


async def test_only_machine_names_become_projects(docker: Docker) -> None:
    actions: list[Action] = ["build", "deploy", "sync-data", "pause", "delete"]
    for action, name in zip(actions, ["../main", "-p", "Main", "main_x", ""], strict=True):
        log = Lines()
        with pytest.raises(DeployFailed):
            await docker.run_logged(log, action, environment("x", machine_name=name), SITE, parent=environment("main"))
        assert "machine_name" in log.text
    with pytest.raises(DeployFailed):
        await docker.run("sync-data", environment("x"), parent=environment("main", machine_name="--all"))
    assert not (docker.folder / "docker" / "calls.jsonl").exists()


async def test_a_tree_without_bottom_is_refused_and_leaves_nothing(docker: Docker) -> None:
    tree, log = docker.tree(SITE), Lines()
    with bottomless(tree), pytest.raises(DeployFailed):
        await docker.deployer.run(order("deploy", environment("deep"), tree), log)
    assert log.text == "There are folders more than 100 levels deep. Nothing is changed.\n"
    assert docker.kept(environment("deep")) == []


async def test_folders_without_bottom_that_a_container_made_are_removed(docker: Docker) -> None:
    deep = environment("deep")
    await docker.run("deploy", deep, SITE)
    with bottomless(docker.kept(deep)[0]):
        await docker.run("delete", deep)
        assert docker.kept(deep) == []


async def test_a_tree_without_compose_file_is_named(docker: Docker) -> None:
    log = Lines()
    (docker.folder / "compose.yaml").write_text(json.dumps(SITE))
    (docker.folder / "bare").mkdir()
    with pytest.raises(DeployFailed):
        await docker.deployer.run(order("build", environment("bare"), docker.folder / "bare"), log)
    assert "There is no compose.yaml" in log.text


def why_no_docker() -> str | None:
    """Why docker itself cannot be used here."""
    if shutil.which("docker") is None:
        return "there is no docker on the PATH"
    for asked in (["compose", "version"], ["info"], ["image", "inspect", "busybox:stable"]):
        done = subprocess.run(["docker", *asked], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            return f"docker {' '.join(asked)} says: {done.stderr.strip().splitlines()[0]}"
    return None


@pytest.fixture
def real_docker(tmp_path: Path) -> Docker:
    if (reason := why_no_docker()) is not None:
        pytest.skip(reason)
    # HOME is empty for a deployer, so plugins and contexts of the user have to be named.
    ours = {"DOCKER_CONFIG": str(Path.home() / ".docker"), "DEPLOYER_ROOT": str(tmp_path / "root")}
    theirs = {name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}
    wrapper = write_wrapper(tmp_path / "deployer", {**ours, **theirs}, EXAMPLES / "docker-compose" / "deploy")
    return Docker(tmp_path, CommandDeployer(wrapper, tmp_path / "runs"))


async def test_docker_itself_agrees(real_docker: Docker) -> None:
    serve = "cp /site/compose.yaml /files/index.html; echo of $$BRANCH >> /files/$$BRANCH.txt; httpd -f -h /files"
    model = {
        "services": {
            "web": {
                "image": "busybox:stable",
                "command": ["sh", "-c", serve],
                "environment": {"BRANCH": "${TIELINE_BRANCH}"},
                "volumes": [".:/site:ro", "files:/files"],
                "ports": ["80"],
                "stop_grace_period": "1s",
            }
        },
        "volumes": {"files": None},
    }
    unique = f"test{os.getpid()}"
    parent = environment("main", machine_name=f"{unique}-main")
    child = environment("pr-1", machine_name=f"{unique}-pr-1")
    try:
        await real_docker.run("build", parent, model)
        (theirs,) = await real_docker.run("deploy", parent, model)
        await real_docker.run("sync-data", child, parent=parent)
        (ours,) = await real_docker.run("deploy", child, model, parent=parent)
        assert fetch(theirs + "main.txt") == "of main\n"
        assert fetch(ours + "main.txt") + fetch(ours + "pr-1.txt") == "of main\nof pr-1\n"
        await real_docker.run("pause", child)
        with pytest.raises(OSError, match=r"refused|reset"):
            fetch(ours, seconds=0)
    finally:
        await real_docker.run("delete", child)
        await real_docker.run("delete", parent)
    assert volumes_named(unique) == ""


def volumes_named(text: str) -> str:
    command = ["docker", "volume", "ls", "--quiet", "--filter", f"name={text}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def fetch(url: str, seconds: float = 10) -> str:
    """What is served, as soon as the server inside of the container listens."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urlopen(url, timeout=10) as answer:  # noqa: S310 - the deployer's own
                return str(answer.read(), "utf-8")
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
