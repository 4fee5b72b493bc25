"""What the API works with; the composition root fills it in."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from tieline.core.clock import now
from tieline.core.secret import Secret
from tieline.git.reader import Reader
from tieline.integrations.base import Registry
from tieline.store.database import Database
from tieline.store.listener import Listener
from tieline.store.seal import SecretBox


class ReadLog(Protocol):
    """Reads an activity's log, from whatever process writes it."""

    def __call__(
        self, activity_id: str, *, start_at: int, max_items: int, max_delay: float | None
    ) -> AsyncIterator[bytes]:
        """Whole lines of JSON from item `start_at` (0-based) on, sealed once the activity reads complete.

        Ends after `max_items` lines (0: no limit) or `max_delay` seconds without the end of the log (None or 0: no
        limit; negative: what there is at once).
        """
        ...


class Export(Protocol):
    """Writes a seed."""

    async def __call__(self, project_ids: Sequence[str] = (), /) -> bytes:
        """YAML of the projects with these ids, or of all. Raises `NotFound`, and `Conflict` when it is too much."""
        ...


class Development(Protocol):
    """Remembers the state of the whole server, and brings it back. Both raise `Unavailable`."""

    async def snapshot(self) -> None: ...

    async def reset(self) -> None: ...


Check = Callable[[], Awaitable[str]]


def _permit(_url: str) -> None:
    """Permit every URL."""


@dataclass(frozen=True)
class Services:
    """`token_keys` are those of `TIELINE_SECRET_KEY`, the first one first. `repository` opens a project's, by its id.

    `check_url` raises `EgressRefused` for a URL that Tieline may not call. `checks` are asked by `/readyz`, by
    name: each answers with a word or two, or raises `Unavailable` saying what is wrong. `development` is there only on
    servers that are there to try clients on.
    """

    db: Database
    box: SecretBox = field(repr=False)
    registry: Registry
    listener: Listener
    read_log: ReadLog
    repository: Callable[[str], Reader]
    export: Export
    public_url: str
    token_keys: Sequence[Secret] = field(repr=False)
    reconcile_seconds: float = 300
    check_url: Callable[[str], None] = _permit
    checks: Mapping[str, Check] = field(default_factory=dict)
    development: Development | None = None
    now: Callable[[], datetime] = now
