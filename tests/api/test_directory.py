"""Who am I, what may I see, and the short documents behind a list: as the vendor's clients ask for them."""

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.conftest import PUBLIC_URL, Client, Instance, NewUser, create_project
from tieline.api.accounts.documents import MOST_REFERENCES, reference_links
from tieline.api.turns import MOST

MISSING = "aaaaaaaaaaaaa"
PROJECTS = "filter%5Bresource_type%5D=project"


async def me(client: Client) -> str:
    return str((await client.get("/users/me"))["id"])


def references(listed: dict[str, Any], kind: str) -> Iterator[str]:
    return (link["href"] for name, link in listed["_links"].items() if name.startswith(f"ref:{kind}:"))


async def test_a_list_of_projects_is_made_as_the_command_line_makes_it(
    client: Client, project: str, new_user: NewUser
) -> None:
    user = await new_user("someone", project, "viewer")
    user_id = await me(user)
    listed = await user.get(f"/users/{user_id}/extended-access?{PROJECTS}")
    assert await user.get(f"/users/{user_id}/extended-access?filter[resource_type]=project") == listed
    [item] = listed["items"]
    assert (item["user_id"], item["resource_id"], item["resource_type"]) == (user_id, project, "project")
    assert item["permissions"] == ["viewer"]

    [projects] = references(listed, "projects")
    [organizations] = references(listed, "organizations")
    shown = (await user.get(projects))[project]
    assert (shown["title"], shown["status"], shown["vendor"], shown["region"]) == ("Site", "active", "upsun", "local")
    assert shown["subscription_id"]
    assert shown["organization_id"] == item["organization_id"]
    owner = (await user.get(organizations))[item["organization_id"]]
    assert (owner["name"], owner["vendor"], owner["type"]) == ("tieline", "upsun", "flexible")
    assert (await client.get(f"/projects/{project}"))["organization"] == owner["id"]


async def test_operators_list_every_project_and_what_belongs_to_them(client: Client, project: str) -> None:
    listed = await client.get("/users/me/extended-access")
    kinds = {each["resource_type"] for each in listed["items"]}
    assert kinds == {"project", "organization"}
    assert project in {each["resource_id"] for each in listed["items"]}
    mine = listed["items"][-1]["organization_id"]
    assert (await client.get(f"/users/me/extended-access?filter[organization_id]={mine}"))["items"]
    assert (await client.get(f"/users/me/extended-access?filter[organization_id]={MISSING}"))["items"] == []


async def test_references_show_what_the_caller_may_see_and_null_for_all_else(
    client: Client, project: str, new_user: NewUser
) -> None:
    stranger, viewer = await new_user("stranger"), await new_user("viewer", project, "viewer")
    admin = await new_user("admin2", project, "admin")
    ids = {name: await me(each) for name, each in (("stranger", stranger), ("viewer", viewer), ("admin", admin))}
    operator = await me(client)
    organization = (await client.get(f"/projects/{project}"))["organization"]

    async def visible(who: Client, kind: str, *asked: str) -> set[str]:
        found = await who.get(f"/ref/{kind}?in={quote(','.join([*asked, MISSING]))}&sig=anything")
        assert found.keys() == {*asked, MISSING}
        assert all(value is None or value["id"] == key for key, value in found.items())
        return {key for key, value in found.items() if value is not None}

    assert await visible(viewer, "projects", project) == {project}
    assert await visible(stranger, "projects", project) == set()
    assert await visible(viewer, "organizations", organization) == {organization}
    assert await visible(stranger, "organizations", organization) == set()
    everybody = (*ids.values(), operator)
    assert await visible(stranger, "users", *everybody) == {ids["stranger"]}
    # Who owns a project, and its organization, is known to all who see it; the others to its admins.
    assert await visible(viewer, "users", *everybody) == {ids["viewer"], operator}
    assert await visible(admin, "users", *everybody) == {ids["viewer"], ids["admin"], operator}
    assert await visible(client, "users", *everybody) == set(everybody)


async def test_references_bear_whatever_is_asked(client: Client, project: str) -> None:
    for kind in ("projects", "organizations", "users"):
        assert await client.get(f"/ref/{kind}") == {}
        assert await client.get(f"/ref/{kind}?in=") == {}
        assert await client.get(f"/ref/{kind}?in=,%00,%ff,a%20b,{'x' * 100}") == {}
    twice = await client.get(f"/ref/projects?in={project},{project},")
    assert list(twice) == [project]
    answer = await client("GET", f"/ref/users?in={','.join(map(str, range(6000)))}")
    assert (answer.status, list(answer.json["detail"])) == (400, ["in"])


