"""What git's complaints mean. Pure; git runs under LC_ALL=C, so its sentences are the same everywhere."""

import re
from datetime import timedelta
from typing import Final

from tieline.core.clock import now
from tieline.core.errors import (
    CredentialsRefused,
    GitFailed,
    RateLimited,
    RemoteBroken,
    RemoteError,
    RemoteMoved,
    RemoteNotFound,
    Silence,
    TielineError,
    Unavailable,
    Unreachable,
)

HTTP_TOO_MANY: Final = 429
WAIT_SECONDS: Final = 60
_LONGEST: Final = 2000
_STATUS: Final = re.compile(r"The requested URL returned error: (\d{3})")
_UNAUTHENTICATED: Final = re.compile(r"could not read (?:Username|Password)|Authentication failed|Invalid credentials")
_NOT_FOUND: Final = re.compile(
    r"repository '[^']*' not found|[Rr]epository not found|couldn't find remote ref|Remote branch .* not found"
)
_NOT_OURS: Final = re.compile(r"not our ref|unadvertised object|did not send all necessary objects")
_OUT_OF_MEMORY: Final = re.compile(r"[Oo]ut of memory|(?:malloc|realloc|mmap) failed")
# What this machine lacks, in the words of the C library.
_TROUBLE_HERE: Final = re.compile(
    r"^(?!remote:).*(No space left on device|Disk quota exceeded|Read-only file system|Permission denied|"
    r"Input/output error|Too many open files|Cannot allocate memory|Not a directory)",
    re.MULTILINE,
)
_UNREACHABLE: Final = re.compile(
    r"Could not resolve|[Cc]ouldn't connect|Failed to connect|Connection (?:refused|reset|timed out)|timed out|"
    r"Operation too slow|SSL|TLS|certificate|gnutls|Empty reply|Recv failure|Send failure|unable to access"
)
_SILENCES: Final[tuple[tuple[re.Pattern[str], Silence], ...]] = (
    (re.compile(r"Could not resolve"), "dns"),
    (re.compile(r"certificate"), "certificate"),
    (re.compile(r"SSL|TLS|gnutls"), "tls"),
    (re.compile(r"timed out|Operation too slow"), "timeout"),
    (re.compile(r"Connection reset|Empty reply|Recv failure|Send failure"), "closed"),
)
_QUOTED: Final = re.compile(r"'[^']*'")
_BROKEN: Final = re.compile(
    r"RPC failed|early EOF|unexpected disconnect|the remote end hung up|bad line length|protocol error|"
    r"expected flush|invalid server response|not valid: is this a git repository|is this a git repository|"
    r"index-pack|fsck error|bad object|invalid ls-refs response|unpack-objects"
)


def explain(subcommand: str, status: int, complaint: str) -> TielineError:
    """The error that a failed run amounts to. `complaint` is git's stderr, already redacted."""
    said = _in_short(complaint)
    if (match := _TROUBLE_HERE.search(complaint)) is not None:
        return storage_trouble(match[1])
    if (match := _STATUS.search(complaint)) is not None:
        return error_of_status(int(match[1]), said)
    if _UNAUTHENTICATED.search(complaint):
        return CredentialsRefused(f"The Git host refused the credentials: {said}", 401)
    if _NOT_FOUND.search(complaint):
        return RemoteNotFound(f"The Git host has no such repository or branch: {said}")
    if _UNREACHABLE.search(complaint):
        return Unreachable(f"The Git host cannot be reached: {said}", _silence(complaint))
    if _BROKEN.search(complaint):
        return RemoteBroken(f"The Git host's answer cannot be used: {said}")
    return GitFailed(f"git {subcommand} ended with status {status}: {said or 'it gave no reason'}")


def _silence(complaint: str) -> Silence:
    # What is quoted is a URL, which may have any word in it.
    said = _QUOTED.sub("", complaint)
    return next((reason for pattern, reason in _SILENCES if pattern.search(said)), "connection")


def storage_trouble(reason: str | None) -> Unavailable:
    """The error for a disk of ours that does not do what it should; paths are the operator's business."""
    return Unavailable(
        f"This server cannot store the repository: {reason or 'the disk failed'}. Its operator has to look at the data "
        "folder: its permissions, and the space that is left."
    )


def is_vanished_object(error: TielineError) -> bool:
    """Whether a commit that was asked for by its hash is no longer to be had."""
    return _NOT_OURS.search(str(error)) is not None


def is_out_of_memory(error: TielineError) -> bool:
    """Whether git reached the limit that it was given."""
    return _OUT_OF_MEMORY.search(str(error)) is not None


def error_of_status(status: int, said: str) -> RemoteError:
    """The error that an HTTP status other than 200 amounts to."""
    if status in (401, 403):
        return CredentialsRefused(f"The Git host refused access ({status}): {said}", status)
    if status in (404, 410):
        return RemoteNotFound(f"The Git host has no such repository ({status}): {said}")
    if status in range(300, 400):
        return RemoteMoved(f"The Git host redirects, so the repository has a new address ({status}): {said}")
    if status == HTTP_TOO_MANY:
        return RateLimited(f"The Git host asks to wait ({status}): {said}", now() + timedelta(seconds=WAIT_SECONDS))
    return RemoteBroken(f"The Git host answered with an error ({status}): {said}")


def _in_short(complaint: str) -> str:
    """The lines that matter, without progress and advice."""
    lines = [line.strip() for line in complaint.replace("\r", "\n").splitlines()]
    told = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))] or lines
    return "; ".join(line for line in told if line)[:_LONGEST]
