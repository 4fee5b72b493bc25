"""What is remembered of environments is never stale, whoever changed them."""

from dataclasses import replace

from tests.unit.sync.world import env, main, sha
from tieline.core import kinds
from tieline.core.documents import Actor, Environment, Project
from tieline.store import activities, environments
from tieline.store.database import Database
from tieline.store.environment_memory import EnvironmentMemory

ANN = Actor("ann", "Ann")


async def remembered(database: Database, memory: EnvironmentMemory, project: Project) -> list[Environment]:
    """What memory says, checked against the table."""
    async with database.snapshot() as conn:
        found = await memory.load_all(conn, project.id)
        assert found == await environments.load_all(conn, project.id)
    return found


async def test_every_kind_of_change_is_seen(database: Database, project: Project) -> None:
    memory = EnvironmentMemory()
    assert await remembered(database, memory, project) == []
    async with database.transaction() as conn:
        rows = [replace(each, integration_id=None) for each in (main(), env("a"), env("b"))]
        await environments.create_many(conn, rows)
    assert [each.id for each in await remembered(database, memory, project)] == ["a", "b", "main"]

    async with database.transaction() as conn:
        await environments.save(conn, project.id, "a", title="Another")
        await environments.save(conn, project.id, "a", title="A third")
        await environments.update_heads(conn, project.id, {"b": sha("9")})
    found = {each.id: each for each in await remembered(database, memory, project)}
    assert (found["a"].title, found["b"].head_commit) == ("A third", sha("9"))

    async with database.transaction() as conn:
        await environments.remove(conn, project.id, "b")
        await activities.create(conn, kinds.activate(project, found["a"], ANN))
    found = {each.id: each for each in await remembered(database, memory, project)}
    assert sorted(found) == ["a", "main"]
    assert found["a"].has_pending_activity

    async with database.transaction() as conn:
        for each in await activities.open_of(conn, kinds.environment_key(project.id, "a")):
            await activities.cancel_pending(conn, each)
    found = {each.id: each for each in await remembered(database, memory, project)}
    assert not found["a"].has_pending_activity


async def test_nothing_is_read_twice(database: Database, project: Project) -> None:
    memory = EnvironmentMemory()
    async with database.transaction() as conn:
        await environments.create_many(conn, [replace(main(), integration_id=None)])
    first = await remembered(database, memory, project)
    second = await remembered(database, memory, project)
    assert first[0] is second[0]


async def test_what_is_too_much_is_forgotten_and_read_again(database: Database, project: Project) -> None:
    memory = EnvironmentMemory(most=1)
    async with database.transaction() as conn:
        await environments.create_many(conn, [replace(each, integration_id=None) for each in (main(), env("a"))])
    first = await remembered(database, memory, project)
    second = await remembered(database, memory, project)
    assert first == second
    assert first[0] is not second[0]
