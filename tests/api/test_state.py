"""The state of the whole server: written as a file, remembered and brought back, and by whom."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.conftest import Client, Instance, NewUser, create_project, in_shared_loop, running
from tests.api.test_environments import environment
from tieline.core import kinds
from tieline.core.clock import now
from tieline.core.documents import Activity, Actor, LogLine
from tieline.core.ports import Outcome
from tieline.seeds.text import LIMIT, read_yaml
from tieline.store import activities, environments, projects, seeds

SINK = {"type": "health.sink", "url": "https://x.example/", "shared_key": "s3cret"}
STATE = ("/_tieline/snapshot", "/_tieline/reset")


@in_shared_loop
async def playground(dsn: str) -> AsyncIterator[Instance]:
    """A server in development, with a database of its own."""
    async with running(dsn, development=True) as started:
        yield started


async def user_token(client: Client, name: str) -> str:
    """The API token of a new operator."""
    user = await client.post("/users", {"username": name, "email": f"{name}@example.com", "is_operator": True})
    token = await client.post(f"/users/{user['id']}/api-tokens", {"name": "test"})
    return str(token["token"])


async def titles(client: Client) -> list[str]:
    return [each["title"] for each in await client.get("/projects")]


async def status(client: Client, method: str, path: str) -> int:
    return (await client(method, path)).status


async def redeploy(instance: Instance, project_id: str) -> Activity:
    """An activity of the project that waits."""
    async with instance.services.db.transaction() as conn:
        main = environment(project_id, "main", type="production", parent=None, is_main=True)
        await environments.create_many(conn, [main])
        project = await projects.get(conn, project_id)
        return await activities.create(conn, kinds.redeploy(project, main, Actor("u", "U")))


async def begin(instance: Instance, activity: Activity) -> Activity:
    async with instance.services.db.transaction() as conn:
        begun = await activities.begin(conn, activity.id)
    assert begun is not None
    return begun


async def test_an_export_is_for_operators(client: Client, project: str, new_user: NewUser) -> None:
    admin = await new_user("admin", project, "admin")
    assert await status(admin, "GET", f"/_tieline/export?project={project}") == 403
    assert await status(client.as_(None), "GET", "/_tieline/export") == 401


async def test_an_export_has_the_projects_that_are_named(client: Client, project: str) -> None:
    await client.post(f"/projects/{project}/integrations", SINK)
    answer = await client("GET", f"/_tieline/export?project={project}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/yaml")
    assert b"s3cret" not in answer.body
    document = read_yaml(answer.body)
    assert [each["id"] for each in document["projects"]] == [project]
    assert [each["username"] for each in document["users"]] == ["admin"]
    (integration,) = document["projects"][0]["integrations"]
    assert integration["shared_key"] == {"env": f"HEALTH_SINK_{integration['id'].upper()}_SHARED_KEY"}


@pytest.mark.parametrize("named", ["aaaaaaaaaaaaa", "no%20id"])
async def test_a_project_that_is_not_there_is_not_exported(client: Client, named: str) -> None:
    assert await status(client, "GET", f"/_tieline/export?project={named}") == 404


async def test_an_export_that_nobody_could_read_back_is_refused(instance: Instance, project: str) -> None:
    activity = await redeploy(instance, project)
    line = LogLine(1, now(), "x" * LIMIT)
    async with instance.services.db.transaction() as conn:
        await seeds.restore_logs(conn, {activity.id: [line]})
    answer = await instance.client("GET", f"/_tieline/export?project={project}")
    assert answer.status == 409
    assert "name fewer projects" in answer.json["message"]


async def test_the_state_cannot_be_set_where_nobody_develops(client: Client) -> None:
    unknown = await client("POST", "/_tieline/nothing")
    for path in STATE:
        answer = await client("POST", path)
        assert (answer.status, answer.body) == (404, unknown.body)


async def test_the_state_is_set_by_operators(playground: Instance) -> None:
    user = await playground.client.post("/users", {"username": "ada", "email": "ada@example.com"})
    token = await playground.client.post(f"/users/{user['id']}/api-tokens", {"name": "test"})
    for path in STATE:
        assert await status(playground.client.as_(token["token"]), "POST", path) == 403
        assert await status(playground.client.as_(None), "POST", path) == 401


async def test_without_a_snapshot_a_reset_leaves_only_the_administrator(playground: Instance) -> None:
    client = playground.client
    await create_project(client)
    other = client.as_(await user_token(client, "ada"))
    assert await titles(other) == ["Site"]
    await client.post("/_tieline/reset")
    assert await titles(client) == []
    assert await status(other, "GET", "/projects") == 401
    assert [each["username"] for each in await client.get("/users")] == ["admin"]


async def test_a_reset_brings_back_what_the_snapshot_has(playground: Instance) -> None:
    client = playground.client
    project = await create_project(client)
    integrations = f"/projects/{project}/integrations"
    kept = await client.post(integrations, SINK)
    old = client.as_(await user_token(client, "old"))
    await client.post("/_tieline/snapshot")

    before = (await client("GET", integrations)).body
    await client("PATCH", f"{integrations}/{kept['_embedded']['entity']['id']}", {"url": "https://y.example/"})
    await client.post(integrations, SINK)
    await client.post("/projects", {"title": "Another"})
    young = client.as_(await user_token(client, "young"))
    assert await titles(young) == ["Site", "Another"]

    for _ in range(2):
        await old.post("/_tieline/reset")
        assert (await client("GET", integrations)).body == before
        assert await titles(old) == ["Site"]
        assert await status(young, "GET", "/projects") == 401


async def test_what_runs_during_a_reset_changes_nothing_after_it(playground: Instance) -> None:
    project = await create_project(playground.client)
    waiting = await redeploy(playground, project)
    await playground.client.post("/_tieline/snapshot")
    for _ in range(3):
        running_one = await begin(playground, waiting)
        await playground.client.post("/_tieline/reset")
        again = await begin(playground, waiting)
        assert again.attempt > running_one.attempt
        async with playground.services.db.transaction() as conn:
            assert not await activities.finish(conn, running_one, Outcome())
        shown: Any = await playground.client.get(f"/projects/{project}/activities/{waiting.id}")
        assert shown["state"] == "in_progress"
        await playground.client.post("/_tieline/reset")


async def test_a_reset_waits_for_those_who_write(playground: Instance) -> None:
    project = await create_project(playground.client)
    await playground.client.post("/_tieline/snapshot")
    async with playground.services.db.transaction() as conn:
        await projects.save(conn, project, title="Changed")
        reset = asyncio.create_task(playground.client("POST", "/_tieline/reset"))
        done, _ = await asyncio.wait({reset}, timeout=0.2)
        assert not done
    assert (await reset).status == 200
    assert await titles(playground.client) == ["Site"]
