"""Our webhook at a Git host: put there, checked, removed with its integration."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from tieline.core.clock import now
from tieline.core.documents import Integration
from tieline.core.errors import (
    CredentialsRefused,
    EgressRefused,
    RateLimited,
    RemoteError,
    RemoteNotFound,
    RemoteRejected,
)
from tieline.store import integrations
from tieline.sync.reconcile import Surroundings

log = structlog.get_logger()

CHECK_EVERY: Final = timedelta(hours=1)
# A host that was down, or busy, is asked again before long.
RETRY_AFTER: Final = timedelta(minutes=1)
REMOVAL_EVERY: Final = timedelta(seconds=30)
REMOVAL_FOR: Final = timedelta(hours=1)
# Asking the host again would change nothing, as long as no person does something about it.
_Hopeless: Final = (CredentialsRefused, RemoteNotFound, RemoteRejected, EgressRefused)


@dataclass(frozen=True)
class OwnWebhook:
    """Keeps the webhook of an integration at its host."""

    around: Surroundings

    def advice(self, integration: Integration, error: RemoteError) -> str:
        """What comes next when it could not be registered; a person adds it where only the right is missing."""
        is_unknown = isinstance(error, CredentialsRefused) and error.status == 401  # noqa: PLR2004
        if is_unknown or not isinstance(error, _Hopeless):
            return "Tieline tries again by itself."
        return self._by_hand(integration)

    def _by_hand(self, integration: Integration) -> str:
        events = self.around.registry[integration.type].hook_events
        wanted = f"these events: {', '.join(events)}" if events else "all push and pull request events"
        return (
            f"Until then Tieline looks every {self.around.reconcile_seconds:.0f} seconds. To be told at once, add a "
            f"webhook by hand in the settings of the repository: URL {self.around.hook_url(integration)}, {wanted}."
        )

    async def ensure(self, integration: Integration) -> bool:
        """True when something was changed at the host. That it was tried is noted, whatever came of it."""
        registrar = self.around.registry.hook_registrar(integration)
        if registrar is None:
            return False
        state: dict[str, object] = {"hook_checked_at": now()}
        try:
            hook, changed = await registrar.ensure(self.around.hook_url(integration), integration.hook_id)
            state |= {"hook_id": hook.id}
        except RemoteError as error:
            if not isinstance(error, _Hopeless):
                state = {"hook_checked_at": now() - CHECK_EVERY + RETRY_AFTER}
            raise
        finally:
            async with self.around.db.transaction() as conn:
                await integrations.save_state(conn, integration.id, **state)
        return changed

    async def check(self, integration: Integration) -> None:
        """Repair what somebody did to the webhook, once it was registered (or refused) and an hour has gone by."""
        checked = integration.hook_checked_at
        if checked is None or now() - checked < CHECK_EVERY:
            return
        try:
            if await self.ensure(integration):
                log.info("hook_repaired", integration=integration.id)
        except RemoteError as error:
            log.warning("hook_check_failed", integration=integration.id, error=str(error))

    async def remove(self, integration: Integration) -> bool:
        """True when the hook is gone, or there is no hope that it ever goes."""
        registrar = self.around.registry.hook_registrar(integration)
        deleted, due, moment = integration.deleted_at, integration.next_reconcile_at, now()
        if registrar is None or deleted is None:
            return True
        if due is not None and moment < due:
            return False
        async with self.around.db.connection() as conn:
            if await integrations.shares_hook(conn, integration):
                return True
        try:
            await registrar.remove(self.around.hook_url(integration), integration.hook_id)
        except RemoteError as error:
            hopeless = isinstance(error, _Hopeless) or moment - deleted > REMOVAL_FOR
            log.warning("hook_not_removed", integration=integration.id, error=str(error), given_up=hopeless)
            again = error.until if isinstance(error, RateLimited) else moment + REMOVAL_EVERY
            async with self.around.db.transaction() as conn:
                await integrations.postpone_removal(conn, integration.id, again)
            return hopeless
        return True
