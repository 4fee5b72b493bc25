"""Organizations own projects: the server's own one, and those that an operator makes."""

import re
from typing import Any

import pytest

from tests.api.conftest import Client, Instance, NewUser, create_project, in_shared_loop
from tieline.core.ids import new_id

MISSING = "aaaaaaaaaaaaa"


@in_shared_loop
async def acme(client: Client) -> dict[str, Any]:
    """An organization that only this test knows."""
    made: dict[str, Any] = await client.post("/organizations", {"name": f"acme-{new_id()}", "label": "Acme"})
    return made


async def me(client: Client) -> str:
    return str((await client.get("/users/me"))["id"])


async def test_there_is_one_from_the_start_and_projects_belong_to_it(own_instance: Instance) -> None:
    client = own_instance.client
    listed = await client.get("/organizations")
    [shown] = listed["items"]
    assert (listed["count"], shown["name"], shown["label"]) == (1, "tieline", "Tieline")
    assert shown["owner_id"] == await me(client)
    # What does not look like this is a name to the vendor's command line.
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", shown["id"])
    project = await create_project(client)
    assert (await client.get(f"/projects/{project}"))["organization"] == shown["id"]
    assert [each["id"] for each in (await client.get(f"/organizations/{shown['id']}/projects"))["items"]] == [project]


async def test_an_organization_is_found_by_id_and_by_name(client: Client, acme: dict[str, Any]) -> None:
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", acme["id"])
    path = f"/organizations/{acme['id']}"
    assert acme["_links"]["self"] == {"href": path}
    assert acme["_links"]["members"] == {"href": f"{path}/members"}
    assert (acme["vendor"], acme["status"], acme["capabilities"]) == ("upsun", "active", [])
    for named in (acme["id"], f"name={acme['name']}", f"name%3D{acme['name']}"):
        assert await client.get(f"/organizations/{named}") == acme
    assert (await client("GET", "/organizations/name=%00")).status == 404


async def test_who_belongs_to_it_may_give_it_projects(client: Client, acme: dict[str, Any], new_user: NewUser) -> None:
    member, stranger = await new_user("member"), await new_user("stranger")
    added = await client.post(f"/organizations/{acme['id']}/members", {"user_id": await me(member)})
    assert (added["level"], added["owner"]) == ("viewer", False)
    for named in (acme["id"], acme["name"]):
        made = await member.post("/projects", {"title": "Shop", "organization": named})
        assert made["_embedded"]["entity"]["organization"] == acme["id"]
        refused = await stranger("POST", "/projects", {"title": "Shop", "organization": named})
        assert (refused.status, refused.json["detail"]) == (
            400,
            {"organization": f"You belong to no organization {named!r}."},
        )
    listed = (await member.get(f"/organizations/{acme['id']}/projects"))["items"]
    assert [each["title"] for each in listed] == ["Shop", "Shop"]
    one = await member.get(f"/organizations/{acme['id']}/projects/{listed[0]['id']}")
    assert one == listed[0]
    # A member sees the projects that it was given access to; an operator all of them.
    other = await client.post("/projects", {"title": "Other", "organization": acme["name"]})
    assert len((await member.get(f"/organizations/{acme['id']}/projects"))["items"]) == 2
    hidden = other["_embedded"]["entity"]["id"]
    assert (await member("GET", f"/organizations/{acme['id']}/projects/{hidden}")).status == 404
    assert len((await client.get(f"/organizations/{acme['id']}/projects"))["items"]) == 3


async def test_nobody_who_only_sees_a_project_of_it_may_give_it_another(
    client: Client, acme: dict[str, Any], new_user: NewUser
) -> None:
    made = await client.post("/projects", {"title": "Shop", "organization": acme["id"]})
    viewer = await new_user("viewer", made["_embedded"]["entity"]["id"], "viewer")
    assert [each["id"] for each in (await viewer.get("/organizations"))["items"]] == [acme["id"]]
    assert (await viewer.get("/users/me/organizations"))["count"] == 1
    assert "members" not in (await viewer.get(f"/organizations/{acme['id']}"))["_links"]
    assert (await viewer("POST", "/projects", {"title": "Mine", "organization": acme["id"]})).status == 400
    assert (await viewer("GET", f"/organizations/{acme['id']}/members")).status == 403
    assert (await viewer.get("/users/me/extended-access?filter[resource_type]=organization"))["items"] == []


async def test_everybody_may_give_projects_to_the_one_of_the_server(new_user: NewUser) -> None:
    user = await new_user("someone")
    assert (await user.get("/organizations"))["items"] == []
    made = await user.post("/projects", {"title": "Mine", "organization": "tieline"})
    project = made["_embedded"]["entity"]
    assert [each["id"] for each in (await user.get("/organizations"))["items"]] == [project["organization"]]


