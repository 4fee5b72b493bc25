"""Which git this machine has."""

import re
from typing import Final

from tieline.core.errors import Unavailable
from tieline.git.command import NOT_FOUND, Command, run_for_status

OLDEST: Final = (2, 39)


async def git_version() -> str:
    """The version, e.g. `2.39.5`. Raises `Unavailable` when git is missing or older than 2.39."""
    status, output, _ = await run_for_status(Command(("version",), seconds=10))
    if status == NOT_FOUND:
        raise Unavailable("git is not installed; Tieline needs git 2.39 or later.")
    return check_version(output.decode(errors="replace"))


def check_version(output: str) -> str:
    """The version in what `git version` printed. Raises `Unavailable` when it is too old or unreadable."""
    match = re.search(r"(\d+)\.(\d+)(?:\.\d+)*", output)
    if match is None or (int(match[1]), int(match[2])) < OLDEST:
        raise Unavailable(f"Tieline needs git 2.39 or later; this machine says {output.strip()!r}.")
    return match[0]