def test_references_are_split_over_links_that_no_server_finds_too_long() -> None:
    ids = [f"{number:013}" for number in range(2 * MOST_REFERENCES + 1)]
    links = reference_links("projects", [*ids, *ids])
    assert list(links) == ["ref:projects:0", "ref:projects:1", "ref:projects:2"]
    asked = [each["href"].removeprefix("/ref/projects?in=").split(",") for each in links.values()]
    assert [each for part in asked for each in part] == ids
    assert all(len(each["href"]) < 4000 for each in links.values())
    assert reference_links("projects", []) == {}


async def test_older_clients_find_themselves_and_their_projects(
    client: Client, project: str, new_user: NewUser
) -> None:
    user = await new_user("someone", project, "viewer")
    shown = await user.get("/me")
    assert await user.get("/platform/me") == shown
    assert await user.get("/api/platform/me") == shown
    user_id = await me(user)
    assert (shown["id"], shown["uuid"], shown["mail"]) == (user_id, user_id, f"{shown['username']}@example.org")
    [stub] = shown["projects"]
    assert stub["endpoint"] == f"{PUBLIC_URL}/api/projects/{project}"
    assert (stub["id"], stub["title"], stub["vendor"], stub["status"]) == (project, "Site", "upsun", "active")
    assert await user.get(f"/platform/projects/{project}") == stub
    assert (await user.get(f"/platform/users/{user_id}"))["email"] == shown["mail"]
    assert (await user.get("/platform/profiles/me"))["id"] == user_id
    assert (await user.get("/platform/regions"))["regions"][0]["id"] == "local"
    assert await user.get("/regions") == await user.get("/platform/regions")


async def test_users_are_named_as_clients_name_them(client: Client, new_user: NewUser) -> None:
    user, other = await new_user("someone"), await new_user("other")
    shown = await user.get("/users/me")
    for named in (shown["id"], f"username={shown['username']}", f"email={quote(shown['email'])}"):
        assert await user.get(f"/users/{named}") == shown
        assert await client.get(f"/users/{named}") == shown
        assert (await other("GET", f"/users/{named}")).status == 404
    for wrong in ("email=nobody@example.org", "id=me", "username=", "email=%00", "email=%ff", "=", "first_name=a"):
        assert (await client("GET", f"/users/{wrong}")).status == 404, wrong


async def test_nobody_must_prove_anything(client: Client) -> None:
    for path in ("/me/verification", "/platform/me/verification"):
        assert await client.post(path) == {"state": False, "type": ""}
    assert await client.post("/platform/me/phone") == {"verify_phone": False}


async def test_who_has_access_to_a_project_can_be_called_by_name(
    client: Client, project: str, new_user: NewUser
) -> None:
    viewer = await new_user("viewer", project, "viewer")
    listed = await client.get(f"/projects/{project}/user-access")
    [href] = references(listed, "users")
    shown = await client.get(href)
    assert shown[await me(viewer)]["username"].startswith("viewer-")
    assert {each["organization_id"] for each in listed["items"]} == {
        (await client.get(f"/projects/{project}"))["organization"]
    }


async def test_many_projects_are_listed_with_short_links(own_instance: Instance, new_user: NewUser) -> None:
    client = own_instance.client
    await create_project(client)
    async with own_instance.services.db.transaction() as conn:
        await conn.execute(
            "insert into project (id, title, owner)"
            " select lpad(n::text, 13, 'p'), 'Many', account.id from generate_series(1, 250) n, account"
        )
    listed = await client.get(f"/users/me/extended-access?{PROJECTS}")
    found: dict[str, Any] = {}
    for href in references(listed, "projects"):
        found |= await client.get(href)
    assert found.keys() == {each["resource_id"] for each in listed["items"]}
    assert len(found) == 251
    assert None not in found.values()


@pytest.mark.parametrize("path", ["/projects", "/me", "/users/me/extended-access", "/projects/{project}/activities"])
async def test_one_account_that_asks_for_lists_leaves_the_database_to_others(
    client: Client, instance: Instance, project: str, path: str
) -> None:
    path = path.format(project=project)
    waited = 0

    async def ask() -> bool:
        nonlocal waited
        found = await client.get(path)
        waited = max(waited, instance.services.db.statistics()["waiting"])
        return bool(found)

    assert await ask()
    assert all(await asyncio.gather(*[ask() for _ in range(60)]))
    # Whoever makes the pool grow is counted among those who wait.
    assert waited < MOST
