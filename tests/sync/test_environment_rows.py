"""Environments in the database: what goes in comes out, in bulk and one by one."""

from dataclasses import replace

import pytest

from tests.sync.conftest import NOW
from tests.unit.sync.world import env, main, pull_env, sha
from tieline.core import kinds
from tieline.core.documents import Actor, Deployment, Environment, Project
from tieline.core.errors import NotFound
from tieline.store import activities, environments
from tieline.store.database import Database


def rows(*given: Environment) -> list[Environment]:
    """As they are written for this project, whose integration is not in the database."""
    return [replace(each, integration_id=None) for each in given]


async def stored(database: Database, *given: Environment) -> None:
    async with database.transaction() as conn:
        await environments.create_many(conn, rows(*given))


async def load(database: Database, project: Project) -> dict[str, Environment]:
    async with database.connection() as conn:
        return {each.id: each for each in await environments.load_all(conn, project.id)}


async def test_what_goes_in_comes_out(database: Database, project: Project) -> None:
    deployment = Deployment(sha("2"), ("http://a.example/", "http://b.example/"), NOW)
    given = rows(
        main(deployment=deployment, attributes={"a": "1"}, last_active_at=NOW),
        pull_env(7, awaiting_approval=True, has_remote=False, http_access={"is_enabled": False}),
    )
    await stored(database, *given)
    found = await load(database, project)
    access = {"is_enabled": True, "addresses": [], "basic_auth": {}}
    assert found == {"main": replace(given[0], http_access=access), "pr-7": given[1]}


async def test_odd_branch_names_are_kept_byte_for_byte(database: Database, project: Project) -> None:
    names = ["🚀", "a'b\"c;--", "x" * 250, "ünï\u202ecode", "%s{}"]
    await stored(database, *(env(f"e{place}", name) for place, name in enumerate(names)))
    assert sorted(each.name for each in (await load(database, project)).values()) == sorted(names)


async def test_creating_again_changes_nothing(database: Database, project: Project) -> None:
    await stored(database, main(), env("a"))
    async with database.transaction() as conn:
        new = await environments.create_many(conn, rows(main(head="2"), env("other", "a"), env("b")))
    assert new == {"b"}
    found = await load(database, project)
    assert sorted(found) == ["a", "b", "main"]
    assert found["main"].head_commit == sha("1")


async def test_two_thousand_at_once(database: Database, project: Project) -> None:
    many = [env(f"b{number}") for number in range(2000)]
    await stored(database, *many)
    async with database.transaction() as conn:
        await environments.update_heads(conn, project.id, {each.id: sha("2") for each in many})
    found = await load(database, project)
    assert len(found) == 2000
    assert {each.head_commit for each in found.values()} == {sha("2")}


async def test_heads_of_what_runs_are_left_to_a_build(database: Database, project: Project) -> None:
    await stored(database, main(), env("a"), env("b", status="paused"), env("c", status="deleting"))
    async with database.transaction() as conn:
        await environments.update_heads(conn, project.id, dict.fromkeys(("main", "a", "b", "c"), sha("2")))
    heads = {each.id: each.head_commit for each in (await load(database, project)).values()}
    assert heads == {"main": sha("1"), "a": sha("2"), "b": sha("2"), "c": sha("1")}


async def test_one_main_at_a_time(database: Database, project: Project) -> None:
    await stored(database, main(), env("trunk"))
    async with database.transaction() as conn:
        await environments.make_main(conn, project.id, "trunk")
    found = await load(database, project)
    assert [(each.is_main, each.type, each.parent) for each in (found["trunk"], found["main"])] == [
        (True, "production", None),
        (False, "development", "trunk"),
    ]


async def test_children_of_a_removed_one_hang_below_its_parent(database: Database, project: Project) -> None:
    await stored(database, main(), env("a"), env("b", parent="a"), pull_env(1, parent="b"))
    async with database.transaction() as conn:
        await environments.remove(conn, project.id, "a")
        await environments.remove(conn, project.id, "a")
    found = await load(database, project)
    assert {each.id: each.parent for each in found.values()} == {"main": None, "b": "main", "pr-1": "b"}


async def test_a_deployment_is_remembered(database: Database, project: Project) -> None:
    await stored(database, main())
    deployment = Deployment(sha("2"), ("http://a.example/",), NOW)
    async with database.transaction() as conn:
        await environments.save(conn, project.id, "main", deployment=deployment, data_synced_at=NOW)
    found = (await load(database, project))["main"]
    assert (found.deployment, found.data_synced_at) == (deployment, NOW)


async def test_what_is_missing_is_said(database: Database, project: Project) -> None:
    async with database.transaction() as conn:
        assert await environments.find(conn, project.id, "nowhere") is None
        with pytest.raises(NotFound, match="nowhere"):
            await environments.get(conn, project.id, "nowhere")
        with pytest.raises(NotFound, match="nowhere"):
            await environments.save(conn, project.id, "nowhere", title="Title")
        with pytest.raises(ValueError, match="created_at"):
            await environments.save(conn, project.id, "nowhere", created_at=NOW)


async def test_pending_activities_show(database: Database, project: Project) -> None:
    await stored(database, main(), env("a"))
    async with database.transaction() as conn:
        environment = await environments.get(conn, project.id, "a", lock=True)
        await activities.create(conn, kinds.activate(project, environment, Actor("ada", "Ada")))
    found = await load(database, project)
    assert (found["a"].has_pending_activity, found["main"].has_pending_activity) == (True, False)


async def test_heads_of_what_is_being_activated_are_left_to_a_build(database: Database, project: Project) -> None:
    await stored(database, main(), env("a"), env("b"))
    async with database.transaction() as conn:
        environment = await environments.get(conn, project.id, "a", lock=True)
        await activities.create(conn, kinds.activate(project, environment, Actor("ada", "Ada")))
        await environments.update_heads(conn, project.id, dict.fromkeys(("a", "b"), sha("2")))
    heads = {each.id: each.head_commit for each in (await load(database, project)).values()}
    assert heads == {"main": sha("1"), "a": sha("1"), "b": sha("2")}
