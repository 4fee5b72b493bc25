"""What may be done with an environment: a link says so, and whatever has no link is refused."""

from typing import Any, Final, get_args

import pytest

from tests.api.conftest import PUBLIC_URL, Client, Instance, NewUser, in_shared_loop
from tests.api.test_environments import environment
from tests.api.test_integrations import create
from tieline.api.elsewhere import ELSEWHERE, Origin, explain
from tieline.core.clock import now
from tieline.core.documents import Deployment, EnvironmentStatus
from tieline.store import environments

HEAD: Final = "a" * 40
DEPLOYED: Final = Deployment(commit=HEAD, urls=("https://one.example/", "https://two.example/"), deployed_at=now())
BODIES: Final[dict[str, Any]] = {"synchronize": {"synchronize_data": True, "synchronize_code": False}}
POSTED: Final = ("activate", "deactivate", "pause", "resume", "redeploy", "synchronize", *ELSEWHERE)


async def put(instance: Instance, project: str, id: str, **fields: Any) -> None:
    """Have the project hold an environment as given, whatever it held before."""
    async with instance.services.db.transaction() as conn:
        await environments.remove(conn, project, id)
        await environments.create(conn, environment(project, id, **fields))


@in_shared_loop
async def path(instance: Instance, project: str) -> str:
    """The environments of a project whose `main` is deployed."""
    production = {"type": "production", "status": "active", "parent": None, "is_main": True}
    await put(instance, project, "main", deployment=DEPLOYED, **production)
    return f"/projects/{project}/environments"


def variants() -> list[Any]:
    """Every status, before and after a deployment, as a branch and as the production environment."""
    return [
        pytest.param({"status": status, "deployment": deployment, **more}, id=f"{status}-{name}-{bool(deployment)}")
        for status in get_args(EnvironmentStatus)
        for deployment in (None, DEPLOYED)
        for name, more in (
            ("branch", {}),
            ("fork", {"awaiting_approval": True}),
            ("main", {"is_main": True, "type": "production", "parent": None}),
        )
    ]


@pytest.mark.parametrize("fields", variants())
async def test_what_is_linked_works_and_what_is_not_is_refused(
    client: Client, instance: Instance, project: str, fields: dict[str, Any]
) -> None:
    name = "main" if fields.get("is_main") else "topic"
    path = f"/projects/{project}/environments/{name}"
    await put(instance, project, name, **fields)
    links = (await client.get(path))["_links"]
    for operation in (*POSTED, "edit", "delete"):
        await put(instance, project, name, **fields)
        is_linked = f"#{operation}" in links
        answer = await call(client, path, operation)
        assert answer.status == (200 if is_linked else 400), (operation, answer.body)
        if not is_linked:
            assert all(answer.json["detail"].values())
        elif operation != "edit":
            # Clients fail when a long operation answers with any other number of activities.
            assert [each["type"] for each in answer.json["_embedded"]["activities"]] == [f"environment.{operation}"]
        await end_all(instance, project)


async def call(client: Client, path: str, operation: str) -> Any:
    if operation == "edit":
        return await client("PATCH", path, {"title": "Other"})
    if operation == "delete":
        return await client("DELETE", path, {})
    return await client("POST", f"{path}/{operation}", BODIES.get(operation, {}))


async def end_all(instance: Instance, project: str) -> None:
    """Have nothing wait any more: removals cannot be cancelled."""
    async with instance.services.db.transaction() as conn:
        await conn.execute("delete from activity where project_id = %s", [project])


@pytest.mark.parametrize("status", get_args(EnvironmentStatus))
async def test_whoever_may_only_look_has_no_operation(
    client: Client, instance: Instance, project: str, new_user: NewUser, status: EnvironmentStatus
) -> None:
    await put(instance, project, "topic", status=status, deployment=DEPLOYED)
    viewer = await new_user("viewer", project, "viewer")
    path = f"/projects/{project}/environments/topic"
    assert not [name for name in (await viewer.get(path))["_links"] if name.startswith("#")]
    answers = [await call(viewer, path, operation) for operation in (*POSTED, "edit", "delete")]
    assert {each.status for each in answers} == {403}
    assert (await client.get(path))["status"] == status


async def test_code_is_branched_and_merged_where_it_comes_from(
    client: Client, instance: Instance, project: str, path: str
) -> None:
    body = {"name": "new", "title": "New", "clone_parent": True}
    alone = await client("POST", f"{path}/main/branch", body)
    assert alone.json["detail"] == {"": ELSEWHERE["branch"].alone}
    await create(client, project)
    for operation, sentence in (("branch", "Create the branch there"), ("merge", "Merge there")):
        answer = await client("POST", f"{path}/main/{operation}", body)
        assert answer.status == 400
        assert "follows the Forge repository acme/site" in answer.json["detail"][""]
        assert sentence in answer.json["detail"][""]
    assert (await client("POST", f"{path}/nothing/merge", {})).status == 404


def test_nobody_is_sent_to_a_host_that_is_not_followed_yet() -> None:
    origin = Origin("GitHub repository acme/site", "Neither branches nor pull requests are followed yet.")
    sentence = explain(ELSEWHERE["branch"], origin)
    assert sentence == f"This project is tied to the {origin.place}. {origin.not_yet}"
    assert explain(ELSEWHERE["backup"], origin) == ELSEWHERE["backup"].alone


