"""Sends the deliveries of one integration. The handler of the task `send_deliveries`."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog

from tieline.core.clock import now
from tieline.core.errors import RemoteError, Unreachable
from tieline.core.remote import BuildStatus
from tieline.dispatch.retry import MOST_ATTEMPTS, GiveUp, plan_retry
from tieline.integrations.base import Registry, StatusReporter
from tieline.store import deliveries, integrations
from tieline.store.database import TROUBLE, Database
from tieline.store.deliveries import Delivery
from tieline.store.seal import SecretBox

log = structlog.get_logger()

AT_ONCE: Final = 4
STILL_OURS: Final = timedelta(seconds=deliveries.LEASE_SECONDS / 2)
_BATCH: Final = 50


class Sender:
    """Tells the outside what happened, in order for each thing it happened to."""

    def __init__(self, db: Database, registry: Registry, box: SecretBox) -> None:
        self._db = db
        self._registry = registry
        self._box = box

    async def send_deliveries(self, integration_id: str) -> None:
        """Send everything that is due; what fails is tried again later or given up."""
        while batch := await self._take(integration_id):
            reporter = await self._reporter(integration_id)
            if reporter is None:
                await self._give_up(batch, "The integration takes no build statuses any more.")
                continue
            together = _Batch(reporter, now())
            async with asyncio.TaskGroup() as group:
                for delivery in batch:
                    group.create_task(self._send(delivery, together))

    async def _take(self, integration_id: str) -> list[Delivery]:
        async with self._db.transaction() as conn:
            return await deliveries.due(conn, integration_id, _BATCH)

    async def _reporter(self, integration_id: str) -> StatusReporter | None:
        async with self._db.connection() as conn:
            integration = await integrations.find_any(conn, self._box, integration_id)
        if integration is None or integration.deleted_at is not None or integration.type not in self._registry:
            return None
        return self._registry.status_reporter(integration)

    async def _give_up(self, batch: Sequence[Delivery], reason: str) -> None:
        async with self._db.transaction() as conn:
            for delivery in batch:
                await deliveries.failed(conn, delivery, reason)

    async def _send(self, delivery: Delivery, batch: "_Batch") -> None:
        try:
            async with batch.turn:
                if now() - batch.taken < STILL_OURS:
                    await self._attempt(delivery, batch)
                else:
                    # A machine that slept may find that another one has sent this, and something newer since.
                    await self._give_back(delivery, "Its turn did not come in time.")
        except asyncio.CancelledError:
            # Whether it arrived is unknown, and statuses may be sent twice.
            await asyncio.shield(self._give_back(delivery, "The worker stopped."))
            raise

    async def _attempt(self, delivery: Delivery, batch: "_Batch") -> None:
        if delivery.attempts > MOST_ATTEMPTS:
            # Whoever tried before did not live to say what happened.
            await self._give_up([delivery], f"Given up after {MOST_ATTEMPTS} attempts without a result.")
        elif batch.silence is not None:
            await self._failed(delivery, batch.silence)
        else:
            await self._report(delivery, batch)

    async def _report(self, delivery: Delivery, batch: "_Batch") -> None:
        try:
            await batch.reporter.report(BuildStatus(**delivery.payload))
        except RemoteError as error:
            if isinstance(error, Unreachable):
                batch.silence = error
            await self._failed(delivery, error)
        except TROUBLE:
            raise
        except Exception:
            # The others of the batch do not suffer for it.
            log.exception("delivery.crashed", delivery=delivery.id, integration=delivery.integration_id)
            await self._failed(delivery, RemoteError("Something went wrong inside Tieline; its log has more."))
        else:
            await self._delivered(delivery)

    async def _delivered(self, delivery: Delivery) -> None:
        async with self._db.connection() as conn:
            await deliveries.delivered(conn, delivery)
        log.info("delivery.sent", delivery=delivery.id, integration=delivery.integration_id)

    async def _failed(self, delivery: Delivery, error: RemoteError) -> None:
        verdict = plan_retry(error, delivery.attempts, now())
        async with self._db.connection() as conn:
            if isinstance(verdict, GiveUp):
                await deliveries.failed(conn, delivery, str(error))
            else:
                await deliveries.retry_at(conn, delivery, verdict.at, str(error), counted=verdict.counted)
        given_up = isinstance(verdict, GiveUp)
        log.warning("delivery.failed", delivery=delivery.id, attempt=delivery.attempts, given_up=given_up)

    async def _give_back(self, delivery: Delivery, reason: str) -> None:
        async with self._db.connection() as conn:
            await deliveries.retry_at(conn, delivery, now(), reason, counted=False)


@dataclass
class _Batch:
    """What is sent together. A host that did not answer once is not waited for again, while others wait for us."""

    reporter: StatusReporter
    taken: datetime
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    silence: Unreachable | None = None
