"""Who may do what, and how that changes."""

from typing import Any

import pytest

from tests.api.conftest import Client, Instance, NewUser

MISSING = "aaaaaaaaaaaaa"


async def test_a_viewer_sees_no_operations(project: str, new_user: NewUser, client: Client) -> None:
    viewer = await new_user("viewer", project, "viewer")
    shown = await viewer.get(f"/projects/{project}")
    assert not [name for name in shown["_links"] if name.startswith("#")]
    assert "integrations" not in shown["_links"]
    assert "#edit" in (await client.get(f"/projects/{project}"))["_links"]
    assert [each["id"] for each in await viewer.get("/projects")] == [project]


async def test_taking_access_away_works_at_once_on_every_server(
    client: Client, second: Instance, project: str, new_user: NewUser
) -> None:
    viewer = await new_user("viewer", project, "viewer")
    elsewhere = Client(second.client.url, second.client.session, viewer.token)
    me = (await viewer.get("/users/me"))["id"]
    assert (await viewer("GET", f"/projects/{project}")).status == 200
    assert (await elsewhere("GET", f"/projects/{project}")).status == 200

    assert (await client("PATCH", f"/projects/{project}/user-access/{me}", {"permissions": ["admin"]})).status == 200
    assert (await viewer("GET", f"/projects/{project}/integrations")).status == 200
    assert (await client("DELETE", f"/projects/{project}/user-access/{me}")).status == 200
    assert (await viewer("GET", f"/projects/{project}")).status == 404
    await _until(elsewhere, f"/projects/{project}", 404)


async def test_a_revoked_token_is_refused_at_once_with_what_was_made_from_it(
    client: Client, second: Instance, new_user: NewUser
) -> None:
    user = await new_user("someone")
    token = (await user.get("/users/me/api-tokens"))[0]["id"]
    form = {"grant_type": "api_token", "api_token": user.token}
    issued = (await client.as_(None).post("/oauth2/token", form))["access_token"]
    bearers = [user, client.as_(issued), Client(second.client.url, second.client.session, issued)]
    for each in bearers:
        assert (await each("GET", "/users/me")).status == 200

    assert (await user("DELETE", f"/users/me/api-tokens/{token}")).status == 200
    for each in bearers[:2]:
        assert (await each("GET", "/users/me")).status == 401
    await _until(bearers[2], "/users/me", 401)


async def _until(client: Client, path: str, status: int) -> None:
    for _ in range(200):
        if (await client("GET", path)).status == status:
            return
    pytest.fail(f"{path} never answered {status}")


async def test_user_access_reads_as_the_vendor_has_it(client: Client, project: str, new_user: NewUser) -> None:
    viewer = await new_user("viewer", project, "viewer")
    me = (await viewer.get("/users/me"))["id"]
    listed = await client.get(f"/projects/{project}/user-access")
    shown = next(each for each in listed["items"] if each["user_id"] == me)
    assert (shown["permissions"], shown["project_title"]) == (["viewer"], "Site")
    assert await viewer.get(f"/projects/{project}/user-access/me") == shown
    again = await client("POST", f"/projects/{project}/user-access", [{"user_id": me, "permissions": ["admin"]}])
    assert again.status == 409
    assert (await client.get(f"/projects/{project}/user-access/{me}"))["permissions"] == ["viewer"]


async def test_granting_to_several_is_all_or_nothing(client: Client, project: str, new_user: NewUser) -> None:
    known = (await (await new_user("someone")).get("/users/me"))["id"]
    body = [{"user_id": each, "permissions": ["viewer"]} for each in (known, MISSING)]
    answer = await client("POST", f"/projects/{project}/user-access", body)
    assert (answer.status, list(answer.json["detail"])) == (400, ["user_id"])
    assert len((await client.get(f"/projects/{project}/user-access"))["items"]) == 1


async def test_whose_access_is_wrong_is_told_by_its_number(client: Client, project: str, new_user: NewUser) -> None:
    someone = (await (await new_user("someone")).get("/users/me"))["id"]
    body = [{"user_id": someone, "permissions": ["viewer"]}, 5, {"user_id": someone, "permissions": []}]
    answer = await client("POST", f"/projects/{project}/user-access", body)
    assert (answer.status, answer.json["detail"]) == (
        400,
        {"1": "Must be an object, not a number.", "2.permissions": "Must have at least 1 item."},
    )


async def test_a_name_that_is_none_is_told_what_one_is(client: Client) -> None:
    answer = await client("POST", "/organizations", {"name": "No Name", "label": "Acme"})
    (sentence,) = answer.json["detail"].values()
    assert sentence.endswith("What it is named by in commands: small letters, digits and hyphens.")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "a@b.example"}, "username"),
        ({"username": "Not A Name", "email": "a@b.example"}, "username"),
        ({"username": "ann", "email": "nowhere"}, "email"),
        ({"username": "admin", "email": "a@b.example"}, "username"),
        ({"username": "ann", "email": "a@b.example", "is_operator": "yes"}, "is_operator"),
    ],
)
async def test_a_user_that_cannot_be_is_refused(client: Client, body: dict[str, Any], field: str) -> None:
    before = await client.get("/users")
    answer = await client("POST", "/users", body)
    assert (answer.status, list(answer.json["detail"])) == (400, [field])
    assert await client.get("/users") == before


async def test_a_token_is_shown_once_and_may_end(client: Client, new_user: NewUser) -> None:
    user = await new_user("someone")
    for wrong in ("2020-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "soon", 5):
        refused = await user("POST", "/users/me/api-tokens", {"name": "old", "expires_at": wrong})
        assert (refused.status, list(refused.json["detail"])) == (400, ["expires_at"]), wrong
    made = await user.post("/users/me/api-tokens", {"name": "new", "expires_at": "2999-01-01T00:00:00Z"})
    assert len(made["token"]) >= 43
    listed = await user("GET", "/users/me/api-tokens")
    assert made["token"].encode() not in listed.body
    assert [each["name"] for each in listed.json] == ["test", "new"]
