"""Every error Tieline raises on purpose.

TielineError
├── Invalid               the caller's input is wrong; carries field -> sentence
├── Denied
│   ├── Unauthenticated   no usable credentials came with the request
│   └── Forbidden         the caller may see this, but not do that
├── NotFound              there is no such thing, or the caller may not know of it
├── Conflict              the request contradicts the present state
├── TooLarge              a body beyond its limit
├── Unavailable           a part of Tieline itself is not ready (database, disk)
│   └── DatabaseAway      no connection to the database could be had in time
├── RemoteError           something outside answered wrongly, or not at all
│   ├── Unreachable       no answer: DNS, connection, TLS, time limit
│   ├── EgressRefused     the address is not one that Tieline may call
│   ├── CredentialsRefused  401 or 403: a person must act
│   ├── RemoteNotFound    404, or a repository that is gone
│   ├── RemoteMoved       a redirect: the thing has a new name
│   ├── RateLimited       carries the moment from which to try again
│   ├── RemoteRejected    another 4xx: the request itself is not accepted
│   └── RemoteBroken      5xx, or an answer that is not what the host documents
├── GitFailed             the git binary ended with an error
├── DeployFailed          the deployer said no
└── Cancelled             a person asked for an end
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

Silence = Literal["dns", "connection", "tls", "certificate", "timeout", "closed"]


class TielineError(Exception):
    """Base of every error raised on purpose. `str(error)` is a sentence fit for a person."""


class Invalid(TielineError):
    """The input is wrong. `detail` maps each dotted field name to one sentence."""

    def __init__(self, detail: Mapping[str, str], message: str = "The request is invalid.") -> None:
        super().__init__(message)
        self.detail = dict(detail)


class Denied(TielineError):
    """The caller may not."""


class Unauthenticated(Denied):
    """No usable credentials came with the request."""


class Forbidden(Denied):
    """The caller is known, but this needs another role."""


class NotFound(TielineError):
    """There is no such thing here, or the caller may not know of it."""


class Conflict(TielineError):
    """The request contradicts the present state."""


class TooLarge(TielineError):
    """A body is larger than its limit."""


class Unavailable(TielineError):
    """A part of Tieline itself is not ready."""


class DatabaseAway(Unavailable):
    """No connection to the database could be had in time: it is down, or every connection is in use."""


class RemoteError(TielineError):
    """Something outside answered wrongly, or not at all. `address` is the one that was dialled, where there was one."""

    address: str = ""


class Unreachable(RemoteError):
    """No answer came. `reason` says what failed: `timeout` is the time limit, `closed` a connection that broke off."""

    def __init__(self, message: str, reason: Silence = "connection") -> None:
        super().__init__(message)
        self.reason = reason


class EgressRefused(RemoteError):
    """The address is not one that Tieline may call; `TIELINE_EGRESS_ALLOW` names exceptions."""


class CredentialsRefused(RemoteError):
    """The host answered 401 or 403. `status` tells which: 401 credentials, 403 rights."""

    def __init__(self, message: str, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


class RemoteNotFound(RemoteError):
    """The host says there is no such thing, or hides it from these credentials."""


class RemoteMoved(RemoteError):
    """The host answered with a redirect."""

    def __init__(self, message: str, location: str | None = None) -> None:
        super().__init__(message)
        self.location = location


class RateLimited(RemoteError):
    """The host, or our own limiter for its sake, asks to wait until `until` (UTC)."""

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class RemoteRejected(RemoteError):
    """The host understood the request and does not accept it (a 4xx of no other class)."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class RemoteBroken(RemoteError):
    """The host answered 5xx, or something that it does not document."""


class GitFailed(TielineError):
    """git ended with an error. The message carries its redacted stderr."""


class DeployFailed(TielineError):
    """The deployer refused or failed. `exit_status` is None when it was killed."""

    def __init__(self, message: str, exit_status: int | None = None) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class Cancelled(TielineError):
    """A person asked for an end while it ran."""
