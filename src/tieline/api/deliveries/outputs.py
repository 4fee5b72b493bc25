"""What clients get to read about deliveries, for the OpenAPI document; `documents` writes it."""

from datetime import datetime
from typing import Any, Literal

from tieline.api.outputs import HAL, Accepted, Output, Plain
from tieline.core.deliveries import DeliveryState, Verdict


class DeliveredActivity(Output):
    id: str
    """The id of the activity, which may be gone by now."""

    type: str | None
    """Its type; null for a build status."""

    state: str | None
    """The state that it had entered; null for a build status."""

    result: str | None
    """The result that it had then; null where it had none."""


class DeliveryDocument(HAL):
    id: str
    """What it is named by in paths."""

    created_at: datetime
    """When it was added."""

    kind: Literal["activity", "commit_status"]
    """What is told: of an activity, or the state of a build to the Git host."""

    state: DeliveryState
    """How far it is: `waiting` for another attempt, `held` while the integration is paused, `failed` when given up."""

    activity: DeliveredActivity | None
    """The activity that is told of."""

    environment: str | None
    """The environment that the activity is about; null where there is none, and for a build status."""

    build_status: dict[str, Any] | None
    """What is said about the commit; null where an activity is told of."""

    attempt_count: int
    """How many attempts there were, those before a replay too."""

    next_attempt_at: datetime | None
    """When it is tried next, unless something before it in order is still open; null where nothing is planned."""

    finished_at: datetime | None
    """When it was delivered or given up."""

    last_error: str | None
    """What went wrong last, in a sentence."""

    own_activity: str | None
    """The activity that the delivery is itself, whose log tells of the attempts; null before the first one."""


class SentRequestDocument(Output):
    method: str
    """The method of HTTP."""

    url: str
    """Where it was sent."""

    headers: dict[str, str]
    """The headers; what authenticates is masked."""


class AttemptDocument(Output):
    number: int
    """Which attempt it was; the first one is 1."""

    started_at: datetime
    """When it began."""

    seconds: float
    """How long it took."""

    verdict: Verdict
    """How it ended: `retry` where the same may work later, `refused` where not, `gone` where no more is wanted."""

    sentence: str
    """How it ended, in words."""

    error_class: str | None
    """What kind of thing went wrong, e.g. `dns`, `tls`, `timeout`, `egress`, `status`; null when nothing did."""

    status: int | None
    """The status of the answer; null where there was none."""

    address: str | None
    """The address that was dialled; null where none was."""

    request: SentRequestDocument | None
    """What was sent, without its body; null where nothing was, or where it was no single request."""

    answer: str
    """The first 16 KiB of the answer as text; what is no UTF-8 is replaced."""


class SentBody(Output):
    body: str
    """The body, the same at every attempt."""


class DeliveryInFull(DeliveryDocument):
    attempts: list[AttemptDocument]
    """Every attempt, the first one first."""

    request: SentBody | None
    """What is sent; null for a build status."""


class DeliveryCounts(Output):
    pending: int
    """Those that go out as soon as it is their turn."""

    delivering: int
    """Those that are being sent."""

    waiting: int
    """Those that wait for another attempt."""

    held: int
    """Those that are kept until the integration is resumed."""

    failed: int
    """Those that were given up."""


class ReceiverDocument(HAL):
    paused: bool
    """Whether nothing is sent until the integration is resumed."""

    paused_at: datetime | None
    """When it was paused."""

    paused_because: str | None
    """Why it was paused, in a sentence."""

    failures: int
    """How many attempts failed one after the other, up to the last one."""

    failing_since: datetime | None
    """Since when every attempt fails; null when the last one did not."""

    breaker_open_until: datetime | None
    """Until when nothing is tried, because too many attempts failed; null when attempts are made."""

    deliveries: DeliveryCounts
    """How many deliveries there are in each state but `delivered`."""

    counts_are_complete: bool
    """Whether these are all; of very many, only some are counted."""


class ReceiverChanged(Accepted[ReceiverDocument]):
    """The answer to pausing and resuming."""

    deliveries: int
    """How many deliveries are held from now on, or were held and go out now."""


class Replayed(Plain):
    """The answer to a replay of several."""

    deliveries: int
    """How many are sent again."""
