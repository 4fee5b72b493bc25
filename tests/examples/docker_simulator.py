"""Stands in for the `docker` command line: it takes the arguments that Docker's reference lists, and no others.

State is a folder named by `DOCKER_SIMULATOR`: `calls.jsonl` records every call, `state.json` what runs, and
`volumes` has a folder for each volume. It reads compose files that are written as JSON, which is YAML too.
"""

# ruff: noqa: T201 - it prints what docker prints

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(os.environ.get("DOCKER_SIMULATOR", os.curdir))
State = dict[str, Any]
PROJECT_LABEL, VOLUME_LABEL = "com.docker.compose.project", "com.docker.compose.volume"


class Parser(argparse.ArgumentParser):
    """Refuses as docker does."""

    def __init__(self) -> None:
        super().__init__(allow_abbrev=False, add_help=False)

    def error(self, message: str) -> NoReturn:
        fail(f"unknown or wrong: {message}", 125)


def fail(message: str, status: int = 1) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(status)


def main(arguments: list[str]) -> None:
    record(arguments)
    path = ROOT / "state.json"
    state = (
        json.loads(path.read_text()) if path.exists() else {"projects": {}, "volumes": {}, "images": [], "helpers": []}
    )
    COMMANDS.get(arguments[0], unknown)(state, arguments[1:])
    path.write_text(json.dumps(state))


def record(arguments: list[str]) -> None:
    variables = {name: value for name, value in os.environ.items() if name.startswith("TIELINE_")}
    call = {"arguments": arguments, "stdin": sys.stdin.read(), "cwd": str(Path.cwd()), "variables": variables}
    with (ROOT / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(call) + "\n")


def unknown(_state: State, arguments: list[str]) -> None:
    fail(f"docker: unknown command: {arguments}")


def compose(state: State, arguments: list[str]) -> None:
    parser = Parser()
    parser.add_argument("--ansi", choices=("never", "always", "auto"))
    parser.add_argument("--progress", choices=("auto", "tty", "plain", "json", "quiet"))
    parser.add_argument("--project-name", "-p", required=True)
    parser.add_argument("--project-directory", type=Path)
    parser.add_argument("--file", "-f", type=Path)
    parser.add_argument("command", choices=SUBCOMMANDS)
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", given.project_name):
        fail("invalid project name")
    SUBCOMMANDS[given.command](state, given, given.rest)


def model_of(given: argparse.Namespace) -> Any:
    if given.file is None:
        fail("no configuration file provided: not found", 14)
    model = json.loads(given.file.read_text())
    for key, volume in model.get("volumes", {}).items():
        model["volumes"][key] = {"name": f"{given.project_name}_{key}", **(volume or {})}
    return {**model, "name": given.project_name}


def config(_state: State, given: argparse.Namespace, rest: list[str]) -> None:
    parser = Parser()
    parser.add_argument("--format", choices=("yaml", "json"))
    parser.parse_args(rest)
    print(json.dumps(model_of(given), indent=2))


def build(state: State, given: argparse.Namespace, rest: list[str]) -> None:
    Parser().parse_args(rest)
    for name, service in model_of(given)["services"].items():
        if "build" in service:
            image = f"{given.project_name}-{name}"
            print(f"#1 building {image}", file=sys.stderr)
            state["images"] = sorted({*state["images"], image})


