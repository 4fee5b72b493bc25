"""Environments: how they read, which operations they offer, and what those set off."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.api.conftest import PUBLIC_URL, Client, Instance, NewUser, in_shared_loop
from tieline.core.clock import now
from tieline.core.documents import Deployment, Environment
from tieline.core.ids import machine_name
from tieline.core.ports import Outcome
from tieline.store import activities, environments


def environment(project: str, id: str, **fields: Any) -> Environment:
    plain = Environment(
        id=id,
        project_id=project,
        name=id,
        machine_name=machine_name(project, id),
        title=id.title(),
        type="development",
        status="inactive",
        parent="main",
        is_main=False,
        created_at=now(),
        updated_at=None,
        head_commit="a" * 40,
    )
    return replace(plain, **fields)


@in_shared_loop
async def path(instance: Instance, project: str) -> str:
    """The environments of a project that has `main` (deployed), `feature` and `pr-1`, which waits for approval."""
    deployed = Deployment(commit="a" * 40, urls=("https://main.example/",), deployed_at=now())
    main = environment(
        project, "main", type="production", status="active", parent=None, is_main=True, deployment=deployed
    )
    waiting = environment(project, "pr-1", awaiting_approval=True)
    async with instance.services.db.transaction() as conn:
        await environments.create_many(conn, [main, environment(project, "feature"), waiting])
    return f"/projects/{project}/environments"


async def test_the_list_has_all_and_their_links(client: Client, path: str, project: str) -> None:
    listed = {each["id"]: each for each in await client.get(path)}
    assert list(listed) == ["feature", "main", "pr-1"]
    base = f"/api{path}/main"
    assert listed["main"]["_links"] == {
        "self": {"href": PUBLIC_URL + base},
        "#redeploy": {"href": base + "/redeploy"},
        "#edit": {"href": base},
        "public-url": {"href": "https://main.example/"},
    }
    operations = {name for name in listed["feature"]["_links"] if name.startswith("#")}
    assert operations == {"#activate", "#edit", "#delete"}
    assert await client.get(f"{path}/%6Dain") == listed["main"]
    assert (await client.get(f"{path}/main/settings"))["enable_manual_deployments"] is False
    assert listed["main"]["project"] == project


async def test_activating_approves_and_waits_its_turn(
    client: Client, path: str, instance: Instance, project: str
) -> None:
    answer = await client("POST", f"{path}/pr-1/activate", {"resources": {"init": "minimum"}})
    assert answer.status == 200
    (activity,) = answer.json["_embedded"]["activities"]
    assert (activity["type"], activity["state"], activity["environments"]) == (
        "environment.activate",
        "pending",
        ["pr-1"],
    )
    async with instance.services.db.connection() as conn:
        found = await environments.get(conn, project, "pr-1")
    assert (found.awaiting_approval, found.init_resources) == (False, "minimum")
    again = await client.post(f"{path}/pr-1/activate")
    assert [each["id"] for each in again["_embedded"]["activities"]] == [activity["id"]]
    async with instance.services.db.transaction() as conn:
        await environments.save(conn, project, "pr-1", head_commit="b" * 40, awaiting_approval=True)
    assert (await client("POST", f"{path}/pr-1/activate")).status == 409
    assert (await client.get(f"{path}/pr-1"))["awaiting_approval"] is True


@pytest.mark.parametrize(
    ("id", "operation", "body"),
    [
        ("main", "activate", None),
        ("main", "deactivate", None),
        ("main", "pause", None),
        ("main", "resume", None),
        ("main", "synchronize", {"synchronize_data": True}),
        ("feature", "deactivate", None),
        ("feature", "redeploy", None),
        ("feature", "pause", None),
        ("feature", "resume", None),
        ("feature", "synchronize", {"synchronize_data": True}),
        ("feature", "synchronize", {"synchronize_code": True}),
        ("feature", "synchronize", {}),
    ],
)
async def test_an_operation_that_is_not_allowed_now_is_refused(
    client: Client, path: str, project: str, id: str, operation: str, body: Any
) -> None:
    answer = await client("POST", f"{path}/{id}/{operation}", body)
    assert answer.status == 400
    assert answer.json["detail"]
    assert await client.get(f"/projects/{project}/activities?state=pending") == []


async def test_an_active_environment_can_be_deactivated_synchronised_and_redeployed(
    client: Client, path: str, instance: Instance, project: str
) -> None:
    deployed = Deployment(commit="b" * 40, urls=(), deployed_at=now())
    async with instance.services.db.transaction() as conn:
        await environments.save(conn, project, "feature", status="active", deployment=deployed)
    kinds = []
    for operation, body in (("synchronize", {"synchronize_data": True}), ("redeploy", None), ("deactivate", None)):
        assert f"#{operation}" in (await client.get(f"{path}/feature"))["_links"]
        answer = await client.post(f"{path}/feature/{operation}", body)
        kinds += [each["type"] for each in answer["_embedded"]["activities"]]
    assert kinds == ["environment.synchronize", "environment.redeploy", "environment.deactivate"]
    assert (await client.get(f"{path}/feature"))["is_dirty"] is True
    assert (await client("DELETE", f"{path}/feature")).status == 400


async def test_a_deployed_environment_can_be_paused_and_resumed(
    client: Client, path: str, instance: Instance, project: str
) -> None:
    deployed = Deployment(commit="b" * 40, urls=("https://feature.example/",), deployed_at=now())
    for status, operation, others in (
        ("active", "pause", {"#deactivate", "#synchronize", "#redeploy"}),
        ("paused", "resume", {"#deactivate"}),
    ):
        async with instance.services.db.transaction() as conn:
            await environments.save(conn, project, "feature", status=status, deployment=deployed)
        links = (await client.get(f"{path}/feature"))["_links"]
        assert {name for name in links if name.startswith("#")} == {"#edit", f"#{operation}", *others}
        assert ("public-url" in links) == (status == "active")
        answer = await client.post(f"{path}/feature/{operation}")
        assert [each["type"] for each in answer["_embedded"]["activities"]] == [f"environment.{operation}"]


async def test_an_environment_tells_of_a_deployment_that_failed(client: Client, path: str, instance: Instance) -> None:
    before = (await client.get(f"{path}/main"))["deployment_state"]
    assert before["last_deployment_successful"] is True
    answer = await client.post(f"{path}/main/redeploy")
    async with instance.services.db.transaction() as conn:
        begun = await activities.begin(conn, answer["_embedded"]["activities"][0]["id"])
        assert begun is not None
        assert await activities.finish(conn, begun, Outcome("failure", failure_reason="shell"))
    state = (await client.get(f"{path}/main"))["deployment_state"]
    assert (state["last_deployment_successful"], state["last_deployment_failure_reason"]) == (False, "shell")
    assert state["last_deployment_at"] > before["last_deployment_at"]
    listed = {each["id"]: each for each in await client.get(path)}
    assert listed["main"]["deployment_state"] == state
    assert listed["feature"]["deployment_state"] is None


async def test_deleting_cancels_what_waits(client: Client, path: str, project: str) -> None:
    await client.post(f"{path}/feature/activate")
    answer = await client("DELETE", f"{path}/feature")
    assert answer.json["_embedded"]["entity"]["status"] == "deleting"
    assert [each["type"] for each in answer.json["_embedded"]["activities"]] == ["environment.delete"]
    states = {each["type"]: each["state"] for each in await client.get(f"/projects/{project}/activities")}
    assert states["environment.activate"] == "cancelled"
    assert {name for name in (await client.get(f"{path}/feature"))["_links"] if name.startswith("#")} == set()
    for again in ("feature", "main"):
        assert (await client("DELETE", f"{path}/{again}")).status == 400


async def test_passwords_are_for_those_who_may_set_them(
    client: Client, path: str, project: str, new_user: NewUser
) -> None:
    access = {"is_enabled": True, "addresses": [], "basic_auth": {"ann": "a-password-of-ann"}}
    assert (await client("PATCH", f"{path}/feature", {"http_access": access})).status == 200
    assert (await client.get(f"{path}/feature"))["http_access"] == access
    viewer = await new_user("viewer", project, "viewer")
    for document in (await viewer.get(f"{path}/feature"), *await viewer.get(path)):
        assert "a-password" not in str(document)


async def test_a_patch_changes_what_it_names(client: Client, path: str, project: str) -> None:
    body = {
        "title": "A feature",
        "http_access": {"is_enabled": False, "addresses": [{"permission": "allow", "address": "192.0.2.0/24"}]},
        "restrict_robots": False,
        "attributes": {"a": "b"},
        "name": "feature",
        "is_main": True,
    }
    answer = await client("PATCH", f"{path}/feature", body)
    entity = answer.json["_embedded"]["entity"]
    assert (entity["title"], entity["restrict_robots"], entity["attributes"]) == ("A feature", False, {"a": "b"})
    assert entity["http_access"] == {**body["http_access"], "basic_auth": {}}  # type: ignore[dict-item]
    recorded = {each["type"] for each in await client.get(f"{path}/feature/activities")}
    assert recorded == {"environment.update.http_access", "environment.update.restrict_robots"}
    again = await client("PATCH", f"{path}/feature", body)
    assert again.json["_embedded"]["entity"] == entity
    assert len(await client.get(f"{path}/feature/activities")) == 2


@pytest.mark.parametrize(
    ("id", "body", "field"),
    [
        ("feature", {"name": "other"}, "name"),
        ("feature", {"titel": "Feature"}, "titel"),
        ("feature", {"http_access": {"enabled": True}}, "http_access.enabled"),
        ("feature", {"type": "production"}, "type"),
        ("main", {"type": "staging"}, "type"),
        ("feature", {"parent": "nothing"}, "parent"),
        ("feature", {"parent": "feature"}, "parent"),
        ("feature", {"parent": None}, "parent"),
        ("main", {"parent": "feature"}, "parent"),
        ("feature", {"parent": 5}, "parent"),
        ("feature", {"title": None}, "title"),
        ("feature", {"type": None}, "type"),
        ("feature", {"restrict_robots": None}, "restrict_robots"),
        ("feature", {"http_access": None}, "http_access"),
        (
            "feature",
            {"http_access": {"addresses": [{"permission": "allow", "address": "nowhere"}]}},
            "http_access.addresses.0.address",
        ),
        (
            "feature",
            {"http_access": {"addresses": [{"permission": "allow", "address": "fe80::1%eth0"}]}},
            "http_access.addresses.0.address",
        ),
        ("feature", {"http_access": {"basic_auth": {"ann:x": "p"}}}, "http_access.basic_auth.ann:x"),
        ("feature", {"http_access": {"basic_auth": {"ann": "p\nroot:x"}}}, "http_access.basic_auth.ann"),
        ("feature", {"http_access": {"addresses": [{"address": "10.0.0.1"}]}}, "http_access.addresses.0.permission"),
    ],
)
async def test_a_wrong_patch_changes_nothing(client: Client, path: str, id: str, body: Any, field: str) -> None:
    before = await client.get(f"{path}/{id}")
    answer = await client("PATCH", f"{path}/{id}", {"enable_smtp": True, **body})
    assert (answer.status, list(answer.json["detail"])) == (400, [field])
    assert await client.get(f"{path}/{id}") == before


async def test_parents_never_form_a_circle(client: Client, path: str) -> None:
    assert (await client("PATCH", f"{path}/feature", {"parent": "pr-1"})).status == 200
    answer = await client("PATCH", f"{path}/pr-1", {"parent": "feature"})
    assert (answer.status, list(answer.json["detail"])) == (400, ["parent"])


async def test_two_that_move_below_each_other_at_once_form_no_circle(client: Client, path: str) -> None:
    moves = [("feature", "pr-1"), ("pr-1", "feature")] * 3
    answers = await asyncio.gather(*(client("PATCH", f"{path}/{one}", {"parent": other}) for one, other in moves))
    assert {each.status for each in answers} == {200, 400}
    parents = {each["id"]: each["parent"] for each in await client.get(path)}
    assert (parents["feature"], parents["pr-1"]) in (("pr-1", "main"), ("main", "feature"))


async def test_a_circle_that_is_there_is_no_trap(client: Client, path: str, project: str, instance: Instance) -> None:
    async with instance.services.db.transaction() as conn:
        await environments.set_parents(conn, project, ["feature"], "pr-1")
        await environments.set_parents(conn, project, ["pr-1"], "feature")
        await environments.create(conn, environment(project, "other"))
    assert (await client("PATCH", f"{path}/other", {"parent": "feature"})).status == 200


async def test_another_default_branch_becomes_production(client: Client, path: str, project: str) -> None:
    wrong = await client("PATCH", f"/projects/{project}", {"default_branch": "nothing", "title": "Other"})
    assert (wrong.status, list(wrong.json["detail"])) == (400, ["default_branch"])
    assert (await client.get(f"/projects/{project}"))["title"] == "Site"
    answer = await client("PATCH", f"/projects/{project}", {"default_branch": "feature"})
    assert answer.json["_embedded"]["entity"]["default_branch"] == "feature"
    none = await client("PATCH", f"/projects/{project}", {"default_branch": None})
    assert (none.status, list(none.json["detail"])) == (400, ["default_branch"])
    listed = {each["id"]: each for each in await client.get(path)}
    assert (listed["feature"]["type"], listed["feature"]["is_main"]) == ("production", True)
    assert (listed["main"]["type"], listed["main"]["parent"]) == ("development", "feature")


async def test_activities_of_an_environment_are_its_own(
    client: Client, path: str, instance: Instance, project: str
) -> None:
    await client.post(f"{path}/feature/activate")
    await client.post(f"{path}/pr-1/activate")
    (mine,) = await client.get(f"{path}/feature/activities")
    assert mine["environments"] == ["feature"]
    assert (await client("GET", f"{path}/pr-1/activities/{mine['id']}")).status == 404
    assert await client.get(f"{path}/feature/activities/{mine['id']}") == mine
    async with instance.services.db.connection() as conn:
        assert (await activities.get(conn, project, mine["id"])).state == "pending"
