"""Variables of an integration: who reads and writes them, and what is never shown."""

import asyncio
from typing import Any

import pytest

from tests.api.conftest import PUBLIC_URL, Client, Instance, NewUser, create_project, in_shared_loop
from tests.api.test_integrations import create
from tieline.api.variables import MOST
from tieline.store import variables

HIDDEN = "never-to-be-shown"


@in_shared_loop
async def path(client: Client, project: str) -> str:
    """The variables of an integration that has none yet."""
    return f"/projects/{project}/integrations/{(await create(client, project))['id']}/variables"


async def test_a_variable_from_creation_to_removal(client: Client, path: str) -> None:
    assert await client.get(path) == []
    body = {"name": "LIMITS", "value": '{"a": 1}', "is_json": True, "attributes": {"by": "ann"}, "id": "ignored"}
    answer = await client("POST", path, body)
    entity = answer.json["_embedded"]["entity"]
    assert (answer.status, answer.json["code"], answer.json["_embedded"]["activities"]) == (201, 201, [])
    link = f"/api{path}/LIMITS"
    assert entity == {
        "id": "LIMITS",
        "created_at": entity["created_at"],
        "updated_at": None,
        "name": "LIMITS",
        "value": '{"a": 1}',
        "attributes": {"by": "ann"},
        "is_json": True,
        "is_sensitive": False,
        "_links": {"self": {"href": PUBLIC_URL + link}, "#edit": {"href": link}, "#delete": {"href": link}},
    }
    assert await client.get(link) == entity
    changed = await client("PATCH", link, {**entity, "value": "[2]"})
    assert changed.json["_embedded"]["entity"]["value"] == "[2]"
    assert changed.json["_embedded"]["entity"]["updated_at"] > entity["created_at"]
    same = await client("PATCH", link, {"value": "[2]"})
    assert same.json == changed.json
    removed = await client("DELETE", link, {})
    assert (removed.status, removed.json["_embedded"]) == (200, {"activities": []})
    assert await client.get(path) == []
    assert (await client("DELETE", link)).status == 404


async def test_what_is_sensitive_is_sealed_and_never_shown(client: Client, path: str, instance: Instance) -> None:
    created = await client("POST", path, {"name": "TOKEN", "value": HIDDEN, "is_sensitive": True})
    await client.post(path, {"name": "LATER", "value": HIDDEN})
    later = await client("PATCH", f"{path}/LATER", {"is_sensitive": True})
    shown = [created.body, later.body, (await client("GET", path)).body, (await client("GET", f"{path}/TOKEN")).body]
    assert not [each for each in shown if HIDDEN.encode() in each]
    refused = await client("PATCH", f"{path}/TOKEN", {"is_sensitive": False})
    assert (refused.status, list(refused.json["detail"])) == (400, ["is_sensitive"])
    async with instance.services.db.connection() as conn:
        cursor = await conn.execute("select * from integration_variable where value is not null or sealed is null")
        assert HIDDEN not in str(await cursor.fetchall())
        found = await variables.load_all(conn, instance.services.box, path.split("/")[4])
    assert {each.name: each.value.reveal() for each in found} == {"LATER": HIDDEN, "TOKEN": HIDDEN}
    assert HIDDEN not in str(found)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "A"}, "value"),
        ({"name": None, "value": "x"}, "name"),
        ({"name": "A", "value": None}, "value"),
        ({"name": "A", "value": 5}, "value"),
        ({"name": "", "value": "x"}, "name"),
        ({"name": "a/b", "value": "x"}, "name"),
        ({"name": "a b", "value": "x"}, "name"),
        ({"name": "a" * 129, "value": "x"}, "name"),
        ({"name": "A", "value": "x" * 65_537}, "value"),
        ({"name": "A", "value": "x", "is_json": True}, "value"),
        ({"name": "A", "value": "NaN", "is_json": True}, "value"),
        ({"name": "A", "value": "x", "is_json": "yes"}, "is_json"),
        ({"name": "A", "value": "x", "is_sensitive": None}, "is_sensitive"),
        ({"name": "A", "value": "x", "attributes": {"a": 1}}, "attributes.a"),
    ],
)
async def test_wrong_input_is_explained_and_nothing_kept(client: Client, path: str, body: Any, field: str) -> None:
    answer = await client("POST", path, body)
    assert answer.status == 400
    assert field in answer.json["detail"]
    assert await client.get(path) == []


async def test_a_wrong_change_changes_nothing(client: Client, path: str) -> None:
    await client.post(path, {"name": "A", "value": "text"})
    before = await client.get(path)
    wrong = [({"is_json": True}, "value"), ({"name": "B"}, "name"), ({"value": 1}, "value"), ({"value": None}, "value")]
    for body, field in wrong:
        answer = await client("PATCH", f"{path}/A", body)
        assert (answer.status, list(answer.json["detail"])) == (400, [field])
    assert await client.get(path) == before


async def test_two_of_one_name_are_refused_and_so_is_one_too_many(client: Client, path: str) -> None:
    bodies = [{"name": f"N{number}", "value": "x"} for number in range(MOST - 1)]
    await asyncio.gather(*(client.post(path, each) for each in bodies))
    twice = await asyncio.gather(*(client("POST", path, {"name": "TWICE", "value": "x"}) for _ in range(3)))
    assert sorted(each.status for each in twice) == [201, 400, 400]
    await client("DELETE", f"{path}/N1")
    again = await client("POST", path, {"name": "TWICE", "value": "y"})
    assert (again.status, "TWICE" in again.json["message"]) == (409, True)
    assert len(await client.get(path)) == MOST - 1


async def test_only_admins_of_the_project_know_of_them(
    client: Client, path: str, project: str, new_user: NewUser
) -> None:
    await client.post(path, {"name": "A", "value": "x"})
    elsewhere = path.replace(project, await create_project(client))
    people = [(await new_user("viewer", project, "viewer"), path, 403), (await new_user("stranger"), path, 404)]
    for who, where, status in [*people, (client, elsewhere, 404)]:
        for method, target in (("GET", ""), ("POST", ""), ("GET", "/A"), ("PATCH", "/A"), ("DELETE", "/A")):
            assert (await who(method, where + target, {"name": "B", "value": "y"})).status == status
    assert [each["value"] for each in await client.get(path)] == ["x"]


async def test_they_go_with_their_integration(client: Client, path: str, instance: Instance) -> None:
    await client.post(path, {"name": "A", "value": "x"})
    assert (await client("DELETE", path.removesuffix("/variables"))).status == 200
    assert (await client("GET", path)).status == 404
    for name in ("A%00", "%2E%2E", "a%2Fb"):
        assert (await client("GET", f"{path}/{name}")).status == 404
