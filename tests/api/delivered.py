"""Deliveries as whoever sends them leaves them behind, written by the functions that write them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from tests.api.conftest import Instance
from tieline.core.clock import now
from tieline.core.deliveries import DeliveryState
from tieline.core.ids import new_id
from tieline.store import attempts, claims, deliveries, messages
from tieline.store.attempts import ActivityRow, AttemptRow, Result
from tieline.store.claims import Claim, Delivery
from tieline.store.deliveries import Kind, NewDelivery
from tieline.store.messages import NewMessage

SENDER = "a-sender"
BODY = b'{"type": "environment.push", "text": "\xc3\xa4"}'
ATTEMPT = AttemptRow(
    started_at=datetime.fromisoformat("2026-11-23T10:00:00+00:00"),
    seconds=0.25,
    verdict="retry",
    sentence="The receiver answered 503.",
    error="status",
    status=503,
    address="203.0.113.7",
    request={"method": "POST", "url": "https://x.example/", "headers": {"Content-Type": "application/json"}},
    answer=b"away \xff",
)


@dataclass
class Post:
    """Tells one integration of things, and sends them, as far as a test says."""

    instance: Instance
    project_id: str
    integration_id: str

    async def tell(self, type: str = "environment.push", environment: str | None = "main", cause: str = "a") -> int:
        """Add a message with its delivery; its number. What happens in one environment is told in order."""
        db = self.instance.services.db
        async with db.transaction() as conn:
            message = NewMessage(self.project_id, cause, type, "complete", "success", environment, BODY)
            [number] = await messages.add(conn, [message])
            new = self.new("activity", cause, environment or "", message_id=number)
            await deliveries.add(conn, [new])
        return await self._newest()

    async def report(self, commit: str = "c" * 40, state: str = "succeeded") -> int:
        """Add the delivery of a build status; its number."""
        async with self.instance.services.db.transaction() as conn:
            status = {"commit": commit, "state": state}
            await deliveries.add(conn, [self.new("commit_status", "a", commit, payload=status)])
        return await self._newest()

    def new(self, kind: Kind, cause: str, key: str, **more: Any) -> NewDelivery:
        """One that is not added yet."""
        return NewDelivery(self.project_id, self.integration_id, kind, cause, key, **more)

    async def _newest(self) -> int:
        async with self.instance.services.db.connection() as conn:
            query = "select max(id) as id from delivery where integration_id = %s"
            row = await (await conn.execute(query, [self.integration_id])).fetchone()
        assert row is not None
        return int(row["id"])

    async def claim(self) -> list[Delivery]:
        """Take what may be sent now."""
        wanted = Claim(self.integration_id, lanes=16, run=1, lanes_failing=16, lanes_closed=16)
        async with self.instance.services.db.connection() as conn:
            return await claims.claim(conn, SENDER, [wanted])

    async def end(self, *claimed: Delivery, state: DeliveryState = "delivered", **attempt: Any) -> None:
        """Write what became of what was taken."""
        async with self.instance.services.db.transaction() as conn:
            results = [self._result(each, state, attempt) for each in claimed]
            await attempts.record(conn, results, SENDER)
        async with self.instance.services.db.connection() as conn:
            await deliveries.advance(conn, claimed)

    def _result(self, delivery: Delivery, state: DeliveryState, attempt: dict[str, Any]) -> Result:
        return Result(
            delivery,
            state,
            wait_seconds=3600 if state == "waiting" else 0,
            error=None if state == "delivered" else "The receiver answered 503.",
            attempt=cast("AttemptRow", {**ATTEMPT, **attempt}),
            activity=self._activity(delivery, state) if delivery.kind == "activity" else None,
        )

    def _activity(self, delivery: Delivery, state: DeliveryState) -> ActivityRow:
        is_over = state in ("delivered", "failed")
        return ActivityRow(
            id=delivery.activity_id or new_id(),
            is_new=delivery.activity_id is None,
            type="integration.health.sink",
            state="complete" if is_over else "in_progress",
            result=("success" if state == "delivered" else "failure") if is_over else None,
            description="d",
            text="t",
            payload={},
            parameters={"delivery": str(delivery.id)},
            lines=[(now(), "Attempt\n")],
        )

    async def send(self, state: DeliveryState = "delivered", **attempt: Any) -> list[int]:
        """Send what may be sent now; the numbers."""
        claimed = await self.claim()
        await self.end(*claimed, state=state, **attempt)
        return [each.id for each in claimed]
