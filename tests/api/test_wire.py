"""Headers, tags, prefixes and error bodies, as the vendor's clients need them."""

import asyncio
import re

import psycopg
import pytest
from multidict import CIMultiDict

from tests.api.conftest import PUBLIC_URL, Client, Instance, NewUser, create_project
from tests.api.test_integrations import create

ROOMS = ("environments", "environment-types", "integrations", "activities", "capabilities")
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00\Z")


async def test_a_project_is_complete(client: Client, project: str) -> None:
    shown = await client.get(f"/projects/{project}")
    assert await client.get(f"/api/projects/{project}") == shown
    assert ISO.match(shown["created_at"])
    assert (shown["title"], shown["description"], shown["updated_at"]) == ("Site", "", None)
    assert shown["status"] == {"code": "provisioned", "message": "ok"}
    assert shown["repository"]["url"]
    assert shown["subscription"]["suspended"] is False
    path = f"/api/projects/{project}"
    assert shown["_links"] == {
        "self": {"href": PUBLIC_URL + path},
        "#edit": {"href": path},
        **{room: {"href": f"{path}/{room}"} for room in ROOMS},
    }
    assert re.fullmatch(r"[a-z2-7]{13}", shown["id"])


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_field_that_does_not_exist_is_no_field(client: Client, method: str) -> None:
    path = "/projects" if method == "POST" else f"/projects/{await create_project(client)}"
    answer = await client(method, path, {"title": "Shop", "desciption": "Ours"})
    assert answer.status == 400
    assert answer.json["detail"] == {"desciption": "There is no such field; did you mean description?"}


async def test_creating_a_project_answers_with_the_entity(client: Client) -> None:
    answer = await client("POST", "/projects", {"title": " Shop ", "timezone": "Europe/Paris", "id": "mine"})
    assert (answer.status, answer.json["code"]) == (201, 201)
    entity = answer.json["_embedded"]["entity"]
    assert (entity["title"], entity["timezone"]) == ("Shop", "Europe/Paris")
    recorded = await client.get(f"/projects/{entity['id']}/activities")
    assert [(each["type"], each["state"], each["result"]) for each in recorded] == [
        ("project.create", "complete", "success")
    ]


async def test_patching_a_project_records_each_change(client: Client, project: str) -> None:
    body = {"title": "New <b>", "description": "d", "attributes": {"a": "b"}, "timezone": "UTC", "id": "other"}
    answer = await client("PATCH", f"/projects/{project}", body)
    entity = answer.json["_embedded"]["entity"]
    assert answer.json["_embedded"]["activities"] == []
    assert (entity["id"], entity["title"], entity["attributes"]) == (project, "New <b>", {"a": "b"})
    assert ISO.match(entity["updated_at"])
    recorded = {each["type"] for each in await client.get(f"/projects/{project}/activities")}
    assert recorded == {
        "project.create",
        "project.modify.title",
        "project.modify.description",
        "project.modify.attributes",
    }


NO_ZONE = "is not a time zone of the IANA database, such as Europe/Paris."


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"title": ""}, {"title": "Must have at least 1 character."}),
        ({"title": "   "}, {"title": "This needs some text."}),
        ({"title": 5}, {"title": "Must be a string, not a number."}),
        ({"title": None}, {"title": "Must be a string, not null."}),
        (
            {"attributes": None, "region": None},
            {
                "attributes": "Must be an object, not null.",
                "region": "Must be a string, not null.",
            },
        ),
        ({"title": "x" * 300}, {"title": "Must have at most 255 characters."}),
        ({"timezone": "Mars/Olympus"}, {"timezone": f"'Mars/Olympus' {NO_ZONE}"}),
        ({"timezone": "../../etc/passwd"}, {"timezone": f"'../../etc/passwd' {NO_ZONE}"}),
        (
            {"attributes": {"a": 1, "b": None}},
            {"attributes.a": "Must be a string, not a number.", "attributes.b": "Must be a string, not null."},
        ),
        ({"attributes": []}, {"attributes": "Must be an object, not a list."}),
        ({"attributes": {"a": "x" * 1001}}, {"attributes.a": "Must have at most 1000 characters."}),
        ({"attributes": {str(n): "x" for n in range(101)}}, {"attributes": "Must have at most 100 items."}),
    ],
)
async def test_a_wrong_patch_of_a_project_changes_nothing(
    client: Client, project: str, body: dict[str, object], detail: dict[str, str]
) -> None:
    before = await client.get(f"/projects/{project}")
    answer = await client("PATCH", f"/projects/{project}", {"description": "new", **body})
    assert (answer.status, answer.json["detail"]) == (400, detail)
    assert await client.get(f"/projects/{project}") == before


