"""What Git hosts have in common: the fields of every Git source, and how repositories are called. Pure."""

import re
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from tieline.core.documents import JSON
from tieline.integrations.fields import OUR_CHOICE, SENT_BY_CLI, IntegrationFields, Needs

_LONGEST: Final = 500
# A root becomes part of an expression, which takes as long to build as it is.
_LONGEST_ROOT: Final = 1000
_PART: Final = re.compile(r"[^/\s\x00-\x1f\x7f-\x9f?#%\\:@]+\Z")
_PARTS: Final = 2


class GitFields(IntegrationFields):
    """The fields of every Git source."""

    fetch_branches: Annotated[bool, SENT_BY_CLI] = True
    """Whether every branch is mirrored and becomes an environment."""

    prune_branches: Annotated[bool, Needs("fetch_branches"), SENT_BY_CLI] = True
    """Whether environments are removed when their branch is gone at the host (requires `fetch_branches`)."""

    environment_init_resources: Annotated[Literal["default", "manual", "minimum", "parent"], OUR_CHOICE] = "default"
    """The resources that the services of a new environment start with."""


def is_part(name: str) -> bool:
    """Whether this can be one part of a repository's path: it stays one when it is put into an address."""
    return len(name) <= _LONGEST and _PART.match(name) is not None and name not in (".", "..")


def is_repository(name: str) -> bool:
    """Whether this is `user/repo`. Neither part is judged but by `is_part`."""
    return is_nested_repository(name) and name.count("/") + 1 == _PARTS


def is_nested_repository(name: str) -> bool:
    """Whether this is `namespace/repo`, where a namespace may have parts of its own."""
    parts = name.split("/")
    return len(name) <= _LONGEST and len(parts) >= _PARTS and all(is_part(part) for part in parts)


def shorten(body: JSON, name: str, *roots: object) -> JSON:
    """The body with a repository as a path, where it was given by its address at one of the `roots`.

    A root is the URL of a host; what is none, or is longer than any, is passed over. The vendor's command line puts a
    slash before a path.
    """
    given = body.get(name)
    if not isinstance(given, str):
        return body
    for root in roots:
        given = _without_root(given, root) if isinstance(root, str) and len(root) <= _LONGEST_ROOT else given
    return body | {name: given.strip("/").removesuffix(".git")}


def _without_root(address: str, root: str) -> str:
    try:
        parts = urlsplit(root)
    except ValueError:
        return address
    if not parts.hostname:
        return address
    site = re.escape(parts.netloc.rpartition("@")[2] + parts.path.rstrip("/"))
    web = rf"https?://(?:[^/@]*@)?(?:www\.)?{site}/"
    ssh = rf"(?:ssh://)?git@{re.escape(parts.hostname)}(?::\d+(?=/))?[:/]"
    return re.sub(rf"\A(?:{web}|{ssh})", "", address, count=1, flags=re.IGNORECASE)
