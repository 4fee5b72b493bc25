"""What workers do for source integrations: two kinds of activities, and the tasks that lead to them."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from tieline.core.clock import now
from tieline.core.documents import Activity, Integration
from tieline.core.errors import GitFailed, Invalid, NotFound, RateLimited, RemoteError, Unavailable
from tieline.core.kinds import integration_key
from tieline.core.ports import ActivityHandler, Log, Outcome
from tieline.core.remote import HookEvent, Ignored, Scope, merge_scopes
from tieline.store import activities, deliveries, hooks, integrations
from tieline.store.database import Connection
from tieline.store.hooks import Hook
from tieline.sync.access import repository_name
from tieline.sync.reconcile import FAULTS, Reconciler, Surroundings
from tieline.sync.timer import Timer
from tieline.sync.webhook import OwnWebhook

log = structlog.get_logger()

MANY_HOOKS: Final = 20
GATHERING_SECONDS: Final = 0.25
FIRST_RETRY: Final = timedelta(seconds=30)


@dataclass
class SourceWork:
    """The handlers and tasks of source integrations."""

    around: Surroundings

    def __post_init__(self) -> None:
        self._reconciler = Reconciler(self.around)
        self._webhook = OwnWebhook(self.around)
        self._timer = Timer(self.around)

    def activity_handlers(self) -> Mapping[str, ActivityHandler]:
        """By activity type, as patterns."""
        return {"integration.*.fetch": self.fetch, "integration.*.register_hooks": self.register_hooks}

    async def fetch(self, activity: Activity, log: Log) -> Outcome:
        """Reconcile. A host that cannot be read, or a refusal to remove so much, is a failure that says why."""
        try:
            planned = await self._reconciler.reconcile(activity, log)
        except NotFound as error:
            await log.write(str(error))
            return Outcome()
        except FAULTS as error:
            await log.write(str(error))
            await self._note_failure(activity.integration_id or "", error)
            return Outcome("failure", "error")
        return Outcome("failure", "error") if planned.refusal else Outcome()

    async def bring_commits(self, integration_id: str) -> None:
        """Fetch what the host has into this machine's repository. Raises what `sync.reconcile.FAULTS` names."""
        with suppress(NotFound):  # the integration may be gone, and then there is nothing to fetch from
            await self._reconciler.bring(integration_id)

    async def register_hooks(self, activity: Activity, log: Log) -> Outcome:
        """Put our webhook at the host; where that is not allowed the log says how to do it by hand."""
        try:
            situation = await self._reconciler.situation(activity.integration_id or "")
        except NotFound as error:
            await log.write(str(error))
            return Outcome()
        try:
            changed = await self._webhook.ensure(situation.integration)
        except RemoteError as error:
            await log.write(f"The webhook could not be registered: {error}")
            await log.write(self._webhook.advice(situation.integration, error))
            return Outcome("failure", "error")
        url = self.around.hook_url(situation.integration)
        await log.write(f"{'Registered' if changed else 'Found'} the webhook {url}")
        return Outcome()

    async def _note_failure(self, integration_id: str, error: Exception) -> None:
        """Remember why, and look again soon the first time, at the regular pace from then on."""
        async with self.around.db.transaction() as conn:
            integration = await integrations.find_any(conn, self.around.box, integration_id)
            if integration is None or integration.deleted_at is not None:
                return
            wait = self.around.interval if integration.last_error else min(FIRST_RETRY, self.around.interval)
            following = error.until if isinstance(error, RateLimited) else now() + wait
            await integrations.save_state(conn, integration_id, last_error=str(error), next_reconcile_at=following)

    async def probe(self, integration_id: str) -> None:
        """The timer's look at one host."""
        await self._timer.probe(integration_id)

    async def read_hooks(self, integration_id: str) -> None:
        """Read the webhooks that arrived, and ask for one fetch that does what all of them hint at."""
        total = last = await self._read_some_hooks(integration_id)
        while last:
            last = await self._read_some_hooks(integration_id)
            total += last
        if total >= MANY_HOOKS:
            # More will follow, and one fetch does for all that come before it begins.
            await asyncio.sleep(GATHERING_SECONDS)

    async def _read_some_hooks(self, integration_id: str) -> int:
        """How many were read."""
        async with self.around.db.transaction() as conn:
            waiting = await hooks.unread(conn, integration_id)
            integration = await integrations.find_any(conn, self.around.box, integration_id)
            if not waiting or integration is None:
                return 0
            read = {each.id: self._read(integration, each) for each in waiting}
            await hooks.mark_read(conn, {number: outcome for number, (_, outcome) in read.items()})
            scopes = [scope for scope, _ in read.values() if scope is not None]
            if scopes:
                await self.around.ask_for_fetch(conn, integration, merge_scopes(scopes), "hook")
            return len(waiting)

    def _read(self, integration: Integration, hook: Hook) -> tuple[Scope | None, str]:
        """What a webhook makes necessary, and a word about it. One that is not signed only says "look again"."""
        if integration.deleted_at is not None:
            return None, "The integration was removed."
        if not hook.is_signed:
            return Scope(), "Not signed: a request to look again."
        hook_format = self.around.registry[integration.type].hook_format
        if hook_format is None:
            return None, "Integrations of this type have no webhooks."
        try:
            event = hook_format.parse(hook.headers, hook.body)
        except Invalid as error:
            # It is from the host all the same, and says that something happened.
            return Scope(), f"Not understood, so everything is looked at: {error}"
        if isinstance(event, Ignored):
            return None, f"Ignored: {event.reason}"
        return _scope_of(integration, event), f"Read: {event.name}"

    async def remove_integration(self, integration_id: str) -> None:
        """Remove the webhook at the host, then the row. Environments stay.

        The sweep calls this again while the row is there, so a host that is down is asked again for an hour.
        """
        async with self.around.db.transaction() as conn:
            integration = await integrations.find_any(conn, self.around.box, integration_id)
            if integration is None or integration.deleted_at is None or await _is_busy(conn, integration):
                return
        if not await self._webhook.remove(integration):
            return
        await self._drop_staging(integration)
        self.around.known.forget(integration.id)
        async with self.around.db.transaction() as conn:
            await deliveries.end_activities(conn, integration.id)
            await integrations.remove(conn, integration.id)

    async def maintain(self, project_id: str) -> None:
        """Tidy up a project's repository."""
        await self.around.repositories.open(project_id).maintain()

    async def _drop_staging(self, integration: Integration) -> None:
        """What cannot be dropped now is in nobody's way; a row that stays for ever would be."""
        try:
            await self.around.repositories.open(integration.project_id).drop_staging(integration.id)
        except (GitFailed, Unavailable) as error:
            log.warning("staging_not_dropped", integration=integration.id, error=str(error))


def _scope_of(integration: Integration, event: HookEvent) -> Scope:
    """A hook of another repository than ours may tell of a renamed or a replaced one: then that is read too.

    What a push needs is known of the repository by its name, and that name may be another one's by now.
    """
    told, known = (event.repository_id, event.repository_name), (integration.remote_id, repository_name(integration))
    if all(_agree(one, other) for one, other in zip(told, known, strict=True)):
        return event.scope
    return event.scope.merge(Scope(pulls=frozenset(), repository=True))


def _agree(told: str | None, known: object) -> bool:
    return told is None or known is None or told.casefold() == str(known).casefold()


async def _is_busy(conn: Connection, integration: Integration) -> bool:
    """End what the integration still does. True while something runs that has to come to its end first."""
    running = False
    for each in await activities.open_of(conn, integration_key(integration.id)):
        if not await activities.cancel_pending(conn, each):
            await activities.request_cancel(conn, each)
            running = True
    return running
