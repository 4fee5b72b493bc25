"""Environments as this process last read them, so that looking at two thousand costs what changed among them."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, LiteralString

from tieline.core.documents import Environment
from tieline.store import environments
from tieline.store.database import Connection

MOST_ENVIRONMENTS: Final = 50_000
_Versions = Mapping[str, str]

# A row's `xmin` is the transaction that wrote it: where that is the same, so is the row.
_VERSIONS: Final[LiteralString] = """
    select coalesce(jsonb_object_agg(id, xmin::text), '{}') as versions from environment where project_id = %s
"""
_BUSY: Final[LiteralString] = """
    select distinct environment_id as id from activity
    where project_id = %s and environment_id is not null and state in ('pending', 'in_progress')
"""


class EnvironmentMemory:
    """What `environments.load_all` gives, with only those rows read that were written since the last time.

    It is never stale: which rows there are, and in which version, is asked for every time. The projects that
    were read longest ago are forgotten when there is too much.
    """

    def __init__(self, most: int = MOST_ENVIRONMENTS) -> None:
        self._most = most
        self._known: OrderedDict[str, tuple[_Versions, Mapping[str, Environment]]] = OrderedDict()

    async def load_all(self, conn: Connection, project_id: str) -> list[Environment]:
        """Every environment of the project, by id. `conn` must be a `Database.snapshot()`."""
        before, known = self._known.get(project_id, ({}, {}))
        versions = await _read_versions(conn, project_id)
        stale = [each for each, version in versions.items() if before.get(each) != version]
        fresh = {each.id: each for each in await environments.load_some(conn, project_id, stale)}
        current = {each: fresh.get(each) or known[each] for each in sorted(versions)}
        self._remember(project_id, versions, current)
        busy = await _read_busy(conn, project_id)
        return [_with_activity(each, is_busy=each.id in busy) for each in current.values()]

    def _remember(self, project_id: str, versions: _Versions, current: Mapping[str, Environment]) -> None:
        self._known[project_id] = (versions, current)
        self._known.move_to_end(project_id)
        total = sum(len(versions) for versions, _ in self._known.values())
        while total > self._most:
            _, (forgotten, _) = self._known.popitem(last=False)
            total -= len(forgotten)


async def _read_versions(conn: Connection, project_id: str) -> _Versions:
    cursor = await conn.execute(_VERSIONS, [project_id])
    row = await cursor.fetchone()
    return row["versions"] if row else {}


async def _read_busy(conn: Connection, project_id: str) -> frozenset[str]:
    cursor = await conn.execute(_BUSY, [project_id])
    return frozenset([row["id"] for row in await cursor.fetchall()])


def _with_activity(environment: Environment, *, is_busy: bool) -> Environment:
    """Activities come and go without a word in the environment's row."""
    return (
        environment
        if environment.has_pending_activity == is_busy
        else replace(environment, has_pending_activity=is_busy)
    )
