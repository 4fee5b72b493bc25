"""A project with environments and an integration, and what wakes those who wait."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

import pytest

from tests.unit.core import samples
from tieline.activities.signals import Signals
from tieline.core import kinds
from tieline.core.documents import Activity, Environment, LogLine, NewActivity
from tieline.core.secret import Secret
from tieline.store import activities, environments, integrations, logs, projects
from tieline.store.database import Database
from tieline.store.listener import Listener
from tieline.store.seal import SecretBox

BOX = SecretBox([Secret("a key for tests")])


async def eventually(check: Callable[[], Awaitable[bool]], seconds: float = 15) -> None:
    """Wait until the check says yes."""
    deadline = time.monotonic() + seconds
    while not await check():
        assert time.monotonic() < deadline, "waited too long"
        await asyncio.sleep(0.01)


@dataclass(frozen=True)
class World:
    """The store as tests look at it."""

    db: Database
    signals: Signals

    async def create(self, new: NewActivity) -> Activity:
        async with self.db.transaction() as conn:
            return await activities.create(conn, new)

    async def push(self, environment: Environment = samples.PULL) -> Activity:
        return await self.create(kinds.push(samples.PROJECT, environment, [samples.CHANGE], 1, samples.ANN))

    async def activity(self, activity: Activity) -> Activity:
        async with self.db.connection() as conn:
            return await activities.get(conn, activity.project_id, activity.id)

    async def environment(self, environment_id: str) -> Environment | None:
        async with self.db.connection() as conn:
            return await environments.find(conn, samples.PROJECT.id, environment_id)

    async def log(self, activity: Activity) -> list[LogLine]:
        async with self.db.connection() as conn:
            return await logs.load(conn, activity.id, limit=100_000)

    async def text(self, activity: Activity) -> str:
        return "".join(line.message for line in await self.log(activity))

    async def wait_for_text(self, activity: Activity, text: str) -> None:
        async def is_there() -> bool:
            return text in await self.text(activity)

        await eventually(is_there)

    async def jobs(self, task: str) -> list[dict[str, object]]:
        async with self.db.connection() as conn:
            cursor = await conn.execute("select * from procrastinate_jobs where task_name = %s order by id", [task])
            return await cursor.fetchall()


async def furnish(db: Database) -> None:
    """One project, its production environment, a pull request's, and the integration that both follow."""
    async with db.transaction() as conn:
        await conn.execute("insert into account (id, username, email) values ('user-1', 'ann', 'ann@example.org')")
        await projects.create(conn, samples.PROJECT)
        await integrations.create(conn, BOX, samples.INTEGRATION, is_git_source=True)
        await environments.create_many(conn, [replace(samples.MAIN), replace(samples.PULL)])


@pytest.fixture
async def world(database: Database, dsn: str) -> AsyncIterator[World]:
    await furnish(database)
    listener = Listener(dsn)
    signals = Signals(listener)
    await listener.start()
    yield World(database, signals)
    await listener.close()
