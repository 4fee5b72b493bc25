from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.git.http_backend import git_server
from tests.git.repository import HostedRepository
from tests.sync.forge import NAME, Forge
from tieline.core.clock import now
from tieline.core.documents import Account, Activity, Environment, Integration, Project
from tieline.core.kinds import integration_actor
from tieline.core.ports import Outcome, Toolbox
from tieline.core.remote import Scope
from tieline.core.secret import Secret
from tieline.git.mirror import Mirror, Repositories
from tieline.integrations.base import Registry
from tieline.net.client import GuardedClient
from tieline.net.egress import Policy, parse_networks
from tieline.net.resolve import resolve_pinned
from tieline.store import accounts, activities, environments, fetches, integrations, projects
from tieline.store.activities import ActivityQuery
from tieline.store.database import Database
from tieline.store.seal import SecretBox
from tieline.sync.handlers import SourceWork
from tieline.sync.reconcile import Surroundings

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
LOOPBACK = Policy(parse_networks("127.0.0.0/8"))
BOX = SecretBox([Secret("a key of the tests")])
INTEGRATION = "integration23"


class FreeLimiter:
    """No limit: nobody is asked here."""

    async def take(self, credential: str, per_hour: int) -> None: ...

    async def block(self, credential: str, seconds: float) -> None: ...


@dataclass
class Lines:
    """The log of one activity. `dies` ends the worker after the first step that it tells of."""

    lines: list[str] = field(default_factory=list)
    dies: bool = False

    async def write(self, text: str) -> None:
        self.lines.append(text)
        if self.dies and text != "No changes since last fetch":
            raise WorkerDied


class WorkerDied(BaseException):
    """Nothing of ours may catch this."""


@dataclass
class Follower:
    """A project that follows a host, and everything that works for it."""

    database: Database
    project_id: str
    work: SourceWork
    mirror: Mirror

    async def fetch(
        self,
        scope: Scope = fetches.EVERYTHING,
        *,
        reason: str = "requested",
        confirm: bool = False,
        log: Lines | None = None,
    ) -> tuple[Outcome, list[str]]:
        """One fetch activity from its request to its end; its outcome and log."""
        integration = await self.integration()
        async with self.database.transaction() as conn:
            project = await projects.get(conn, self.project_id)
            actor = integration_actor(integration, "Forge")
            asked = await fetches.request_fetch(
                conn, project, integration, actor, "Forge", scope, reason=reason, confirm_prune=confirm
            )
        return await self.run(asked, log)

    async def run(self, activity: Activity, log: Lines | None = None) -> tuple[Outcome, list[str]]:
        out = log or Lines()
        async with self.database.transaction() as conn:
            begun = await activities.begin(conn, activity.id)
        assert begun is not None
        handler = self.work.fetch if begun.type.endswith(".fetch") else self.work.register_hooks
        outcome = await handler(begun, out)
        async with self.database.transaction() as conn:
            assert await activities.finish(conn, begun, outcome)
        return outcome, out.lines

    async def hook(self, *pulls: int) -> tuple[Outcome, list[str]]:
        return await self.fetch(Scope(frozenset(pulls), repository=False), reason="hook")

    async def environments(self) -> dict[str, Environment]:
        async with self.database.connection() as conn:
            return {each.id: each for each in await environments.load_all(conn, self.project_id)}

    async def integration(self) -> Integration:
        async with self.database.connection() as conn:
            return await integrations.get_any(conn, BOX, INTEGRATION)

    async def configure(self, **config: object) -> None:
        integration = await self.integration()
        async with self.database.transaction() as conn:
            await integrations.update(conn, BOX, integration, config={**integration.config, **config})

    async def activities(self, kind: str | None = None) -> list[Activity]:
        """Oldest first."""
        async with self.database.connection() as conn:
            found = await activities.page(
                conn, self.project_id, ActivityQuery(types=[kind] if kind else [], count=1000)
            )
        return found[::-1]

    async def finish_removals(self) -> None:
        """What the activity `environment.delete` does at its end."""
        for each in (await self.environments()).values():
            if each.status == "deleting":
                async with self.database.transaction() as conn:
                    await environments.remove(conn, self.project_id, each.id)

    async def end_activities(self) -> None:
        """As if a worker had built everything that waits."""
        async with self.database.transaction() as conn:
            await conn.execute(
                "update activity set state = 'complete', result = 'success', completed_at = now() "
                "where state in ('pending', 'in_progress')"
            )

    async def age_hold(self, seconds: float) -> None:
        integration = await self.integration()
        assert integration.prune_hold is not None
        since = (integration.prune_hold.since - timedelta(seconds=seconds)).isoformat()
        async with self.database.transaction() as conn:
            await conn.execute(
                "update integration set prune_hold = jsonb_set(prune_hold, '{since}', to_jsonb(%s::text))", [since]
            )

    async def let_interval_pass(self) -> None:
        """As if all had been well at the last look, and that were five minutes ago."""
        await self.set_state(reconciled_at=now() - timedelta(minutes=5))

    async def set_state(self, **columns: Any) -> None:
        async with self.database.transaction() as conn:
            await integrations.save_state(conn, INTEGRATION, **columns)


@dataclass
class Room(Follower):
    """A project that follows a forge."""

    forge: Forge


def follower(database: Database, project_id: str, folder: Path, registry: Registry, http: GuardedClient) -> Follower:
    """What the composition root wires, for one project."""
    repositories = Repositories(folder, partial(resolve_pinned, LOOPBACK), http)
    around = Surroundings(database, BOX, registry, repositories, lambda each: f"https://tieline.example/{each.id}/hook")
    return Follower(database, project_id, SourceWork(around), repositories.open(project_id))


@pytest.fixture
async def project(database: Database) -> Project:
    account = Account("account234567", "ada", "ada@example.com", "Ada", "Lovelace", is_operator=True, created_at=NOW)
    found = Project("project234567", "Site", "", {}, None, "UTC", "local", account.id, NOW, None)
    async with database.transaction() as conn:
        await accounts.create(conn, account)
        await projects.create(conn, found)
    return found


@pytest.fixture
async def integration(database: Database, project: Project) -> Integration:
    found = Integration(INTEGRATION, project.id, "forge", {"repository": NAME}, NOW, None, next_reconcile_at=NOW)
    async with database.transaction() as conn:
        await integrations.create(conn, BOX, found, is_git_source=True)
    return found


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    root = tmp_path / "host"
    repository = HostedRepository.create(root / "site.git")
    with git_server(root) as server:
        yield Forge(server, repository)


@pytest.fixture
async def http() -> AsyncIterator[GuardedClient]:
    client = GuardedClient(LOOPBACK, "tieline-test")
    yield client
    await client.close()


@pytest.fixture
def room(tmp_path: Path, database: Database, integration: Integration, forge: Forge, http: GuardedClient) -> Room:
    """With one commit on `main` and on `feature/a`."""
    first = forge.repository.commit("main", "main", message="Start")
    forge.repository.commit("feature/a", "a", parent=first, message="Add a")
    registry = Registry((forge.type(),), Toolbox(http, FreeLimiter(), {}))
    made = follower(database, integration.project_id, tmp_path / "repositories", registry, http)
    return Room(**vars(made), forge=forge)
