"""The timer: finds what no webhook told of."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from tieline.core.clock import now
from tieline.core.documents import Activity
from tieline.core.errors import NotFound, RateLimited
from tieline.core.kinds import fetch_scope, integration_key
from tieline.core.remote import Scope, merge_scopes
from tieline.store import activities, integrations
from tieline.store.activities import ActivityQuery
from tieline.sync.background import in_background
from tieline.sync.reconcile import FAULTS, Reconciler, Situation, Surroundings, is_full_look_due, next_full_look
from tieline.sync.webhook import OwnWebhook

log = structlog.get_logger()

RECENT: Final = timedelta(minutes=1)
REFS_ONLY: Final = Scope(pulls=frozenset(), repository=False)
REPOSITORY: Final = Scope(pulls=frozenset(), repository=True)
_REMEMBERED_FETCHES: Final = 5


@dataclass
class Timer:
    """Looks at hosts as often as the interval says, and changes nothing itself."""

    around: Surroundings

    def __post_init__(self) -> None:
        self._reconciler = Reconciler(self.around)
        self._webhook = OwnWebhook(self.around)
        self._background = in_background(self.around.registry)

    async def probe(self, integration_id: str) -> None:
        """One look. A fetch is asked for only when it would do something."""
        try:
            situation = await self._reconciler.situation(integration_id)
        except NotFound:
            return
        integration = situation.integration
        if integration.next_reconcile_at is None or self.around.registry.source(integration) is None:
            return
        scope = await self._begin_look(situation)
        if scope is None:
            return
        try:
            async with asyncio.timeout(self.around.quick_seconds):
                await self._webhook.check(integration)
                await self._try_to_look(situation, scope)
        except TimeoutError:
            # A fetch may take longer than what shares its place with everybody else's.
            log.warning("probe_too_slow", integration=integration_id)
            await self._request_fetch(situation, Scope())

    async def _try_to_look(self, situation: Situation, scope: Scope) -> None:
        try:
            await self._look(situation, scope)
        except RateLimited as error:
            await self._look_at_refs(situation, error)
        except FAULTS as error:
            log.warning("probe_failed", integration=situation.integration.id, error=str(error))
            await self._report_fault(situation, error)

    async def _begin_look(self, situation: Situation) -> Scope | None:
        """Set the time of the next look. What to look at now; None where a fetch waits or runs that will do it."""
        integration, moment, interval = situation.integration, now(), self.around.interval
        is_full = is_full_look_due(integration, moment, interval)
        last = integration.reconciled_at or moment
        following = next_full_look(integration, moment, interval) if is_full else last + interval
        async with self.around.db.transaction() as conn:
            await integrations.save_state(conn, integration.id, next_reconcile_at=following)
            waiting = await activities.open_of(conn, integration_key(integration.id))
            recent = ActivityQuery(integration_id=integration.id, count=_REMEMBERED_FETCHES)
            fetched = [] if is_full else await activities.page(conn, integration.project_id, recent)
        if any(each.type.endswith(".fetch") for each in waiting):
            return None
        return Scope() if is_full else merge_scopes([REFS_ONLY, *_hinted(fetched, moment)])

    async def _look(self, situation: Situation, scope: Scope) -> None:
        observation = await self._reconciler.look(situation, scope, self._background)
        planned = situation.plan(observation, confirmed=False)
        if planned or observation.new_name is not None or situation.integration.remote_id is None:
            # Before anything is done, it must be certain whose repository this was.
            await self._request_fetch(situation, scope.merge(REPOSITORY))
        elif scope == Scope():
            error = planned.refusal.sentence if planned.refusal else None
            await self.around.save(situation.integration.id, reconciled_at=now(), last_error=error)

    async def _look_at_refs(self, situation: Situation, limited: RateLimited) -> None:
        """Look at everything once the host's limit allows it; git has a limit of its own."""
        following = min(limited.until, now() + self.around.interval)
        await self.around.save(situation.integration.id, next_reconcile_at=following)
        try:
            await self._look(situation, REFS_ONLY)
        except FAULTS as error:
            log.warning("probe_limited", integration=situation.integration.id, error=str(error))

    async def _report_fault(self, situation: Situation, error: Exception) -> None:
        """The first failure becomes a fetch that fails where people see it; the rest only stay on record."""
        if situation.integration.last_error is None:
            await self._request_fetch(situation, Scope())
        else:
            await self.around.save(situation.integration.id, last_error=str(error))

    async def _request_fetch(self, situation: Situation, scope: Scope) -> None:
        async with self.around.db.transaction() as conn:
            await self.around.ask_for_fetch(conn, situation.integration, scope, "timer")


def _hinted(fetched: list[Activity], moment: datetime) -> list[Scope]:
    """What webhooks of the last minute hinted at: it may have been too early to see it then."""
    return [
        fetch_scope(each.parameters)
        for each in fetched
        if each.parameters.get("reason") == "hook" and moment - each.created_at < RECENT
    ]
