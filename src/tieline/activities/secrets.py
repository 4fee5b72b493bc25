"""Which secrets an activity may come across, so that its log masks them."""

import asyncio

from tieline.core.documents import Activity
from tieline.core.redact import Redactor
from tieline.integrations.base import Registry
from tieline.store import environments, integrations, variables
from tieline.store.database import Connection, Database
from tieline.store.seal import SecretBox


class KnownSecrets:
    """Reads the secrets of an activity's integration, with its variables, and of its environment."""

    def __init__(self, db: Database, box: SecretBox, registry: Registry) -> None:
        self._db = db
        self._box = box
        self._registry = registry

    async def redactor_of(self, activity: Activity) -> Redactor:
        """Raises `Unavailable` when a secret cannot be opened."""
        async with self._db.connection() as conn:
            passwords, follows = await self._environment(conn, activity)
            secrets = await self._integration(conn, activity.integration_id or follows)
        # With as many passwords as there may be, this takes half a second, in which everybody else would wait.
        return await asyncio.to_thread(Redactor, [*secrets, *passwords])

    async def _environment(self, conn: Connection, activity: Activity) -> tuple[list[str], str | None]:
        """The passwords of its HTTP access, and the integration that it follows."""
        if activity.environment_id is None:
            return [], None
        environment = await environments.find(conn, activity.project_id, activity.environment_id)
        if environment is None:
            return [], None
        return list(environment.http_access.get("basic_auth", {}).values()), environment.integration_id

    async def _integration(self, conn: Connection, integration_id: str | None) -> list[str]:
        if integration_id is None:
            return []
        integration = await integrations.find_any(conn, self._box, integration_id)
        if integration is None:
            return []
        known = await variables.load_all(conn, self._box, integration.id)
        return self._registry.secret_texts(integration, known)
