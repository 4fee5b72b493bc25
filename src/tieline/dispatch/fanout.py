"""From events to deliveries: who wants to know, and what they are told."""

from collections.abc import Sequence
from typing import Final

import orjson

from tieline.core.documents import Activity, Integration
from tieline.core.wire import SENT_LOG, render_message
from tieline.dispatch.match import match
from tieline.store import deliveries, integrations, logs, outbox, receivers
from tieline.store.database import Connection, Database
from tieline.store.deliveries import NewDelivery, NewMessage
from tieline.store.outbox import Event

BATCH: Final = 200


class FanOut:
    """Looks at events. `public_url` is the root under which receivers reach this server."""

    def __init__(self, db: Database, public_url: str) -> None:
        self._db = db
        self._public_url = public_url

    async def spread(self, project_id: str) -> int:
        """Turn the oldest events of a project into deliveries, all or none of them; how many there were."""
        async with self._db.transaction() as conn:
            events = await outbox.take(conn, project_id, BATCH)
            if events:
                await self._spread(conn, project_id, events)
        return len(events)

    async def _spread(self, conn: Connection, project_id: str, events: Sequence[Event]) -> None:
        sinks = await integrations.load_sinks(conn, project_id)
        found_out = await receivers.lock(conn, [each.id for each in sinks])
        paused = {each.integration_id for each in found_out.values() if each.paused_at}
        found: list[NewDelivery] = []
        for event in events:
            wanting = [each for each in sinks if each.created_at <= event.at and match(event.activity, each)]
            if wanting:
                message_id = await self._write(conn, event.activity)
                found += [_delivery(event.activity, each, message_id, paused) for each in wanting]
        await deliveries.add(conn, found)

    async def _write(self, conn: Connection, activity: Activity) -> int:
        """Keep the message of an event. Only what has ended has all of its log."""
        log, is_cut = "", False
        if activity.state in ("complete", "cancelled"):
            log, is_cut = await logs.tail(conn, activity.id, SENT_LOG)
        document = render_message(activity, log, is_cut=is_cut, public_url=self._public_url)
        new = NewMessage(
            project_id=activity.project_id,
            cause_id=activity.id,
            type=activity.type,
            state=activity.state,
            result=activity.result,
            environment_id=activity.environment_id,
            body=orjson.dumps(document),
        )
        return await deliveries.add_message(conn, new)


def _delivery(activity: Activity, integration: Integration, message_id: int, paused: set[str]) -> NewDelivery:
    return NewDelivery(
        project_id=activity.project_id,
        integration_id=integration.id,
        kind="activity",
        cause_id=activity.id,
        order_key=order_key(activity, integration),
        message_id=message_id,
        state="held" if integration.id in paused else "pending",
    )


def order_key(activity: Activity, integration: Integration) -> str | None:
    """What is told one after the other: what happened in one environment, or outside of all. None where it need not."""
    return (activity.environment_id or "") if integration.config.get("ordered", True) else None
