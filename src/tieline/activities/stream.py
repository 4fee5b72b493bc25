"""Streams an activity's log as the Upsun clients read it: JSON lines, sealed by the last one."""

import math
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from tieline.activities.signals import Signals
from tieline.core.clock import iso
from tieline.core.documents import LogLine
from tieline.store import activities, logs
from tieline.store.database import Database

_BATCH: Final = 500


@dataclass(frozen=True)
class Window:
    """Which part of a log, and how long to wait for more.

    `start_at` is the offset of the first line, from 0. `max_items` and `max_delay` (seconds) have no limit when
    they are 0 or None; a negative `max_delay` returns what there is at once.
    """

    start_at: int = 0
    max_items: int = 0
    max_delay: float | None = None

    @property
    def most(self) -> float:
        return self.max_items if self.max_items > 0 else math.inf

    @property
    def seconds(self) -> float:
        return max(self.max_delay, 0) if self.max_delay else math.inf


class LogStream:
    """Reads logs, live while their activity runs."""

    def __init__(self, db: Database, signals: Signals) -> None:
        self._db = db
        self._signals = signals
        self._closed = False

    def close(self) -> None:
        """Let every reader end with what there is, without a seal: the server stops."""
        self._closed = True
        self._signals.wake_all()

    async def read(
        self, activity_id: str, *, start_at: int = 0, max_items: int = 0, max_delay: float | None = None
    ) -> AsyncIterator[bytes]:
        """Chunks of whole lines; `Window` tells what the numbers mean.

        The seal comes last, and only after the activity itself reads complete. Ends without it when the window
        ends first.
        """
        window = Window(start_at, max_items, max_delay)
        end = time.monotonic() + window.seconds
        position, left = max(window.start_at, 0), window.most
        with self._signals.waiter(activity_id, "activity", "log") as waiter:
            while left > 0:
                is_final, lines = await self._load(activity_id, position, int(min(left, _BATCH)))
                if lines:
                    yield render_lines(lines)
                    position, left = lines[-1].seq, left - len(lines)
                elif is_final:
                    yield render_seal(position)
                    return
                elif self._closed or time.monotonic() >= end:
                    return
                else:
                    await waiter.wait(end - time.monotonic())

    async def _load(self, activity_id: str, position: int, limit: int) -> tuple[bool, list[LogLine]]:
        """The order matters: what is read after the activity has ended is all there will be."""
        async with self._db.connection() as conn:
            is_final = await activities.is_final(conn, activity_id)
            return is_final, await logs.load(conn, activity_id, position, limit)


def render_lines(lines: Sequence[LogLine]) -> bytes:
    """One JSON document a line."""
    return b"".join(
        orjson.dumps({"_id": line.seq, "data": {"timestamp": iso(line.at), "message": line.message}}) + b"\n"
        for line in lines
    )


def render_seal(position: int) -> bytes:
    """The line that tells the client that nothing follows; `position` is the last line's number."""
    return orjson.dumps({"_id": position + 1, "seal": True}) + b"\n"
