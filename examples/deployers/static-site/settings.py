"""What the operator sets, in environment variables. README.md lists them."""

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ANY_FREE_PORT: Final = 0
_RANGE: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_HIGHEST_PORT: Final = 65535
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on


class Refused(Exception):
    """Something cannot be done. The text is for the person who reads the activity log."""


@dataclass(frozen=True)
class Settings:
    """Where sites are kept and how they are reached. An empty range of ports leaves the choice to the system."""

    root: Path
    host: str
    ports: range
    name: str

    def url(self, port: int) -> str:
        """Where people find what is served at a port."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"http://{name}:{port}/"


def read_settings(variables: Mapping[str, str] = os.environ) -> Settings:
    """Raises `Refused` when one of them cannot be meant."""
    host = variables.get("STATIC_SITE_HOST") or "127.0.0.1"
    name = variables.get("STATIC_SITE_NAME") or host
    if name in _EVERYWHERE:
        raise Refused(f"With STATIC_SITE_HOST={host}, set STATIC_SITE_NAME to the host name that URLs should have.")
    root = Path(variables.get("STATIC_SITE_ROOT") or _default_root())
    if not root.is_absolute():
        raise Refused(f"STATIC_SITE_ROOT is {root}; write the whole path, beginning with a slash.")
    return Settings(
        root=root,
        host=host,
        ports=_ports(variables.get("STATIC_SITE_PORTS") or "8500-8999"),
        name=name,
    )


def _default_root() -> Path:
    # Not $HOME: Tieline gives each action an empty one.
    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise Refused("This user has no home folder, so set STATIC_SITE_ROOT to where sites are to be kept.") from None
    return Path(home, ".local/state/tieline/static-site")


def _ports(text: str) -> range:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise Refused(f"STATIC_SITE_PORTS is {text!r}; write a range like 8500-8999, or 0 for any free port.")
    first, last = int(match[1]), int(match[2] or match[1])
    if first == last == ANY_FREE_PORT:
        return range(0)
    if not 1 <= first <= last <= _HIGHEST_PORT:
        raise Refused(f"STATIC_SITE_PORTS is {text!r}, which is no range of ports.")
    return range(first, last + 1)
