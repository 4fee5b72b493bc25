"""Identifiers, and the names that are derived from branches.

All functions are pure but those that make up new ids. Widths: ids are 13 characters, those of organizations 26; an
environment id is at most 40, so that `{machine_name}-{project}` still fits a DNS label of 63 octets.
"""

import base64
import hashlib
import re
import secrets
import unicodedata
from collections.abc import Collection
from typing import Final

ID_LENGTH: Final = 13
HASH_LENGTH: Final = 7
SLUG_LENGTH: Final = 32
_ALPHABET: Final = b"abcdefghijklmnopqrstuvwxyz234567"
# A character for each of 256 random bytes, none more often than the others.
_CHARACTER_OF: Final = _ALPHABET * 8
_PULL_SHAPED: Final = re.compile(r"(?:pr|mr)-\d+\Z")


def new_id() -> str:
    """A random id of 13 lower-case base32 characters, as the Upsun API has them."""
    return secrets.token_bytes(ID_LENGTH).translate(_CHARACTER_OF).decode()


def new_organization_id() -> str:
    """A random id of 26 characters in the form of a ULID: the vendor's command line takes any other for a name."""
    return "0" + secrets.token_hex(13)[1:].upper()


def short_hash(*parts: str, length: int = HASH_LENGTH) -> str:
    """A stable base32 hash of the parts, fit for DNS labels."""
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).digest()
    return base64.b32encode(digest).decode().lower()[:length]


def slug(name: str) -> str:
    """ASCII letters, digits and single hyphens; empty when nothing of the name survives."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def environment_id(branch: str, taken: Collection[str]) -> str:
    """The id of a branch's environment: its slug, or slug and hash where that alone would not do.

    A hash of the full branch name is added when the slug is taken, cut, empty or shaped like the id of a
    pull request, so two branches never share an id however alike their names are.
    """
    plain = slug(branch)
    if plain and len(plain) <= SLUG_LENGTH and plain not in taken and not _PULL_SHAPED.match(plain):
        return plain
    stem = plain[:SLUG_LENGTH].strip("-") or "branch"
    length = HASH_LENGTH
    while (candidate := f"{stem}-{short_hash(branch, length=length)}") in taken:
        stem, length = stem[: len(stem) - 1] or "b", length + 1
    return candidate


def pull_environment_id(number: int) -> str:
    """`pr-<n>`, as the vendor names them."""
    return f"pr-{number}"


def machine_name(project_id: str, environment: str) -> str:
    """The environment id with a 7-character hash: at most 48 characters, stable for ever."""
    return f"{environment}-{short_hash(project_id, environment)}"


def status_key(project_id: str, environment: str) -> str:
    """A build status key: 38 characters (Bitbucket Cloud refuses more than 40), stable per environment."""
    return "tieline-" + hashlib.sha256(f"{project_id}\0{environment}".encode()).hexdigest()[:30]
