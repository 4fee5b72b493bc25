"""What workers do for source integrations: two kinds of activities, and the tasks that lead to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from tieline.core.clock import now
from tieline.core.documents import Activity, Integration
from tieline.core.errors import (
    Conflict,
    CredentialsRefused,
    EgressRefused,
    GitFailed,
    Invalid,
    NotFound,
    RateLimited,
    RemoteError,
    RemoteNotFound,
    RemoteRejected,
    Unavailable,
)
from tieline.core.kinds import integration_actor, integration_key
from tieline.core.ports import ActivityHandler, Log, Outcome
from tieline.core.remote import HookEvent, Ignored, Scope
from tieline.store import activities, fetches, hooks, integrations, projects
from tieline.store.database import Connection
from tieline.store.hooks import Hook
from tieline.sync.reconcile import Reconciler, Situation, Surroundings, next_full_look

log = structlog.get_logger()

FIRST_RETRY: Final = timedelta(seconds=30)
HOOK_CHECK_EVERY: Final = timedelta(hours=1)
HOOK_REMOVAL_EVERY: Final = timedelta(seconds=30)
HOOK_REMOVAL_FOR: Final = timedelta(hours=1)
# The host cannot be followed now, for a reason that a person is told.
Faults: Final = (RemoteError, Conflict, GitFailed, Unavailable)
# Asking the host again to remove its hook would change nothing.
_Hopeless: Final = (CredentialsRefused, RemoteNotFound, RemoteRejected, EgressRefused)


@dataclass
class SourceWork:
    """The handlers and tasks of source integrations."""

    around: Surroundings

    def __post_init__(self) -> None:
        self._reconciler = Reconciler(self.around)

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
        except Faults as error:
            await log.write(str(error))
            await self._note_failure(activity.integration_id or "", error)
            return Outcome("failure", "error")
        return Outcome("failure", "error") if planned.refusal else Outcome()

    async def register_hooks(self, activity: Activity, log: Log) -> Outcome:
        """Put our webhook at the host; where that is not allowed the log says how to do it by hand."""
        try:
            situation = await self._reconciler.situation(activity.integration_id or "")
        except NotFound as error:
            await log.write(str(error))
            return Outcome()
        try:
            changed = await self._ensure_hook(situation.integration)
        except RemoteError as error:
            await log.write(f"The webhook could not be registered: {error}")
            await log.write(self._by_hand(situation.integration))
            return Outcome("failure", "error")
        url = self.around.hook_url(situation.integration)
        await log.write(f"{'Registered' if changed else 'Found'} the webhook {url}")
        return Outcome()

    def _by_hand(self, integration: Integration) -> str:
        events = self.around.registry[integration.type].hook_events
        wanted = f"these events: {', '.join(events)}" if events else "all push and pull request events"
        return (
            f"Until then Tieline looks every {self.around.reconcile_seconds:.0f} seconds. To be told at once, add a "
            f"webhook by hand in the settings of the repository: URL {self.around.hook_url(integration)}, {wanted}."
        )

    async def _ensure_hook(self, integration: Integration) -> bool:
        """True when something was changed at the host. That it was tried is noted, whatever came of it."""
        registrar = self.around.registry.hook_registrar(integration)
        if registrar is None:
            return False
        state: dict[str, object] = {"hook_checked_at": now()}
        try:
            hook, changed = await registrar.ensure(self.around.hook_url(integration), integration.hook_id)
            state |= {"hook_id": hook.id}
        finally:
            async with self.around.db.transaction() as conn:
                await integrations.save_state(conn, integration.id, **state)
        return changed

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
        """The timer: look at everything and change nothing. A fetch is asked for only when it would do something."""
        try:
            situation = await self._reconciler.situation(integration_id)
        except NotFound:
            return
        if (
            situation.integration.next_reconcile_at is None
            or self.around.registry.source(situation.integration) is None
        ):
            return
        if await self._postpone(situation):
            return
        await self._check_hook(situation.integration)
        try:
            observation = await self._reconciler.look(situation, Scope())
        except RateLimited as error:
            await self._save(integration_id, next_reconcile_at=error.until)
        except Faults as error:
            log.warning("probe_failed", integration=integration_id, error=str(error))
            await self._report_fault(situation, error)
        else:
            planned = situation.plan(observation, confirmed=False)
            if planned or observation.new_name is not None or situation.integration.remote_id is None:
                await self._request_fetch(situation)
            else:
                refusal = planned.refusal
                await self._save(integration_id, reconciled_at=now(), last_error=refusal.sentence if refusal else None)

    async def _postpone(self, situation: Situation) -> bool:
        """Set the next look, and say whether this one is not needed: a fetch waits or runs already."""
        integration = situation.integration
        following = next_full_look(integration, now(), self.around.interval)
        async with self.around.db.transaction() as conn:
            await integrations.save_state(conn, integration.id, next_reconcile_at=following)
            waiting = await activities.open_of(conn, integration_key(integration.id))
        return any(each.type.endswith(".fetch") for each in waiting)

    async def _report_fault(self, situation: Situation, error: Exception) -> None:
        """The first failure becomes a fetch that fails where people see it; the rest only stay on record."""
        if situation.integration.last_error is None:
            await self._request_fetch(situation)
        else:
            await self._save(situation.integration.id, last_error=str(error))

    async def _check_hook(self, integration: Integration) -> None:
        """Repair what somebody did to the webhook, once it was registered (or refused) and an hour has gone by."""
        checked = integration.hook_checked_at
        if checked is None or now() - checked < HOOK_CHECK_EVERY:
            return
        try:
            if await self._ensure_hook(integration):
                log.info("hook_repaired", integration=integration.id)
        except RemoteError as error:
            log.warning("hook_check_failed", integration=integration.id, error=str(error))

    async def _request_fetch(self, situation: Situation) -> None:
        async with self.around.db.transaction() as conn:
            await self._ask(conn, situation.integration, Scope(), "timer")

    async def _ask(self, conn: Connection, integration: Integration, scope: Scope, reason: str) -> None:
        project = await projects.get(conn, integration.project_id)
        title = self.around.title(integration)
        actor = integration_actor(integration, title)
        await fetches.request_fetch(conn, project, integration, actor, title, scope, reason=reason)

    async def _save(self, integration_id: str, **state: object) -> None:
        async with self.around.db.transaction() as conn:
            await integrations.save_state(conn, integration_id, **state)

    async def read_hooks(self, integration_id: str) -> None:
        """Read the webhooks that arrived, and ask for one fetch that does what all of them hint at."""
        while await self._read_some_hooks(integration_id) == hooks.READ_AT_ONCE:
            pass

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
                await self._ask(conn, integration, _merge(scopes), "hook")
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
        if not await self._remove_hook(integration):
            return
        await self.around.repositories.open(integration.project_id).drop_staging(integration.id)
        self.around.known.forget(integration.id)
        async with self.around.db.transaction() as conn:
            await integrations.remove(conn, integration.id)

    async def _remove_hook(self, integration: Integration) -> bool:
        """True when the hook is gone, or there is no hope that it ever goes."""
        registrar = self.around.registry.hook_registrar(integration)
        deleted, due, moment = integration.deleted_at, integration.next_reconcile_at, now()
        if registrar is None or deleted is None:
            return True
        if due is not None and moment < due:
            return False
        try:
            await registrar.remove(self.around.hook_url(integration), integration.hook_id)
        except RemoteError as error:
            hopeless = isinstance(error, _Hopeless) or moment - deleted > HOOK_REMOVAL_FOR
            log.warning("hook_not_removed", integration=integration.id, error=str(error), given_up=hopeless)
            again = error.until if isinstance(error, RateLimited) else moment + HOOK_REMOVAL_EVERY
            await self._save(integration.id, next_reconcile_at=again)
            return hopeless
        return True


def _scope_of(integration: Integration, event: HookEvent) -> Scope:
    """A hook of another repository than ours may tell of a renamed or a replaced one: then that is read too."""
    known = integration.remote_id
    if event.repository_id is None or known is None or event.repository_id == known:
        return event.scope
    return event.scope.merge(Scope(pulls=frozenset(), repository=True))


def _merge(scopes: list[Scope]) -> Scope:
    merged = scopes[0]
    for each in scopes[1:]:
        merged = merged.merge(each)
    return merged


async def _is_busy(conn: Connection, integration: Integration) -> bool:
    """End what the integration still does. True while something runs that has to come to its end first."""
    running = False
    for each in await activities.open_of(conn, integration_key(integration.id)):
        if not await activities.cancel_pending(conn, each):
            await activities.request_cancel(conn, each)
            running = True
    return running