@pytest.mark.parametrize(
    "path", ["/integrations", "/integrations/{id}", "/environments", "/activities", "", "/capabilities"]
)
async def test_a_tag_saves_the_body(client: Client, project: str, path: str) -> None:
    entity = await create(client, project)
    where = f"/projects/{project}" + path.format(id=entity["id"])
    full = await client("GET", where)
    tag = full.headers["ETag"]
    assert (full.status, full.headers["Content-Type"]) == (200, "application/json")
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = await client("GET", where, headers={"If-None-Match": known})
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", tag)
    several = CIMultiDict([("If-None-Match", '"other"'), ("If-None-Match", tag)])
    assert (await client("GET", where, headers=several)).status == 304
    assert (await client("GET", where, headers={"If-None-Match": '"other"'})).body == full.body


async def test_a_tag_changes_with_the_document(client: Client, project: str) -> None:
    entity = await create(client, project)
    where = f"/projects/{project}/integrations"
    tag = (await client("GET", where)).headers["ETag"]
    await client("PATCH", f"{where}/{entity['id']}", {"fetch_branches": False})
    answer = await client("GET", where, headers={"If-None-Match": tag})
    assert (answer.status, answer.json[0]["fetch_branches"]) == (200, False)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/projects/{project}/integrations", "GET, HEAD, POST"),
        ("OPTIONS", "/projects/{project}", "GET, HEAD, PATCH"),
        ("POST", "/api/projects/{project}/integrations/x", "GET, HEAD, PATCH, DELETE"),
        ("GET", "/projects/{project}/integrations/x/hook", "POST"),
        ("DELETE", "/projects", "GET, HEAD, POST"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(
    client: Client, project: str, method: str, path: str, allowed: str
) -> None:
    answer = await client(method, path.format(project=project))
    assert (answer.status, answer.headers["Allow"], answer.json["code"]) == (405, allowed, 405)


async def test_a_head_is_a_get_without_the_body(client: Client, project: str) -> None:
    entity = await create(client, project)
    fetch = (await client.get(f"/projects/{project}/activities"))[0]
    one = f"/projects/{project}/integrations/{entity['id']}"
    for path in (f"/projects/{project}", one, f"{one}/activities", f"/api/projects/{project}/environments", "/healthz"):
        full, head = await client("GET", path), await client("HEAD", path)
        assert (head.status, head.body) == (200, b"")
        compared = ("Content-Type", "Content-Length", "ETag")
        assert [head.headers.get(name) for name in compared] == [full.headers.get(name) for name in compared]
    # A log that is still being written has a head all the same.
    log = await asyncio.wait_for(client("HEAD", f"/projects/{project}/activities/{fetch['id']}/log"), 4)
    assert (log.status, log.body, log.headers["Content-Type"]) == (200, b"", "application/x-json-stream")
    assert (await client.as_(None)("HEAD", one)).status == 401
    hook = await client("HEAD", f"{one}/hook")
    assert (hook.status, hook.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/", "/project", "/projects/", "/api", "/projects/x/y/z", "/%00"])
async def test_an_unknown_path_is_a_json_404(client: Client, path: str) -> None:
    answer = await client("GET", path)
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/json")
    assert answer.json | {"message": ""} == {
        "status": "Not Found",
        "code": 404,
        "title": "Not Found",
        "message": "",
        "detail": {},
    }


async def test_errors_have_one_shape(client: Client, project: str, new_user: NewUser) -> None:
    entity = await create(client, project)
    path = f"/projects/{project}/integrations"
    hooks = (await client.get(f"{path}/{entity['id']}/activities"))[1]
    viewer = await new_user("viewer", project, "viewer")
    forbidden = "This needs the role admin on the project; yours is viewer."
    late = "The activity cannot be cancelled in its current state."
    answers = {
        "wrong": await client("POST", path, {"type": "forge"}),
        "late": await client("POST", f"/projects/{project}/activities/{hooks['id']}/cancel"),
        "anonymous": await client.as_(None)("GET", path),
        "viewer": await viewer("GET", path),
        "missing": await client("GET", f"{path}/aaaaaaaaaaaaa"),
    }
    assert {answer.headers["Content-Type"] for answer in answers.values()} == {"application/json"}
    anonymous = answers["anonymous"].json
    assert answers["anonymous"].headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert (anonymous["error"], anonymous["error_description"]) == ("invalid_token", anonymous["message"])
    shapes = {
        name: [*list(answer.json.values())[:3], *list(answer.json.values())[4:5]] for name, answer in answers.items()
    }
    assert shapes == {
        "wrong": ["Invalid input", 400, "Bad Request", {"repository": "This field is required."}],
        "late": ["Invalid input", 400, "Bad Request", {"": late}],
        "anonymous": ["Unauthorized", 401, "Unauthorized", {}],
        "viewer": ["Forbidden", 403, "Forbidden", forbidden],
        "missing": ["Not Found", 404, "Not Found", {}],
    }
    assert [answers[name].json["message"] for name in ("wrong", "late", "viewer", "missing")] == [
        "The integration is invalid.",
        late,
        forbidden,
        "Integration not found",
    ]


async def test_unknown_parameters_are_ignored(client: Client, project: str) -> None:
    await create(client, project)
    for path in ("", "/integrations", "/environments", "/activities"):
        await client.get(f"/projects/{project}{path}?limit=5&timeout=6&count=10&x=%ff")


async def test_capabilities_name_the_types(client: Client, project: str) -> None:
    shown = (await client.get(f"/projects/{project}/capabilities"))["integrations"]
    assert shown["enabled"] is True
    assert {"forge", "health.sink"} <= shown["config"].keys()
    assert all(each["enabled"] is True for each in shown["config"].values())


async def test_settings_say_what_the_command_line_asks_before_it_activates(client: Client, project: str) -> None:
    shown = await client.get(f"/api/projects/{project}/settings")
    assert shown.pop("_links") == {"self": {"href": f"{PUBLIC_URL}/api/projects/{project}/settings"}}
    assert shown == {
        "environment_name_strategy": "name-and-hash",
        "concurrency_limits": {"default": 2, "integration": 4},
        "sizing_api_enabled": False,
        "enable_guaranteed_resources": False,
        "enable_paused_environments": True,
        "allow_manual_deployments": False,
        "allow_rolling_deployments": False,
        "enable_codesource_integration_push": False,
    }


async def test_the_operator_can_see_how_it_is_going(own_instance: Instance) -> None:
    client = own_instance.client
    project = await create_project(client)
    await client.get(f"/projects/{project}/integrations")
    anybody = client.as_(None)
    assert (await anybody("GET", "/healthz")).json == {"status": "ok"}
    ready = await anybody("GET", "/readyz")
    assert ready.status == 503
    assert ready.json["checks"] == {
        "database": "at this version",
        "workers": "No worker has said lately that it is alive.",
    }
    figures = (await anybody("GET", "/metrics")).body.decode()
    assert 'route="/projects/{project_id}/integrations",status="200"} 1.0' in figures
    assert 'tieline_activities{state="pending"} 0.0' in figures
    assert 'tieline_pool{state="size"}' in figures
    assert project not in figures


async def test_a_database_that_hangs_keeps_nobody_waiting_who_asks_how_it_is_going(own_instance: Instance) -> None:
    anybody = own_instance.client.as_(None)
    with psycopg.connect(own_instance.dsn) as blocking:
        blocking.execute("lock table alembic_version, procrastinate_workers, activity in access exclusive mode")
        asked = (anybody("GET", path) for path in ("/readyz", "/metrics"))
        ready, figures = await asyncio.wait_for(asyncio.gather(*asked), 8)
    late = "There was no answer within 2 seconds."
    assert (ready.status, ready.json["checks"]) == (503, {"database": late, "workers": late})
    assert figures.status == 200
    assert "tieline_database_up 0.0" in figures.body.decode()
    assert "tieline_pool" in figures.body.decode()
    assert "tieline_activities{" not in figures.body.decode()
    assert "tieline_database_up 1.0" in (await anybody("GET", "/metrics")).body.decode()
