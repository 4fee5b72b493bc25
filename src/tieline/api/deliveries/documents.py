"""Documents of deliveries and of those who get them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final

from tieline.api.documents import integration_path
from tieline.core.clock import iso
from tieline.core.deliveries import Receiver
from tieline.core.documents import JSON, Integration
from tieline.core.redact import Redactor
from tieline.core.secret import MASK
from tieline.store.backlog import Backlog
from tieline.store.history import PastAttempt, PastDelivery

ENDED: Final = ("delivered", "failed")
_AUTHENTICATING: Final = frozenset({"authorization", "proxy-authorization", "cookie"})


@dataclass(frozen=True)
class DeliveryWriter:
    """Writes what happened to one integration's deliveries, for clients that reach this server at `public_url`."""

    public_url: str
    integration: Integration = field(repr=False)

    @property
    def _path(self) -> str:
        return integration_path(self.integration.project_id, self.integration.id)

    @cached_property
    def _redactor(self) -> Redactor:
        """What came from outside may repeat what it was told."""
        return Redactor(self.integration.secrets.values())

    def _self(self, path: str) -> JSON:
        return _link(self.public_url.rstrip("/") + path)

    def delivery(self, past: PastDelivery) -> JSON:
        """A delivery as lists have it."""
        return {
            "id": str(past.id),
            "created_at": iso(past.created_at),
            "kind": past.kind,
            "state": past.state,
            "activity": _cause(past),
            "environment": past.environment_id,
            "build_status": past.payload,
            "attempt_count": past.tries,
            "next_attempt_at": iso(past.due_at),
            "finished_at": iso(past.finished_at),
            "last_error": None if past.last_error is None else self._redactor.text(past.last_error),
            "own_activity": past.activity_id,
            "_links": self._delivery_links(past),
        }

    def _delivery_links(self, past: PastDelivery) -> JSON:
        path = f"{self._path}/deliveries/{past.id}"
        activities = f"/api/projects/{past.project_id}/activities"
        return {
            "self": self._self(path),
            **({"activity": _link(f"{activities}/{past.cause_id}")} if past.cause_id else {}),
            **({"own_activity": _link(f"{activities}/{past.activity_id}")} if past.activity_id else {}),
            **({"log": _link(f"{activities}/{past.activity_id}/log")} if past.activity_id else {}),
            **({"#replay": _link(f"{path}/replay")} if past.state in ENDED else {}),
        }

    def delivery_in_full(self, past: PastDelivery, attempts: Sequence[PastAttempt], body: bytes | None) -> JSON:
        """A delivery with its attempts and what is sent."""
        return {
            **self.delivery(past),
            "attempts": [_render_attempt(each, self._redactor) for each in attempts],
            "request": None if body is None else {"body": body.decode(errors="replace")},
        }

    def receiver(self, receiver: Receiver, backlog: Backlog, now: datetime, *, is_sink: bool) -> JSON:
        """How it stands with the integration; whoever may be paused has links to do so."""
        is_paused = receiver.paused_at is not None
        is_open = receiver.closed_until is not None and receiver.closed_until > now
        orders = [*(["resume"] if is_paused or receiver.failures else []), *([] if is_paused else ["pause"])]
        return {
            "paused": is_paused,
            "paused_at": iso(receiver.paused_at),
            "paused_because": receiver.paused_because,
            "failures": receiver.failures,
            "failing_since": iso(receiver.failing_since),
            "breaker_open_until": iso(receiver.closed_until) if is_open else None,
            "deliveries": dict(backlog.counts),
            "counts_are_complete": backlog.is_complete,
            "_links": {
                "self": self._self(f"{self._path}/receiver"),
                "deliveries": _link(f"{self._path}/deliveries"),
                "#replay": _link(f"{self._path}/deliveries/replay"),
                **({f"#{each}": _link(f"{self._path}/{each}") for each in orders} if is_sink else {}),
            },
        }


def _link(href: str) -> JSON:
    return {"href": href}


def _cause(past: PastDelivery) -> JSON | None:
    if past.cause_id is None:
        return None
    return {"id": past.cause_id, "type": past.cause_type, "state": past.cause_state, "result": past.cause_result}


def _render_attempt(attempt: PastAttempt, redactor: Redactor) -> JSON:
    return {
        "number": attempt.number,
        "started_at": iso(attempt.started_at),
        "seconds": round(attempt.seconds, 3),
        "verdict": attempt.verdict,
        "sentence": redactor.text(attempt.sentence),
        "error_class": attempt.error,
        "status": attempt.status,
        "address": attempt.address or None,
        "request": None if attempt.request is None else _render_request(attempt.request, redactor),
        "answer": redactor.text(attempt.answer.decode(errors="replace")),
    }


def _render_request(request: Mapping[str, object], redactor: Redactor) -> JSON:
    headers = request["headers"]
    assert isinstance(headers, dict)  # noqa: S101 - as `SentRequest` has them
    return {
        "method": request["method"],
        "url": redactor.text(str(request["url"])),
        "headers": {
            name: MASK if name.lower() in _AUTHENTICATING else redactor.text(value) for name, value in headers.items()
        },
    }