async def test_nobody_approves_another_commit_than_the_one_that_was_looked_at(
    client: Client, instance: Instance, project: str, path: str
) -> None:
    await put(instance, project, "pr-1", awaiting_approval=True)
    late = await client("POST", f"{path}/pr-1/activate", {"commit": "b" * 40})
    assert late.status == 409
    assert HEAD in late.json["message"]
    assert (await client.get(f"{path}/pr-1"))["awaiting_approval"] is True
    answer = await client.post(f"{path}/pr-1/activate", {"commit": HEAD})
    (activity,) = answer["_embedded"]["activities"]
    assert activity["parameters"]["commit"] == HEAD
    assert answer["_embedded"]["entity"]["awaiting_approval"] is False


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "Other"),
        ("attributes", {"a": "b"}),
        ("type", "staging"),
        ("parent", "other"),
        ("clone_parent_on_create", False),
        ("enable_smtp", True),
        ("restrict_robots", False),
    ],
)
async def test_each_field_can_be_changed_alone(
    client: Client, instance: Instance, project: str, path: str, field: str, value: Any
) -> None:
    await put(instance, project, "topic")
    await put(instance, project, "other")
    before = await client.get(f"{path}/topic")
    answer = await client("PATCH", f"{path}/topic", {field: value})
    after = answer.json["_embedded"]["entity"]
    assert {name for name in before if before[name] != after[name]} == {field, "updated_at"}
    assert after[field] == value


async def test_null_takes_a_part_of_the_access_control_away(
    client: Client, instance: Instance, project: str, path: str
) -> None:
    await put(instance, project, "topic")
    addresses = [{"permission": "deny", "address": "0.0.0.0/0"}]
    access = {"is_enabled": True, "addresses": addresses, "basic_auth": {"ann": "a-password"}}
    for change, expected in (
        (access, access),
        ({"basic_auth": None}, {**access, "basic_auth": {}}),
        ({"addresses": None}, {"is_enabled": True, "addresses": [], "basic_auth": {}}),
    ):
        answer = await client("PATCH", f"{path}/topic", {"http_access": change})
        assert answer.json["_embedded"]["entity"]["http_access"] == expected


async def test_an_environment_has_no_more_passwords_than_its_logs_can_mask(
    client: Client, instance: Instance, project: str, path: str
) -> None:
    await put(instance, project, "topic")
    access = {"basic_auth": {f"user{number}": "a-password" for number in range(101)}}
    refused = await client("PATCH", f"{path}/topic", {"http_access": access})
    assert (refused.status, refused.json["detail"]) == (400, {"http_access.basic_auth": "Must have at most 100 items."})


async def test_the_list_can_be_narrowed(client: Client, instance: Instance, project: str, path: str) -> None:
    await put(instance, project, "stage", type="staging", status="active")
    await put(instance, project, "topic")

    async def ids(query: str) -> list[str]:
        return [each["id"] for each in await client.get(f"{path}?{query}")]

    assert await ids("") == ["main", "stage", "topic"]
    assert await ids("active=true") == ["main", "stage"]
    assert await ids("active=0&limit=1") == ["topic"]
    assert await ids("type=staging&type=development") == ["stage", "topic"]
    assert await ids("type=staging&active=true") == ["stage"]
    for query, field in (("type=other", "type"), ("active=maybe", "active")):
        answer = await client("GET", f"{path}?{query}")
        assert (answer.status, list(answer.json["detail"])) == (400, [field])


async def test_what_runs_is_known_by_its_addresses(
    client: Client, instance: Instance, project: str, path: str, new_user: NewUser
) -> None:
    access = {"is_enabled": True, "addresses": [], "basic_auth": {"ann": "a-password-of-ann"}}
    await client("PATCH", f"{path}/main", {"http_access": access})
    found = await client.get(f"{path}/main/deployments/current")
    assert list(found["routes"]) == ["https://one.example/", "https://two.example/"]
    assert [each["primary"] for each in found["routes"].values()] == [True, False]
    assert (found["fingerprint"], found["http_access"]) == (HEAD, access)
    assert found["_links"]["self"]["href"] == f"{PUBLIC_URL}/api{path}/main/deployments/current"
    assert await client.get(f"{path}/main/deployments") == [found]
    viewer = await new_user("viewer", project, "viewer")
    assert "a-password" not in str(await viewer.get(f"{path}/main/deployments/current"))
    await put(instance, project, "topic", status="paused", deployment=DEPLOYED)
    assert await client.get(f"{path}/topic/deployments") == []
    for missing in ("topic/deployments/current", "main/deployments/next", "nothing/deployments"):
        assert (await client("GET", f"{path}/{missing}")).status == 404


async def test_every_project_has_the_same_types_of_environments(client: Client, project: str) -> None:
    path = f"/projects/{project}/environment-types"
    listed = await client.get(path)
    assert [each["id"] for each in listed] == ["production", "staging", "development"]
    assert await client.get(f"{path}/staging") == listed[1]
    assert (await client("GET", f"{path}/other")).status == 404
