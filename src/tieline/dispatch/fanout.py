"""From events to deliveries: who wants to know, and what they are told."""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from tieline.core.clock import now
from tieline.core.documents import Activity, Integration
from tieline.core.wire import SENT_LOG, render_message
from tieline.dispatch.match import match
from tieline.store import deliveries, integrations, logs, messages, outbox, receivers
from tieline.store.database import Connection, Database
from tieline.store.deliveries import NewDelivery
from tieline.store.messages import NewMessage
from tieline.store.outbox import Event

# Of much that happened at once, some is told already while the rest is looked at.
FEW: Final = 10
MANY: Final = 100


class FanOut:
    """Looks at events. `public_url` is the root under which receivers reach this server."""

    def __init__(self, db: Database, public_url: str) -> None:
        self._db = db
        self._public_url = public_url

    async def spread(self, project_id: str, limit: int = MANY) -> int:
        """Turn the oldest events of a project into deliveries, all or none of them; how many there were."""
        async with self._db.transaction() as conn:
            events = await outbox.take(conn, project_id, limit)
            new = await self._deliveries(conn, project_id, events) if events else []
            has_waiting = await deliveries.add(conn, new)
        if has_waiting:
            await self._advance(new)
        return len(events)

    async def _advance(self, new: Sequence[NewDelivery]) -> None:
        """What came before some of them may have ended while they were added, and then nobody waits for them."""
        async with self._db.connection() as conn:
            if await deliveries.advance(conn, new):
                for integration_id in sorted({each.integration_id for each in new}):
                    await receivers.wake(conn, integration_id)

    async def _deliveries(self, conn: Connection, project_id: str, events: Sequence[Event]) -> list[NewDelivery]:
        """Who is told what, in the order of the events."""
        sinks = await integrations.load_sinks(conn, project_id)
        wanted = {event.id: _who_wants(event, sinks) for event in events}
        told = [event.activity for event in events if event.activity is not None and wanted[event.id]]
        numbers = iter(await self._write(conn, told))
        found: list[NewDelivery] = []
        for event in events:
            if event.delivery is not None:
                found.append(event.delivery)
            elif event.activity is not None and wanted[event.id]:
                number = next(numbers)
                found += [_delivery(event.activity, each, number) for each in wanted[event.id]]
        return found

    async def _write(self, conn: Connection, told: Sequence[Activity]) -> list[int]:
        """Keep the messages of activities. Only what has ended has all of its log."""
        if not told:
            return []
        # What was never begun is only a record, and has no log.
        ended = [each.id for each in told if each.state in ("complete", "cancelled") and each.attempt > 0]
        tails = await logs.tails(conn, ended, SENT_LOG) if ended else {}
        return await messages.add(conn, [self._message(each, tails) for each in told])

    def _message(self, activity: Activity, tails: Mapping[str, tuple[str, bool]]) -> NewMessage:
        has_ended = activity.state in ("complete", "cancelled")
        log, is_cut = tails.get(activity.id, ("", False)) if has_ended else ("", False)
        document = render_message(activity, log, is_cut=is_cut, public_url=self._public_url)
        return NewMessage(
            project_id=activity.project_id,
            cause_id=activity.id,
            type=activity.type,
            state=activity.state,
            result=activity.result,
            environment_id=activity.environment_id,
            body=orjson.dumps(document),
        )


def _who_wants(event: Event, sinks: Sequence[Integration]) -> list[Integration]:
    """Nobody is told of what happened before they asked. Who asked later than now did before the clock was set back."""
    if event.activity is None:
        return []
    moment = now()
    asked = [each for each in sinks if each.created_at <= event.at or each.created_at > moment]
    return [each for each in asked if match(event.activity, each)]


def _delivery(activity: Activity, integration: Integration, message_id: int) -> NewDelivery:
    return NewDelivery(
        project_id=activity.project_id,
        integration_id=integration.id,
        kind="activity",
        cause_id=activity.id,
        order_key=order_key(activity, integration),
        message_id=message_id,
    )


def order_key(activity: Activity, integration: Integration) -> str | None:
    """What is told one after the other: what happened in one environment, or outside of all. None where it need not."""
    return (activity.environment_id or "") if integration.config.get("ordered", True) else None
