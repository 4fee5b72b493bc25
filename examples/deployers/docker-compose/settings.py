"""What the operator sets, in environment variables. README.md lists them."""

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class Refused(Exception):
    """Something cannot be done. The text is for the person who reads the activity log."""


@dataclass(frozen=True)
class Settings:
    """`root` is where trees are kept while they run, `host` the host name in URLs, `image` has sh, find and cp."""

    root: Path
    host: str
    wait_seconds: int
    image: str


def read_settings(variables: Mapping[str, str] = os.environ) -> Settings:
    """Raises `Refused` when one of them cannot be meant."""
    root = Path(variables.get("DEPLOYER_ROOT") or _default_root())
    if not root.is_absolute():
        raise Refused(f"DEPLOYER_ROOT is {root}; write the whole path, beginning with a slash.")
    seconds = variables.get("DEPLOYER_WAIT_SECONDS") or "300"
    if not (seconds.isascii() and seconds.isdecimal() and int(seconds) > 0):
        raise Refused(f"DEPLOYER_WAIT_SECONDS is {seconds!r}; write a number of seconds.")
    return Settings(
        root=root,
        host=variables.get("DEPLOYER_HOST") or "localhost",
        wait_seconds=int(seconds),
        image=variables.get("DEPLOYER_COPY_IMAGE") or "busybox:stable",
    )


def _default_root() -> Path:
    # Not $HOME: Tieline gives each action an empty one.
    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise Refused("This user has no home folder, so set DEPLOYER_ROOT to where trees are to be kept.") from None
    return Path(home, ".local/state/tieline/docker-compose")
