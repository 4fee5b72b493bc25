"""Which branch names can be mirrored. Pure."""

import re
from functools import lru_cache
from typing import Final

# A component becomes a file name: 255 bytes, of which git's lock file takes ".lock".
LONGEST_COMPONENT: Final = 250
LONGEST_NAME: Final = 1000
_REMEMBERED: Final = 50_000
_FORBIDDEN: Final = re.compile(rb"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")


def is_legal(name: bytes) -> bool:
    """Whether git itself would take `refs/heads/<name>`, by the rules of git-check-ref-format."""
    if not name or _FORBIDDEN.search(name) or name.startswith(b"/") or name.endswith((b"/", b".")):
        return False
    return not any(part.startswith(b".") or part.endswith(b".lock") for part in name.split(b"/"))


@lru_cache(_REMEMBERED)
def branch_name(name: bytes) -> str | None:
    """The name as text; None when it cannot be mirrored: illegal, not UTF-8, or too long for a file."""
    if not is_legal(name) or len(name) > LONGEST_NAME:
        return None
    if any(len(part) > LONGEST_COMPONENT for part in name.split(b"/")):
        return None
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return None


def parents_of(name: str) -> tuple[str, ...]:
    """`a/b/c` -> `a`, `a/b`: the names that may not exist beside it."""
    parts = name.split("/")
    return tuple("/".join(parts[:end]) for end in range(1, len(parts)))
