"""An integration whose host keeps the build statuses it is told, or refuses them as tests say."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from tests.activities.conftest import BOX, furnish
from tests.unit.core.samples import INTEGRATION, PROJECT
from tieline.core.documents import Integration
from tieline.core.errors import RemoteError
from tieline.core.http import Request, Response
from tieline.core.ports import Toolbox
from tieline.core.remote import BuildStatus
from tieline.dispatch.sender import Sender
from tieline.integrations.base import IntegrationType, Registry
from tieline.integrations.fields import IntegrationFields
from tieline.store import deliveries
from tieline.store.database import Database
from tieline.store.deliveries import NewDelivery


@dataclass
class Host:
    """A host in memory. `errors` are raised one after the other; `slow` holds every answer until it is set."""

    statuses: list[BuildStatus] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    slow: asyncio.Event | None = None
    at_once: int = 0
    most_at_once: int = 0
    of_key: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def report(self, status: BuildStatus) -> None:
        self.at_once += 1
        self.of_key[status.commit] += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        assert self.of_key[status.commit] == 1, "two statuses of one commit at once"
        try:
            await (self.slow.wait() if self.slow else asyncio.sleep(0))
            if self.errors:
                raise self.errors.pop(0)
            self.statuses.append(status)
        finally:
            self.at_once -= 1
            self.of_key[status.commit] -= 1

    def states(self, commit: str = "c" * 40) -> list[str]:
        return [status.state for status in self.statuses if status.commit == commit]


class NoHTTP:
    async def send(self, request: Request) -> Response:
        raise RemoteError(f"nothing is to be sent to {request.url}")


class NoLimit:
    async def take(self, credential: str, per_hour: int) -> None:
        """Everything is allowed."""

    async def block(self, credential: str, seconds: float) -> None:
        """Nothing is blocked."""


def registry_of(host: Host, *, reports: bool = True) -> Registry:
    def reporter(_integration: Integration, _toolbox: Toolbox) -> Host:
        return host

    kind = IntegrationType(
        key="bitbucket",
        title="Bitbucket",
        summary="",
        fields=IntegrationFields,
        example={},
        status_reporter=reporter if reports else None,
    )
    return Registry((kind,), Toolbox(NoHTTP(), NoLimit(), {}))


@dataclass
class Post:
    """The outbox and its sender."""

    db: Database
    host: Host
    sender: Sender

    async def add(self, state: str, commit: str = "c" * 40) -> int:
        status = {
            "commit": commit,
            "key": "key",
            "state": state,
            "name": "Tieline",
            "description": "",
            "url": "https://tieline.example/",
            "refname": None,
        }
        order_key = f"{INTEGRATION.id}/{commit}/key"
        async with self.db.transaction() as conn:
            new = NewDelivery(PROJECT.id, INTEGRATION.id, None, "commit_status", order_key, status)
            return await deliveries.add(conn, new)

    async def send(self) -> None:
        await self.sender.send_deliveries(INTEGRATION.id)

    async def row(self, number: int) -> dict[str, object]:
        async with self.db.connection() as conn:
            cursor = await conn.execute("select * from delivery where id = %s", [number])
            row = await cursor.fetchone()
        assert row is not None
        return row

    async def make_due(self) -> None:
        """Let the time until every next attempt pass."""
        async with self.db.connection() as conn:
            await conn.execute("update delivery set next_attempt_at = now() where state = 'pending'")

    async def wait_of(self, number: int) -> timedelta:
        moment = (await self.row(number))["next_attempt_at"]
        assert isinstance(moment, datetime)
        return moment - datetime.now(UTC)


@pytest.fixture
async def post(database: Database) -> Post:
    await furnish(database)
    host = Host()
    return Post(database, host, Sender(database, registry_of(host), BOX))
