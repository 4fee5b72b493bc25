"""Calls the docker command line."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from settings import Refused

_MACHINE_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_FILE_NAMES: Final = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def run(*arguments: str, variables: Mapping[str, str] | None = None) -> None:
    """What docker prints goes into the activity log. Raises `Refused` when it fails."""
    sys.stdout.flush()
    _call(arguments, None, variables)


def read(*arguments: str, variables: Mapping[str, str] | None = None) -> str:
    """What docker prints on standard output. Raises `Refused` when it fails."""
    return _call(arguments, subprocess.PIPE, variables)


def _call(arguments: tuple[str, ...], stdout: int | None, variables: Mapping[str, str] | None) -> str:
    # Nobody is there to confirm anything: without input, Compose takes a no to deleting data for granted.
    try:
        done = subprocess.run(
            ["docker", *arguments],  # noqa: S607 - the one on the operator's PATH
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            env={**os.environ, **(variables or {})},
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise Refused("There is no docker on the PATH.") from None
    if done.returncode != 0:
        raise Refused(f"{shlex.join(['docker', *arguments])} ended with exit status {done.returncode}.")
    return done.stdout or ""


@dataclass(frozen=True)
class Project:
    """A compose project, named for the environment and for nothing else."""

    name: str

    def __post_init__(self) -> None:
        if not _MACHINE_NAME.fullmatch(self.name):
            raise Refused(f"{self.name!r} is no machine_name.")

    def command(self, *arguments: str) -> list[str]:
        """On what runs under this name, whatever file it came from."""
        return ["compose", "--ansi", "never", "--progress", "plain", "--project-name", self.name, *arguments]

    def command_in(self, tree: Path, *arguments: str) -> list[str]:
        """On the compose file of a tree. Raises `Refused` when there is none."""
        # The file is named, since Compose would go on looking in the folders above.
        return self.command("--project-directory", str(tree), "--file", str(find_file(tree)), *arguments)


def find_file(tree: Path) -> Path:
    """The compose file at the top of a tree. Raises `Refused` when there is none."""
    for name in _FILE_NAMES:
        if (tree / name).is_file():
            return tree / name
    raise Refused(f"There is no {' or '.join(_FILE_NAMES)} at the top.")
