"""What has arrived."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tieline.simulators.receiver.verify import Verdict


@dataclass
class Arrival:
    """One request. `number` counts from 1 in the order they came, `at` is in seconds since the epoch.

    `headers` have lower-case names, `body` is raw. `answered` is the status, None while there was no
    answer that could be read to its end.
    """

    number: int
    at: float
    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    jws: Verdict = "missing"
    standard: Verdict = "missing"
    answered: int | None = None

    @property
    def id(self) -> str:
        """The id of the message: the same at every attempt."""
        return self.headers.get("webhook-id", "")

    @property
    def accepted(self) -> bool:
        """Whether the sender was told, wholly, that this has been received."""
        return self.answered is not None and 200 <= self.answered < 300  # noqa: PLR2004 - what HTTP calls success

    def document(self) -> Any:
        """The body, read. Raises `ValueError` when it is not JSON."""
        return json.loads(self.body)
