"""The environments of a project as bytes, as this process last wrote them: a list of thousands costs what changed."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from tieline.api.documents import Writer
from tieline.api.responses import render_to_keep
from tieline.api.turns import Turns
from tieline.core.documents import DeploymentOutcome, Environment, Project
from tieline.store import activities
from tieline.store.database import Connection
from tieline.store.environment_memory import EnvironmentMemory

MOST: Final = 10_000
# Who comes while a project is being listed finds most of it written, rather than write it a second time.
_AT_ONCE: Final = 2
# So many are written at a time before others have their turn.
_BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class _Written:
    """The bytes of an environment, and all that they were made of."""

    environment: Environment
    last: DeploymentOutcome | None
    region: str
    body: bytes

    def is_of(self, environment: Environment, last: DeploymentOutcome | None, region: str) -> bool:
        same = self.environment is environment or self.environment == environment
        return same and self.last == last and self.region == region


_Page = Mapping[str, _Written]


class Listings:
    """Never stale: what there is, and in which version, is asked for every time.

    The projects that were listed longest ago are forgotten when there is too much.
    """

    def __init__(self, writer: Writer, most: int = MOST) -> None:
        self._writer = writer
        self._most = most
        self._memory = EnvironmentMemory(most)
        self._pages: OrderedDict[tuple[str, bool], _Page] = OrderedDict()
        self._turns = Turns(_AT_ONCE)

    def turn(self, project_id: str) -> AbstractAsyncContextManager[None]:
        """To be taken before a connection, so that the many who list one project leave some to everybody else."""
        return self._turns.take(project_id)

    async def load(
        self, conn: Connection, project: Project, takes: Callable[[Environment], bool], *, is_admin: bool
    ) -> bytes:
        """Those environments that `takes` takes, as a JSON array. `conn` must be a `Database.snapshot()`."""
        found = await self._memory.load_all(conn, project.id)
        active = [each.id for each in found if each.status == "active"]
        last = await activities.last_deployments(conn, project.id, active) if active else {}
        page = await self._write(project, found, last, is_admin=is_admin)
        self._remember((project.id, is_admin), page)
        return b"[" + b",".join(page[each.id].body for each in found if takes(each)) + b"]"

    async def _write(
        self,
        project: Project,
        found: Sequence[Environment],
        last: Mapping[str, DeploymentOutcome],
        *,
        is_admin: bool,
    ) -> _Page:
        before = self._pages.get((project.id, is_admin), {})
        page: dict[str, _Written] = {}
        async for each in _in_batches(found):
            known, outcome = before.get(each.id), last.get(each.id)
            if known is None or not known.is_of(each, outcome, project.region):
                document = self._writer.environment(each, project, outcome, is_admin=is_admin)
                known = _Written(each, outcome, project.region, render_to_keep(document))
            page[each.id] = known
        return page

    def _remember(self, key: tuple[str, bool], page: _Page) -> None:
        self._pages[key] = page
        self._pages.move_to_end(key)
        total = sum(len(each) for each in self._pages.values())
        while total > self._most:
            _, forgotten = self._pages.popitem(last=False)
            total -= len(forgotten)


async def _in_batches(environments: Sequence[Environment]) -> AsyncIterator[Environment]:
    for place, each in enumerate(environments):
        if place % _BATCH == _BATCH - 1:
            await asyncio.sleep(0)
        yield each
