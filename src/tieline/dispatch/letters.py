"""Messages in memory while they are being sent: several receivers are told the same."""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import orjson

from tieline.core.documents import JSON
from tieline.store import messages
from tieline.store.database import Connection, Database
from tieline.store.messages import KeptMessage

KEPT_BYTES: Final = 32 * 1024 * 1024
READ_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True)
class Letter:
    """A message with what its delivery tells of itself."""

    kept: KeptMessage

    @cached_property
    def caused_by(self) -> JSON:
        """Whose activity it is and in which project, for the payload of the delivery's own activity."""
        payload = orjson.loads(self.kept.body)["payload"]
        return {"user": payload["user"], "project": {name: payload["project"][name] for name in ("id", "title")}}


class Letters:
    """Reads messages, and keeps those used last: `KEPT_BYTES` of them."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._kept: OrderedDict[int, Letter] = OrderedDict()
        self._size = 0

    async def prefetch(self, conn: Connection, message_ids: Collection[int]) -> None:
        """Read at once what will be sent in a moment, as far as it is not large."""
        if missing := [each for each in message_ids if each not in self._kept]:
            for kept in (await messages.read(conn, missing, READ_BYTES)).values():
                self._keep(Letter(kept))

    async def get(self, message_id: int) -> Letter | None:
        """One message; None when it is not kept any more."""
        if message_id not in self._kept:
            async with self._db.connection() as conn:
                found = await messages.read(conn, [message_id], READ_BYTES)
            if message_id not in found:
                return None
            self._keep(Letter(found[message_id]))
        self._kept.move_to_end(message_id)
        return self._kept[message_id]

    def _keep(self, letter: Letter) -> None:
        if letter.kept.id in self._kept:
            return
        self._kept[letter.kept.id] = letter
        self._size += len(letter.kept.body)
        while self._size > KEPT_BYTES and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._size -= len(oldest.kept.body)
