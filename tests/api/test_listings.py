"""The list of environments is written once for each change, and is never old."""

import asyncio
import tracemalloc
from typing import Any

from tests.api.conftest import Client, Instance, NewUser, create_project
from tests.api.test_environments import environment
from tieline.api.documents import Writer
from tieline.api.listings import Listings
from tieline.api.responses import render_to_keep
from tieline.core.clock import now
from tieline.core.documents import Deployment, NewActivity
from tieline.core.ports import Outcome
from tieline.store import activities, environments, projects


async def listed(instance: Instance, listings: Listings, project: str) -> bytes:
    async with instance.services.db.snapshot() as conn:
        found = await projects.get(conn, project)
        return await listings.load(conn, found, lambda _: True, is_admin=True)


async def same(client: Client, project: str) -> list[Any]:
    """The list, which shows of each environment what that shows of itself."""
    path = f"/projects/{project}/environments"
    shown: list[Any] = await client.get(path)
    assert shown == [await client.get(f"{path}/{each['id']}") for each in shown]
    return shown


async def test_every_change_is_seen(client: Client, instance: Instance, second: Instance, project: str) -> None:
    assert await same(client, project) == []
    deployed = Deployment(commit="a" * 40, urls=(), deployed_at=now())
    async with second.services.db.transaction() as conn:
        topic = environment(project, "topic", status="active", deployment=deployed)
        await environments.create_many(conn, [topic, environment(project, "other")])
    assert [each["is_dirty"] for each in await same(client, project)] == [False, False]
    new = NewActivity(project, "environment.push", "d", "t", environment_id="topic", concurrency_key="k")
    async with second.services.db.transaction() as conn:
        created = await activities.create(conn, new)
        begun = await activities.begin(conn, created.id)
    assert begun is not None
    assert [each["is_dirty"] for each in await same(client, project)] == [False, True]
    async with second.services.db.transaction() as conn:
        assert await activities.finish(conn, begun, Outcome("failure", "shell"))
    (other, topic_now) = await same(client, project)
    assert (other["deployment_state"], topic_now["is_dirty"]) == (None, False)
    assert topic_now["deployment_state"]["last_deployment_failure_reason"] == "shell"
    async with second.services.db.transaction() as conn:
        await environments.remove(conn, project, "other")
    await client("PATCH", f"/projects/{project}", {"region": "elsewhere"})
    assert [each["edge_hostname"].endswith(".elsewhere") for each in await same(client, project)] == [True]


async def test_what_is_kept_for_one_is_not_shown_to_another(
    client: Client, instance: Instance, project: str, new_user: NewUser
) -> None:
    async with instance.services.db.transaction() as conn:
        access = {"is_enabled": True, "addresses": [], "basic_auth": {"ann": "a-password-of-ann"}}
        await environments.create(conn, environment(project, "topic", http_access=access))
    viewer = await new_user("viewer", project, "viewer")
    for _ in range(2):
        assert "a-password" in str(await same(client, project))
        assert "a-password" not in str(await same(viewer, project))


async def test_what_is_forgotten_is_written_again(client: Client, instance: Instance, project: str) -> None:
    listings = Listings(Writer("https://paas.example", instance.services.registry), most=1)
    another = await create_project(client)
    async with instance.services.db.transaction() as conn:
        for each in (project, another):
            await environments.create_many(conn, [environment(each, "a"), environment(each, "b")])
    first = await listed(instance, listings, project)
    assert await listed(instance, listings, another) != first
    assert await listed(instance, listings, project) == first


async def test_many_who_list_at_once_leave_the_database_to_others(
    client: Client, instance: Instance, project: str
) -> None:
    async with instance.services.db.transaction() as conn:
        await environments.create_many(conn, [environment(project, f"b{number}") for number in range(600)])
    assert await client.get(f"/projects/{project}")
    waited = 0

    async def list_all() -> int:
        nonlocal waited
        found = await client.get(f"/projects/{project}/environments")
        waited = max(waited, instance.services.db.statistics()["waiting"])
        return len(found)

    assert set(await asyncio.gather(*[list_all() for _ in range(40)])) == {600}
    # Whoever makes the pool grow is counted among those who wait.
    assert waited < 2


def test_what_is_kept_takes_no_more_room_than_it_has() -> None:
    tracemalloc.start()
    try:
        kept = [render_to_keep({"text": "x" * 1000}) for _ in range(1000)]
        room, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert room < 1.2 * sum(map(len, kept))
