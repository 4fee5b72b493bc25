"""Ask for a reconcile, from wherever the hint comes: a burst of hints becomes one fetch."""

from typing import Final

from tieline.core.documents import Activity, Actor, Integration, NewActivity, Project
from tieline.core.kinds import fetch, fetch_parameters, integration_key, merge_fetch_parameters
from tieline.core.remote import Scope
from tieline.store import activities
from tieline.store.database import Connection

EVERYTHING: Final = Scope()


async def request_fetch(
    conn: Connection,
    project: Project,
    integration: Integration,
    actor: Actor,
    title: str,
    scope: Scope = EVERYTHING,
    *,
    reason: str,
    confirm_prune: bool = False,
) -> Activity:
    """The fetch activity that will do this: one that waits still, with its scope widened, or a new one.

    `title` is the integration type's; `reason` one of `hook`, `timer`, `created`, `updated`, `requested`.
    Call it after everything that the transaction does to environments and integrations.
    """
    parameters = fetch_parameters(scope, reason, confirm_prune=confirm_prune)
    new: NewActivity = fetch(project, integration, title, actor, parameters)
    waiting = await activities.pending_of(conn, integration_key(integration.id), new.type)
    if waiting is not None:
        merged = await activities.merge_parameters(
            conn, waiting, lambda present: merge_fetch_parameters(present, parameters)
        )
        if merged:
            return waiting
    return await activities.create(conn, new)
