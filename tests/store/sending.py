"""Deliveries as those who send them see them, one step at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.activities.conftest import BOX
from tests.unit.core.samples import INTEGRATION, NOW, PROJECT
from tieline.core.deliveries import DeliveryState
from tieline.core.ids import new_id
from tieline.store import attempts, claims, deliveries, integrations, messages, receivers
from tieline.store.attempts import ActivityRow, AttemptRow, Result
from tieline.store.claims import Claim, Delivery
from tieline.store.database import Database
from tieline.store.deliveries import NewDelivery
from tieline.store.messages import NewMessage

HOOK = "hook"
ME = "a-sender"
ATTEMPT = AttemptRow(
    started_at=NOW,
    seconds=0.25,
    verdict="delivered",
    sentence="It was taken.",
    error=None,
    status=200,
    address="203.0.113.7",
    request=None,
    answer=b"ok",
)


def wanted(integration_id: str = HOOK, **fields: Any) -> Claim:
    """What a sender takes of an integration of which it has nothing in hand."""
    return Claim(integration_id, **{"lanes": 16, "run": 32, "lanes_failing": 4, "lanes_closed": 1, **fields})


def told(delivery: Delivery, state: DeliveryState) -> ActivityRow:
    """What a delivery tells of itself when it is in a state."""
    is_over = state in ("delivered", "failed")
    return ActivityRow(
        id=delivery.activity_id or new_id(),
        is_new=delivery.activity_id is None,
        type="integration.webhook",
        state="complete" if is_over else "in_progress",
        result=("success" if state == "delivered" else "failure") if is_over else None,
        description="",
        text="",
        payload={},
        parameters={},
        lines=[(NOW, "It was taken.\n")],
    )


@dataclass(frozen=True)
class Sending:
    """What one integration is told, and those who send it."""

    db: Database

    async def furnish(self, integration_id: str = HOOK) -> None:
        """One more integration of a project that is furnished."""
        hook = replace(INTEGRATION, id=integration_id, type="webhook", config={}, secrets={})
        async with self.db.transaction() as conn:
            await integrations.create(conn, BOX, hook, is_git_source=False, is_sink=True)

    async def add(self, *keys: str | None) -> list[int]:
        """One delivery for each of the keys, in one step; their numbers."""
        new = [NewDelivery(PROJECT.id, HOOK, "activity", "cause", key) for key in keys]
        async with self.db.transaction() as conn:
            await deliveries.add(conn, new)
        async with self.db.connection() as conn:
            await deliveries.advance(conn, new)
        rows = await self.rows()
        return [row["id"] for row in rows[-len(keys) :]]

    async def receiver(self, **changes: Any) -> None:
        """How it stands with the receiver from now on."""
        async with self.db.transaction() as conn:
            found = (await receivers.lock(conn, [HOOK]))[HOOK]
            await receivers.save(conn, replace(found, **changes))

    async def tell(self, body: bytes, key: str | None = "main") -> int:
        """A delivery with its message; the number of the message."""
        async with self.db.transaction() as conn:
            message = NewMessage(PROJECT.id, "cause", "environment.push", "complete", "success", "main", body)
            (number,) = await messages.add(conn, [message])
            await deliveries.add(conn, [NewDelivery(PROJECT.id, HOOK, "activity", "cause", key, message_id=number)])
        return number

    async def claim(self, sender: str = ME, **fields: Any) -> list[int]:
        return [each.id for each in await self.take(sender, **fields)]

    async def take(self, sender: str = ME, **fields: Any) -> list[Delivery]:
        async with self.db.connection() as conn:
            return await claims.claim(conn, sender, [wanted(**fields)])

    async def end(
        self, *claimed: Delivery, state: DeliveryState = "delivered", sender: str = ME, **fields: Any
    ) -> set[int]:
        """Write what became of deliveries, and go on with what follows; the numbers of those that were still ours."""
        results = [Result(each, state, attempt=ATTEMPT, **fields) for each in claimed]
        return await self.record(results, sender)

    async def end_with_activity(
        self, *claimed: Delivery, state: DeliveryState = "delivered", sender: str = ME, **fields: Any
    ) -> set[int]:
        """The same, with the activity that each delivery is."""
        results = [Result(each, state, attempt=ATTEMPT, activity=told(each, state), **fields) for each in claimed]
        return await self.record(results, sender)

    async def give_back(self, *claimed: Delivery, sender: str = ME) -> set[int]:
        return await self.record([Result(each, "pending", counted=False) for each in claimed], sender)

    async def record(self, results: Sequence[Result], sender: str = ME) -> set[int]:
        async with self.db.transaction() as conn:
            mine = await attempts.record(conn, results, sender)
        async with self.db.connection() as conn:
            await deliveries.advance(conn, [each.delivery for each in results])
        return mine

    async def rows(self) -> list[dict[str, Any]]:
        return await self.query("select * from delivery order by id")

    async def row(self, number: int) -> dict[str, Any]:
        (row,) = await self.query("select * from delivery where id = %s", number)
        return row

    async def states(self) -> list[str]:
        return [row["state"] for row in await self.rows()]

    async def first(self) -> list[int]:
        """The open ones that nothing of their key is before."""
        has_ended = ("delivered", "failed")
        return [row["id"] for row in await self.rows() if row["is_first"] and row["state"] not in has_ended]

    async def query(self, statement: Any, *values: object) -> list[dict[str, Any]]:
        async with self.db.connection() as conn:
            cursor = await conn.execute(statement, values)
            return await cursor.fetchall() if cursor.description else []
