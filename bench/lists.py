"""Lists that grow: what a long one costs against a short one of the same server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.load import closed_loop, request_bytes
from bench.rows import add_activities, add_environments
from bench.table import Row
from tests.story.conftest import free_port
from tests.story.support import ADMIN_TOKEN, Server

MANY_ACTIVITIES, FEW_ACTIVITIES = 200_000, 20
MANY_ENVIRONMENTS, FEW_ENVIRONMENTS = 5000, 50
ROUNDS = 5
SECONDS = 0.3
SIDES = ("a project's", "an environment's", "an integration's")
FILTERS = {
    "of one type": "type=environment.merge",
    "failed": "result=failure",
    "of one type and failed": "type=environment.merge&result=failure&state=complete",
    "of sixty types": "&".join(f"type=environment.{each}" for each in ("merge", *map(str, range(60)))),
}


@dataclass
class Sized:
    """A project that is long, or short."""

    path: str
    medians: list[float]


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Server]:
    folder.mkdir(parents=True, exist_ok=True)
    async with Server(folder, {}, free_port()) as server:
        yield server


async def _create(server: Server) -> tuple[str, str]:
    """A project and an integration of it that does nothing of its own."""
    created = await server.call("POST", "/projects", {"title": "Bench"}, expect=201)
    project = created["_embedded"]["entity"]["id"]
    hook = {"type": "webhook", "url": "https://example.com/hook"}
    added = await server.call("POST", f"/projects/{project}/integrations", hook, expect=201)
    return project, added["_embedded"]["entity"]["id"]


async def _compare(server: Server, long: str, short: str) -> tuple[float, float]:
    """The median of each, in seconds, taken in turns so that a busy moment meets both."""
    sides = [Sized(long, []), Sized(short, [])]
    for _ in range(ROUNDS):
        for side in sides:
            request = request_bytes("GET", side.path, {"authorization": f"Bearer {ADMIN_TOKEN}"})
            result = await closed_loop(server.port, lambda: request, connections=1, seconds=SECONDS)  # noqa: B023
            assert set(result.statuses) == {200}
            side.medians.append(result.percentile(0.5))
    middle = [sorted(side.medians)[ROUNDS // 2] for side in sides]
    return middle[0], middle[1]


async def activity_list(folder: Path) -> list[Row]:
    """The first page of activities, in a project that has many and in one that has few."""
    async with serving(folder) as server:
        many, few = [await _with_activities(server, count) for count in (MANY_ACTIVITIES, FEW_ACTIVITIES)]
        plain = await _compare(server, f"{many[0]}?count=20", f"{few[0]}?count=20")
        # The short project has nothing but what is rare in the long one.
        filtered = {
            f"{side}, {name}": await _compare(server, f"{long}?count=20&{query}", f"{short}?count=20&{query}")
            for side, long, short in zip(SIDES, many, few, strict=True)
            for name, query in FILTERS.items()
        }
        worst = max(filtered, key=lambda each: filtered[each][0] / filtered[each][1])
    title = f"first page of activities, {MANY_ACTIVITIES:,} against {FEW_ACTIVITIES}"
    return [_row(title, *plain, 1.5), _row(f"the same at its worst: {worst}", *filtered[worst], 1.5)]


async def _with_activities(server: Server, count: int) -> list[str]:
    """The lists of a project, of its environment and of its integration, which all have the same activities."""
    project, integration = await _create(server)
    add_environments(server, project, 0)
    add_activities(server, project, integration, count, FEW_ACTIVITIES)
    sides = ("", "/environments/main", f"/integrations/{integration}")
    return [f"/projects/{project}{side}/activities" for side in sides]


async def environment_list(folder: Path) -> list[Row]:
    """What a byte of the list costs, where it is long and where it is short."""
    async with serving(folder) as server:
        paths = [await _with_environments(server, count) for count in (MANY_ENVIRONMENTS, FEW_ENVIRONMENTS)]
        sizes = [len(orjson.dumps(await server.get(path))) / 1000 for path in paths]
        long, short = await _compare(server, *paths)
    share = long / sizes[0], short / sizes[1]
    title = f"environments, {MANY_ENVIRONMENTS:,} against {FEW_ENVIRONMENTS}, per kB"
    return [_row(title, *share, 3)]


def _row(title: str, long: float, short: float, most: float) -> Row:
    figure = long / short
    shown = [f"{each * 1000:.3g} ms" for each in (long, short)]
    return Row(title, shown[0], shown[1], f"{figure:.2f}", f"<= {most}", figure <= most)


async def _with_environments(server: Server, count: int) -> str:
    project, _ = await _create(server)
    add_environments(server, project, count - 1)
    return f"/projects/{project}/environments"