async def test_members_are_listed_added_and_removed_by_admins(
    client: Client, acme: dict[str, Any], new_user: NewUser
) -> None:
    path = f"/organizations/{acme['id']}/members"
    admin, member = await new_user("admin2"), await new_user("member")
    assert (await admin("GET", path)).status == 404
    await client.post(path, {"user_id": await me(admin), "permissions": ["admin"]})
    added = await admin.post(path, {"user_id": await me(member), "permissions": ["projects:list"]})
    assert await admin.get(f"{path}/{await me(member)}") == added
    assert added["_links"]["ref:users:0"] == {"href": f"/ref/users?in={await me(member)}"}

    listed = await admin.get(f"{path}?page[size]=10&sort=created_at")
    assert [(each["level"], each["owner"]) for each in listed["items"]] == [
        ("admin", True),
        ("admin", False),
        ("viewer", False),
    ]
    newest_first = await admin.get(f"{path}?sort=-created_at")
    assert newest_first["items"] == listed["items"][::-1]
    names = await admin.get(listed["_links"]["ref:users:0"]["href"])
    assert names[await me(member)]["email"].startswith("member-")

    assert (await admin("POST", path, {"user_id": await me(member)})).status == 409
    assert (await member("DELETE", f"{path}/{await me(member)}")).status == 403
    assert (await admin("DELETE", f"{path}/{await me(member)}")).json == {"status": "OK", "code": 200}
    assert (await admin("DELETE", f"{path}/{await me(member)}")).status == 404
    assert (await member("GET", f"/organizations/{acme['id']}")).status == 404
    assert (await admin("DELETE", f"{path}/{acme['owner_id']}")).status == 409


async def test_it_can_be_called_something_else(client: Client, acme: dict[str, Any]) -> None:
    path = f"/organizations/{acme['id']}"
    answer = await client("PATCH", path, {**acme, "label": "Acme Ltd"})
    assert (answer.status, answer.json["label"], answer.json["name"]) == (200, "Acme Ltd", acme["name"])
    name = f"other-{new_id()}"
    assert (await client("PATCH", path, {"name": name})).json["label"] == "Acme Ltd"
    assert (await client.get(f"/organizations/name={name}"))["id"] == acme["id"]
    taken = await client("PATCH", path, {"name": "tieline"})
    assert (taken.status, list(taken.json["detail"])) == (400, ["name"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"label": "Acme"}, "name"),
        ({"name": "acme"}, "label"),
        ({"name": "Acme", "label": "Acme"}, "name"),
        ({"name": "a b", "label": "Acme"}, "name"),
        ({"name": "tieline", "label": "Acme"}, "name"),
        ({"name": "new", "label": " "}, "label"),
        ({"name": "new", "label": "Acme", "owner_id": MISSING}, "owner_id"),
    ],
)
async def test_an_organization_that_cannot_be_is_refused(client: Client, body: dict[str, Any], field: str) -> None:
    before = await client.get("/organizations")
    answer = await client("POST", "/organizations", body)
    assert (answer.status, list(answer.json["detail"])) == (400, [field])
    assert await client.get("/organizations") == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "user_id"),
        ({"user_id": MISSING}, "user_id"),
        ({"user_id": "\ud7ff no id"}, "user_id"),
        ({"user_id": MISSING, "permissions": ["owner"]}, "permissions.0"),
    ],
)
async def test_a_member_that_cannot_be_is_refused(
    client: Client, acme: dict[str, Any], body: dict[str, Any], field: str
) -> None:
    answer = await client("POST", f"/organizations/{acme['id']}/members", body)
    assert (answer.status, list(answer.json["detail"])) == (400, [field])


async def test_lists_are_filtered_as_clients_ask(client: Client, acme: dict[str, Any], new_user: NewUser) -> None:
    owner = await me(client)
    for query in (f"filter[owner_id][eq]={owner}", f"filter%5Bname%5D={acme['name']}", "filter[status][in]=active,new"):
        assert acme["id"] in {each["id"] for each in (await client.get(f"/organizations?{query}"))["items"]}, query
    for query in (f"filter[owner_id]={MISSING}", "filter[vendor]=other", "filter[status][in]=suspended"):
        assert (await client.get(f"/organizations?{query}"))["items"] == [], query
    assert (await client.get("/organizations?filter[nonsense]=x&page[size]=1&sort=nothing"))["items"]
    refused = await client("GET", "/organizations?" + "&".join(["filter[status]=active"] * 21))
    assert (refused.status, list(refused.json["detail"])) == (400, ["filter"])
