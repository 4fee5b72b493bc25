r"""Git's objects as values, read from the bytes that git keeps. Pure.

Names, messages and paths may hold any bytes. What is not UTF-8 is shown as `\xe9`, so that two paths stay two; a
commit that names another encoding is read in that one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, Literal

from tieline.core.errors import GitFailed

Kind = Literal["commit", "tree", "blob", "tag"]

_INFO: Final = re.compile(rb"[0-9a-f]{40} (commit|tree|blob|tag) ([0-9]+)\Z")
_SIGNATURE: Final = re.compile(rb"([^<]*)<([^>]*)>[^\n]*?(?: (-?[0-9]{1,18}) ([+-][0-9]{4}))?\Z")
# Those that commits are written in. Python knows more, some of which take ages to decode.
_ENCODINGS: Final = re.compile(
    r"(iso-?8859-|latin-?|windows-|cp)[0-9]{1,4}|koi8-[ru]|shift_jis|euc-(jp|kr)|gb[0-9k]+|big5"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHA_BYTES: Final = 20
_KIND_OF_MODE: Final[dict[str, Kind]] = {"040000": "tree", "160000": "commit"}


@dataclass(frozen=True)
class ObjectInfo:
    """What an object is, and how many bytes it has."""

    kind: str
    size: int


@dataclass(frozen=True)
class Signature:
    """Who, and when: with the offset from UTC of the place where it was."""

    name: str
    email: str
    date: datetime


@dataclass(frozen=True)
class CommitObject:
    """A commit; `tree` and `parents` are full hashes."""

    author: Signature
    committer: Signature
    message: str
    tree: str
    parents: tuple[str, ...]


@dataclass(frozen=True)
class TreeEntry:
    """One name in a folder. `kind` is `blob`, `tree`, or `commit` for a submodule."""

    name: str
    mode: str
    kind: Kind
    sha: str


def text_of(content: bytes, encoding: str = "") -> str:
    """Bytes as text, in the encoding that a commit names if they are not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        if _ENCODINGS.fullmatch(encoding.lower()):
            return _decoded(content, encoding)
        return content.decode(errors="backslashreplace")


def _decoded(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding, "replace")
    except LookupError:
        return content.decode(errors="backslashreplace")


def parse_info(line: bytes) -> ObjectInfo | None:
    """What `cat-file` says of an object; None when there is none."""
    if line.endswith(b" missing"):
        return None
    match = _INFO.match(line)
    if match is None:
        raise GitFailed(f"git cat-file says {line[:200]!a} of an object.")
    return ObjectInfo(match[1].decode(), int(match[2]))


def parse_commit(content: bytes) -> CommitObject:
    """A commit as git keeps it. What its writer left out or garbled is empty, and the epoch."""
    head, _, message = content.partition(b"\n\n")
    # A line that begins with a space continues the one before: a signature by a key, or a merged tag.
    lines = [line.partition(b" ") for line in head.split(b"\n") if not line.startswith(b" ")]
    first = {key: value for key, _, value in reversed(lines)}
    encoding = first.get(b"encoding", b"").decode("ascii", "replace")
    return CommitObject(
        author=_parse_signature(first.get(b"author", b""), encoding),
        committer=_parse_signature(first.get(b"committer", b""), encoding),
        message=text_of(message, encoding),
        tree=first.get(b"tree", b"").decode("ascii", "replace"),
        parents=tuple(value.decode("ascii", "replace") for key, _, value in lines if key == b"parent"),
    )


def _parse_signature(line: bytes, encoding: str) -> Signature:
    match = _SIGNATURE.match(line)
    if match is None:
        return Signature(text_of(line, encoding), "", _EPOCH)
    name, email, seconds, offset = match.groups()
    date = _moment(int(seconds), offset.decode()) if seconds else _EPOCH
    return Signature(text_of(name.strip(), encoding), text_of(email, encoding), date)


def _moment(seconds: int, offset: str) -> datetime:
    """An instant as its writer's clock showed it; the epoch when no calendar has it."""
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    try:
        zone = timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
        return (_EPOCH + timedelta(seconds=seconds)).astimezone(zone)
    except (OverflowError, ValueError):
        return _EPOCH


def parse_tree(content: bytes) -> tuple[TreeEntry, ...]:
    """A tree as git keeps it, in git's order. Raises `GitFailed` for what is none."""
    return tuple(_entries(content))


def _entries(content: bytes) -> Iterator[TreeEntry]:
    at = 0
    while at < len(content):
        space = content.find(b" ", at)
        end = content.find(b"\0", space)
        sha = content[end + 1 : end + 1 + _SHA_BYTES]
        if space < 0 or end < 0 or len(sha) < _SHA_BYTES:
            raise GitFailed("A tree in the repository is damaged.")
        mode = _canonical(content[at:space])
        yield TreeEntry(text_of(content[space + 1 : end]), mode, _KIND_OF_MODE.get(mode, "blob"), sha.hex())
        at = end + 1 + _SHA_BYTES


def _canonical(mode: bytes) -> str:
    """One of the five modes that git has today; old programs wrote others, such as 100664."""
    try:
        bits = int(mode, 8)
    except ValueError as error:
        raise GitFailed("A tree in the repository is damaged.") from error
    match bits & 0o170000:
        case 0o100000:
            return "100755" if bits & 0o100 else "100644"
        case 0o120000:
            return "120000"
        case 0o040000:
            return "040000"
        case _:
            return "160000"
