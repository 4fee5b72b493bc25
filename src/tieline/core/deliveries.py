"""What is delivered to those who want to know, and how an attempt to do so went, in words that fit every receiver."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

import orjson

from tieline.core.documents import JSON
from tieline.core.errors import (
    CredentialsRefused,
    EgressRefused,
    RateLimited,
    RemoteError,
    RemoteNotFound,
    RemoteRejected,
    Unreachable,
)
from tieline.core.frozen import frozen

DeliveryState = Literal["pending", "delivering", "delivered", "waiting", "failed", "held"]
Verdict = Literal["delivered", "retry", "refused", "gone"]

# How much of an answer is kept, in bytes.
KEPT_ANSWER: Final = 16 * 1024


@frozen
class Message:
    """What a receiver is told: an activity in one of its states.

    `id` and `body` (a JSON document in UTF-8) are the same at every attempt; no other message has that id.
    """

    id: str
    body: bytes = field(repr=False)

    def document(self) -> JSON:
        """The body, read."""
        document: JSON = orjson.loads(self.body)
        return document


@frozen
class SentRequest:
    """A request as it went out, without its body, which is the message's."""

    method: str
    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)


@frozen
class Receipt:
    """How one attempt went.

    `verdict` is `delivered`; `retry` where the same may work later; `refused` where it never will; `gone` where the
    receiver asks to be told nothing any more. `sentence` says it to a person. `status` is that of HTTP, `answer` its
    first `KEPT_ANSWER` bytes, `error` the class of what went wrong (`dns`, `connection`, `tls`, `certificate`,
    `timeout`, `closed`, `egress`, `status`, `answer`, `script`, ...), `address` the one that was dialled.
    `retry_after` is how many seconds the receiver asks to wait; an attempt that is not `counted` never reached it.
    """

    verdict: Verdict
    sentence: str
    request: SentRequest | None = None
    status: int | None = None
    answer: bytes = field(default=b"", repr=False)
    error: str | None = None
    address: str = ""
    retry_after: float | None = None
    counted: bool = True


@dataclass(frozen=True)
class Receiver:
    """Where one integration's deliveries go.

    `failures` counts attempts that failed one after the other, since `failing_since`. Nothing is tried before
    `closed_until`. While it is paused, deliveries are held. What was to wait when it was resumed goes out at once.
    """

    integration_id: str
    failures: int = 0
    failing_since: datetime | None = None
    closed_until: datetime | None = None
    paused_at: datetime | None = None
    paused_because: str | None = None
    resumed_at: datetime | None = None


_NEVER: Final = (RemoteNotFound, RemoteRejected)
_CLASSES: Final[tuple[tuple[type[RemoteError], str], ...]] = (
    (EgressRefused, "egress"),
    (CredentialsRefused, "credentials"),
    (RateLimited, "status"),
    (RemoteNotFound, "status"),
    (RemoteRejected, "status"),
)


def receipt_of(error: RemoteError, request: SentRequest | None = None) -> Receipt:
    """The receipt of an attempt that ended with an error instead of an answer. Pure."""
    return Receipt(
        verdict="refused" if isinstance(error, _NEVER) else "retry",
        sentence=str(error),
        request=request,
        error=_class_of(error),
        address=error.address,
    )


def _class_of(error: RemoteError) -> str:
    if isinstance(error, Unreachable):
        return error.reason
    return next((name for kind, name in _CLASSES if isinstance(error, kind)), "answer")