def up(state: State, given: argparse.Namespace, rest: list[str]) -> None:
    parser = Parser()
    for flag in ("--detach", "--wait", "--remove-orphans"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--wait-timeout", type=int)
    asked = parser.parse_args(rest)
    model = model_of(given)
    for key, volume in model.get("volumes", {}).items():
        add_volume(state, volume["name"], {PROJECT_LABEL: given.project_name, VOLUME_LABEL: key})
    services = state["projects"].setdefault(given.project_name, {})
    if asked.remove_orphans:
        for orphan in services.keys() - model["services"].keys():
            del services[orphan]
    for name, service in model["services"].items():
        services[name] = {"running": True, "ports": [publish(port) for port in service.get("ports", [])]}
        if asked.wait and "unhealthy" in service.get("labels", {}):
            (ROOT / "state.json").write_text(json.dumps(state))
            fail(f"container {given.project_name}-{name}-1 is unhealthy")


def publish(port: str) -> dict[str, Any]:
    number, _, protocol = port.partition("/")
    published, _, target = number.rpartition(":")
    return {
        "TargetPort": int(target),
        "PublishedPort": int(published or 32000 + int(target) % 1000),
        "Protocol": protocol or "tcp",
    }


def ps(state: State, given: argparse.Namespace, rest: list[str]) -> None:
    parser = Parser()
    parser.add_argument("--format", choices=("table", "json"))
    parser.add_argument("--quiet", "-q", action="store_true")
    asked = parser.parse_args(rest)
    for name, service in sorted(state["projects"].get(given.project_name, {}).items()):
        publishers = [{"URL": url, **port} for port in service["ports"] for url in ("0.0.0.0", "::")]  # noqa: S104
        shown = {"Project": given.project_name, "Service": name, "State": "running", "Publishers": publishers or None}
        if service["running"]:
            print(f"id-of-{name}" if asked.quiet else json.dumps(shown))


def logs(_state: State, given: argparse.Namespace, rest: list[str]) -> None:
    parser = Parser()
    parser.add_argument("--no-color", action="store_true")
    parser.add_argument("--tail", "-n")
    parser.parse_args(rest)
    print(f"web-1  | the reason is in the log of {given.project_name}")


def stop(state: State, given: argparse.Namespace, rest: list[str]) -> None:
    Parser().parse_args(rest)
    for service in state["projects"].get(given.project_name, {}).values():
        service["running"] = False


def start(state: State, given: argparse.Namespace, rest: list[str]) -> None:
    Parser().parse_args(rest)
    for service in state["projects"].get(given.project_name, {}).values():
        service["running"] = True


def down(state: State, given: argparse.Namespace, rest: list[str]) -> None:
    parser = Parser()
    parser.add_argument("--volumes", "-v", action="store_true")
    parser.add_argument("--remove-orphans", action="store_true")
    parser.add_argument("--rmi", choices=("local", "all"))
    asked = parser.parse_args(rest)
    name = given.project_name
    state["projects"].pop(name, None)
    if asked.rmi:
        state["images"] = [image for image in state["images"] if not image.startswith(f"{name}-")]
    if asked.volumes:
        for volume in [each for each, labels in state["volumes"].items() if labels.get(PROJECT_LABEL) == name]:
            del state["volumes"][volume]
            shutil.rmtree(ROOT / "volumes" / volume)


def add_volume(state: State, name: str, labels: dict[str, str]) -> None:
    state["volumes"].setdefault(name, labels)
    (ROOT / "volumes" / name).mkdir(parents=True, exist_ok=True)


def volume(state: State, arguments: list[str]) -> None:
    parser = Parser()
    if arguments[0] == "create":
        parser.add_argument("--label", action="append", default=[])
        parser.add_argument("name")
        asked = parser.parse_args(arguments[1:])
        add_volume(state, asked.name, dict(label.split("=", 1) for label in asked.label))
        print(asked.name)
    elif arguments[0] == "ls":
        parser.add_argument("--filter")
        parser.add_argument("--format")
        asked = parser.parse_args(arguments[1:])
        key, _, wanted = asked.filter.removeprefix("label=").partition("=")
        (label,) = re.fullmatch(r'\{\{\.Name\}\}\t\{\{\.Label "([^"]+)"\}\}', asked.format).groups()  # type: ignore[union-attr]
        for name, labels in state["volumes"].items():
            if labels.get(key) == wanted:
                print(f"{name}\t{labels.get(label, '')}")
    else:
        fail(f"unknown command: docker volume {arguments[0]}")


def list_containers(state: State, arguments: list[str]) -> None:
    parser = Parser()
    for flag in ("--all", "--quiet"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--filter")
    asked = parser.parse_args(arguments)
    pattern = asked.filter.removeprefix("name=")
    print("\n".join(name for name in state["helpers"] if re.search(pattern, name)))


def remove_containers(state: State, arguments: list[str]) -> None:
    parser = Parser()
    parser.add_argument("--force", "-f", action="store_true")
    parser.add_argument("names", nargs="+")
    asked = parser.parse_args(arguments)
    state["helpers"] = [name for name in state["helpers"] if name not in asked.names]


def run(state: State, arguments: list[str]) -> None:
    parser = Parser()
    parser.add_argument("--rm", action="store_true")
    parser.add_argument("--name")
    parser.add_argument("--network")
    parser.add_argument("--mount", action="append", default=[])
    parser.add_argument("image")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args(arguments)
    folders = {}
    for mount in asked.mount:
        options = dict(part.partition("=")[::2] for part in mount.split(","))
        if options["type"] != "volume" or options["src"] not in state["volumes"]:
            fail(f"invalid mount {mount}", 125)
        folders[options["dst"]] = str(ROOT / "volumes" / options["src"])
    if asked.name in state["helpers"]:
        fail(f'Conflict. The container name "/{asked.name}" is already in use', 125)
    # The command really runs, on the folders that stand for the volumes.
    sys.exit(subprocess.run([folders.get(each, each) for each in asked.command], check=False).returncode)


SUBCOMMANDS = {
    "config": config,
    "build": build,
    "up": up,
    "ps": ps,
    "logs": logs,
    "stop": stop,
    "start": start,
    "down": down,
}
COMMANDS = {"compose": compose, "volume": volume, "ps": list_containers, "rm": remove_containers, "run": run}

if __name__ == "__main__":
    main(sys.argv[1:])
