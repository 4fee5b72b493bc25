"""The actions of the command protocol."""

import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import docker
from docker import Project
from model import check_model, parse_urls, parse_volumes
from settings import Refused, Settings, read_settings

Order = dict[str, Any]
_VERSION: Final = 1
_MOST_LEVELS: Final = 100
_SHOWN: Final = 1000
_PROJECT_LABEL: Final = "com.docker.compose.project"
_VOLUME_LABEL: Final = "com.docker.compose.volume"
_REPLACE: Final = 'find "$1" -mindepth 1 -maxdepth 1 -exec rm -rf {} + && cp -a "$0/." "$1/"'


def main(arguments: Sequence[str]) -> int:
    """Run one action; the exit status."""
    try:
        _run(arguments)
    except (Refused, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run(arguments: Sequence[str]) -> None:
    name = arguments[0] if len(arguments) == 1 else ""
    if name not in ACTIONS:
        raise Refused(f"Usage: deploy {'|'.join(ACTIONS)}")
    settings = read_settings()
    order: Order = json.load(sys.stdin)
    if order.get("version") != _VERSION:
        raise Refused(f"This deployer understands version {_VERSION} of the document, not {order.get('version')}.")
    ACTIONS[name](settings, order)


def build(_settings: Settings, order: Order) -> None:
    """Build the images."""
    project, tree = _project(order), _tree(order)
    _check(project, tree, order)
    docker.run(*project.command_in(tree, "build"), variables=_variables(order))


def deploy(settings: Settings, order: Order) -> None:
    """Bring the project up from a copy of the tree, wait until it is healthy, and print where it is."""
    _require_open_access(order)
    project, kept = _project(order), settings.root / _project(order).name
    # Containers may mount files of the tree, which is removed soon. A folder of its own for each deployment
    # tells Compose which containers to replace.
    tree = kept / secrets.token_hex(8)
    _copy(_tree(order), tree)
    _check(project, tree, order)
    _up(settings, project, tree, order)
    _remove_others(kept, tree)
    lines = docker.read(*project.command("ps", "--format", "json"))
    print(json.dumps({"urls": parse_urls(lines, settings.host)}))


def sync_data(settings: Settings, order: Order) -> None:
    """Replace the content of the environment's volumes by that of its parent's."""
    if order["parent"] is None:
        raise Refused("The environment has no parent to copy data from.")
    project, parent = _project(order), Project(order["parent"]["machine_name"])
    volumes = _volumes(parent)
    if not volumes:
        print(f"{parent.name} has no volumes yet")
        return
    was_running = bool(docker.read(*project.command("ps", "--quiet")).strip())
    if was_running:
        docker.run(*project.command("stop"))
    for key, name in volumes.items():
        _copy_volume(settings, project, key, name)
    if was_running:
        docker.run(*project.command("start"))


def pause(_settings: Settings, order: Order) -> None:
    """Stop the containers; they and their volumes stay."""
    docker.run(*_project(order).command("stop"))


def delete(settings: Settings, order: Order) -> None:
    """Remove containers, networks, volumes and the images that were built, and the kept tree."""
    project = _project(order)
    docker.run(*project.command("down", "--volumes", "--remove-orphans", "--rmi", "local"))
    _remove(settings.root / project.name)


def _project(order: Order) -> Project:
    return Project(order["environment"]["machine_name"])


def _tree(order: Order) -> Path:
    tree = Path(order["tree"] or "")
    if not order["tree"] or not tree.is_dir():
        raise Refused(f"There is no folder {order['tree']!r} with the files to run.")
    return tree


def _variables(order: Order) -> dict[str, str]:
    """What a compose file can refer to, as `${TIELINE_COMMIT}`."""
    environment = order["environment"]
    return {
        "TIELINE_ENVIRONMENT": environment["id"],
        "TIELINE_ENVIRONMENT_TYPE": environment["type"],
        "TIELINE_BRANCH": environment["name"],
        "TIELINE_COMMIT": order["commit"] or "",
        "TIELINE_RESTRICT_ROBOTS": "1" if environment["restrict_robots"] else "",
    }


def _require_open_access(order: Order) -> None:
    access = order["environment"]["http_access"]
    if access["is_enabled"] and (access["addresses"] or access["basic_auth"]):
        raise Refused("The environment has rules of http_access, which this deployer cannot apply. Nothing is changed.")


def _check(project: Project, tree: Path, order: Order) -> None:
    model = docker.read(*project.command_in(tree, "config", "--format", "json"), variables=_variables(order))
    check_model(json.loads(model), project.name)


def _up(settings: Settings, project: Project, tree: Path, order: Order) -> None:
    wait = ("--wait", "--wait-timeout", str(settings.wait_seconds))
    up = project.command_in(tree, "up", "--detach", *wait, "--remove-orphans")
    try:
        docker.run(*up, variables=_variables(order))
    except Refused:
        docker.run(*project.command("logs", "--no-color", "--tail", "50"))
        raise


def _copy(tree: Path, into: Path) -> None:
    """Raises `Refused`, and leaves nothing, for a tree that Python cannot walk: it calls itself for every level."""

    def check_level(folder: str, _names: list[str]) -> list[str]:
        if len(Path(folder).relative_to(tree).parts) > _MOST_LEVELS:
            raise Refused(f"There are folders more than {_MOST_LEVELS} levels deep. Nothing is changed.")
        return []

    try:
        shutil.copytree(tree, into, symlinks=True, ignore=check_level)
    except BaseException:
        _remove(into)
        raise


def _remove_others(kept: Path, tree: Path) -> None:
    for former in kept.iterdir():
        if former != tree:
            _remove(former)


def _remove(folder: Path) -> None:
    # Not by Python, which fails where containers have made folders in folders in folders.
    done = subprocess.run(["rm", "-rf", "--", folder], capture_output=True, text=True, check=False)  # noqa: S607
    if done.returncode != 0:
        print(f"A container left files of another user, which stay:\n{done.stderr[-_SHOWN:]}")


def _volumes(project: Project) -> dict[str, str]:
    label = f'{{{{.Name}}}}\t{{{{.Label "{_VOLUME_LABEL}"}}}}'
    return parse_volumes(
        docker.read("volume", "ls", "--filter", f"label={_PROJECT_LABEL}={project.name}", "--format", label)
    )


def _copy_volume(settings: Settings, project: Project, key: str, source: str) -> None:
    """Over the environment's volume of that key, which Compose will take for its own."""
    target, copier = f"{project.name}_{key}", f"{project.name}-sync-data"
    labels = (f"{_PROJECT_LABEL}={project.name}", f"{_VOLUME_LABEL}={key}")
    docker.read("volume", "create", "--label", labels[0], "--label", labels[1], target)
    # One that outlived an action that was killed must not go on copying.
    if docker.read("ps", "--all", "--quiet", "--filter", f"name=^{copier}$").strip():
        docker.read("rm", "--force", copier)
    print(f"Copying {source} to {target}")
    docker.run(
        *("run", "--rm", "--name", copier, "--network", "none"),
        *("--mount", f"type=volume,src={source},dst=/from,readonly"),
        *("--mount", f"type=volume,src={target},dst=/to"),
        *(settings.image, "sh", "-c", _REPLACE, "/from", "/to"),
    )


ACTIONS: Final = {"build": build, "deploy": deploy, "sync-data": sync_data, "pause": pause, "delete": delete}
