"""Build statuses: what the Git host is told about each commit, written with the change that makes it true."""

from dataclasses import asdict
from typing import Final

from tieline.core import kinds
from tieline.core.documents import Activity, Environment
from tieline.core.ids import status_key
from tieline.core.remote import BuildState, BuildStatus
from tieline.integrations.base import Registry
from tieline.store import environments, integrations, outbox
from tieline.store.database import Connection
from tieline.store.deliveries import NewDelivery
from tieline.store.seal import SecretBox

LONGEST_DESCRIPTION: Final = 140
_BUILDING: Final = frozenset({kinds.PUSH, kinds.ACTIVATE, kinds.RESUME, kinds.REDEPLOY})
_SENTENCES: Final[dict[BuildState, str]] = {
    "running": "Tieline is building the environment {}",
    "succeeded": "The environment {} is deployed",
    "failed": "The environment {} could not be deployed",
    "stopped": "The build of the environment {} was cancelled",
}


class BuildStatuses:
    """Announces activities that build a commit. `public_url` is the root under which people reach this server."""

    def __init__(self, registry: Registry, box: SecretBox, public_url: str) -> None:
        self._registry = registry
        self._box = box
        self._public_url = public_url.rstrip("/")

    async def announce(self, conn: Connection, activity: Activity, state: BuildState) -> None:
        """Add a delivery when the environment follows a Git host that takes build statuses."""
        if activity.type not in _BUILDING or activity.environment_id is None:
            return
        environment = await environments.find(conn, activity.project_id, activity.environment_id)
        if environment is None or environment.integration_id is None:
            return
        status = plan_status(activity, environment, state, self._public_url)
        if status is not None and await self._is_wanted(conn, environment.integration_id):
            await outbox.deliver(conn, _delivery(activity, environment.integration_id, status))

    async def _is_wanted(self, conn: Connection, integration_id: str) -> bool:
        integration = await integrations.find_any(conn, self._box, integration_id)
        if integration is None or integration.deleted_at is not None or integration.type not in self._registry:
            return False
        return self._registry[integration.type].status_reporter is not None


def plan_status(activity: Activity, environment: Environment, state: BuildState, public_url: str) -> BuildStatus | None:
    """What to say about the activity's commit; None when it has none."""
    commit = kinds.commit_of(activity, environment)
    if not commit:
        return None
    return BuildStatus(
        commit=commit,
        key=status_key(activity.project_id, environment.id),
        state=state,
        name=f"Tieline: {environment.id}",
        description=_SENTENCES[state].format(environment.id)[:LONGEST_DESCRIPTION],
        url=status_url(activity, environment, state, public_url),
        refname=refname_of(environment),
        fork=environment.pull.source_repository if environment.pull and environment.pull.is_fork else None,
    )


def status_url(activity: Activity, environment: Environment, state: BuildState, public_url: str) -> str:
    """Where the environment can be seen; the activity while it cannot, and when the commit never got there."""
    if environment.deployment and environment.deployment.urls and state != "failed":
        return environment.deployment.urls[0]
    return f"{public_url}/api/projects/{activity.project_id}/activities/{activity.id}"


def refname_of(environment: Environment) -> str | None:
    """The branch of the integration's own repository that the commit is on; none for a fork's."""
    if environment.pull is None:
        return environment.name
    return None if environment.pull.is_fork else environment.pull.source_branch


def _delivery(activity: Activity, integration_id: str, status: BuildStatus) -> NewDelivery:
    return NewDelivery(
        project_id=activity.project_id,
        integration_id=integration_id,
        kind="commit_status",
        cause_id=activity.id,
        order_key=f"{integration_id}/{status.commit}/{status.key}",
        payload=asdict(status),
    )
