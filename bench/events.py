"""Pushes that ended, as the server itself writes them: by its store."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from bench.rows import add_environments, dsn
from tests.story.support import Server
from tieline.core import kinds
from tieline.core.documents import Actor, Commit, Environment, NewActivity, Project
from tieline.store import activities, environments, projects
from tieline.store.database import Database

ENVIRONMENTS = 10
WRITERS = 4

_COMMIT = Commit("a" * 40, "Ann Smith", "ann@example.com", 1767225600, "Change what the page says", ("b" * 40,))
_ACTOR = Actor("ann", "Ann Smith")


class Happenings:
    """What happens in one project, in turns in each of its environments."""

    def __init__(self, db: Database, project: Project, places: Sequence[Environment]) -> None:
        self.project_id = project.id
        self._db = db
        self._pushes = itertools.cycle([_push(project, place) for place in places])

    async def happen(self) -> str:
        """Commit one event; the id of its activity."""
        async with self._db.transaction() as conn:
            return (await activities.create(conn, next(self._pushes))).id

    async def happen_often(self, count: int) -> float:
        """Commit so many at once, so that making them takes nothing from delivering them; the `time.time` of that."""
        async with self._db.transaction() as conn:
            for _ in range(count):
                await activities.create(conn, next(self._pushes))
            return time.time()

    async def happen_steadily(self, per_second: float, seconds: float) -> dict[str, float]:
        """Commit at a fixed rate, whoever is late; by activity, when it was due on the clock of `perf_counter`."""
        due: dict[str, float] = {}

        async def one(moment: float) -> None:
            due[await self.happen()] = moment

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(int(per_second * seconds)):
                moment = began + number / per_second
                await asyncio.sleep(max(0.0, moment - time.perf_counter()))
                group.create_task(one(moment))
        return due


def _push(project: Project, place: Environment) -> NewActivity:
    """One that is complete at once: without the key nobody has to build it."""
    return replace(kinds.push(project, place, [_COMMIT], 1, _ACTOR), concurrency_key=None)


@asynccontextmanager
async def store_of(server: Server) -> AsyncIterator[Database]:
    """The store of a running server, for the events that Bench writes itself."""
    async with Database(dsn(server), max_size=WRITERS) as db:
        yield db


async def happenings(server: Server, db: Database, project_id: str) -> Happenings:
    """Those of a project, which is given its environments."""
    add_environments(server, project_id, ENVIRONMENTS - 1)
    async with db.connection() as conn:
        return Happenings(db, await projects.get(conn, project_id), await environments.load_all(conn, project_id))
