"""Read the list of refs that a Git host advertises over smart HTTP. Pure.

`git ls-remote` falls back to the dumb protocol for any answer it does not know, so a maintenance page with
status 200 is a repository without refs to it. Here the content type, the service line, every length and the
final flush must be right, or the listing proves nothing and `RemoteBroken` is raised.
Format: gitprotocol-http(5) and gitprotocol-pack(5), version 0.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from tieline.core.errors import RemoteBroken, RemoteNotFound
from tieline.git.names import branch_name

CONTENT_TYPE: Final = "application/x-git-upload-pack-advertisement"
_SERVICE: Final = b"# service=git-upload-pack"
_HEADS: Final = b"refs/heads/"
_REF: Final = re.compile(rb"([0-9a-f]{40}) (\S.*)\Z", re.DOTALL)
_LENGTH: Final = re.compile(rb"[0-9a-fA-F]{4}\Z")
_NO_REFS: Final = b"capabilities^{}"
_FLUSH: Final = b""


@dataclass(frozen=True)
class RemoteRefs:
    """The branches of a remote repository, from one complete and valid listing.

    `heads` maps each branch to its commit and is empty for an empty repository. `skipped` are branches whose
    names cannot be mirrored. `default_branch` is None when the host does not say.
    """

    default_branch: str | None
    heads: dict[str, str] = field(default_factory=dict)
    skipped: tuple[bytes, ...] = ()


def parse_advertisement(content_type: str, body: bytes) -> RemoteRefs:
    """Raises `RemoteBroken` for anything but a whole advertisement, `RemoteNotFound` for a refusal in it."""
    if content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
        kind = content_type[:80] or "no content type"
        raise RemoteBroken(f"The Git host answered with {kind} instead of a list of branches.")
    packets = list(_packets(body))
    if packets[:2] == [_SERVICE, _FLUSH]:
        packets = packets[2:]
    if not packets or packets[-1] is not _FLUSH:
        raise RemoteBroken("The Git host's list of branches ends too early.")
    return _refs(packets[:-1])


def _packets(body: bytes) -> Iterator[bytes]:
    """Each packet without its length and newline; a flush packet is `_FLUSH` itself."""
    at = 0
    while at < len(body):
        prefix = body[at : at + 4]
        if not _LENGTH.match(prefix):
            raise RemoteBroken("The Git host's list of branches is malformed.")
        length = int(prefix, 16)
        if length == 0:
            yield _FLUSH
            at += 4
            continue
        packet = body[at + 4 : at + length]
        if len(packet) != length - 4 or not packet:
            raise RemoteBroken("The Git host's list of branches ends too early.")
        yield packet.removesuffix(b"\n")
        at += length


def _refs(packets: list[bytes]) -> RemoteRefs:
    _refuse_error(packets)
    heads: dict[str, str] = {}
    skipped: list[bytes] = []
    for sha, ref in map(_sha_and_ref, _ref_lines(packets)):
        if not ref.startswith(_HEADS):
            continue
        name = branch_name(ref.removeprefix(_HEADS))
        if name is None:
            skipped.append(ref.removeprefix(_HEADS))
        else:
            heads[name] = sha.decode()
    return RemoteRefs(_default_branch(packets), heads, tuple(skipped))


def _refuse_error(packets: list[bytes]) -> None:
    for packet in packets:
        if packet.startswith(b"ERR "):
            raise RemoteNotFound(f"The Git host said: {packet[4:].decode(errors='replace').strip()[:500]}")
    if b"object-format=sha256" in _capabilities(packets):
        raise RemoteBroken("The repository uses SHA-256 object names, which Tieline does not mirror.")


def _ref_lines(packets: list[bytes]) -> Iterator[bytes]:
    for packet in packets:
        line = packet.partition(b"\0")[0]
        if not line.endswith(b" " + _NO_REFS) and not line.startswith(b"shallow "):
            yield line


def _sha_and_ref(line: bytes) -> tuple[bytes, bytes]:
    match = _REF.match(line)
    if match is None:
        raise RemoteBroken("The Git host's list of branches is malformed.")
    return match[1], match[2]


def _capabilities(packets: list[bytes]) -> list[bytes]:
    return packets[0].partition(b"\0")[2].split() if packets else []


def _default_branch(packets: list[bytes]) -> str | None:
    for capability in _capabilities(packets):
        if capability.startswith(b"symref=HEAD:" + _HEADS):
            return branch_name(capability.removeprefix(b"symref=HEAD:" + _HEADS))
    return None
