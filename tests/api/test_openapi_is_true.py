"""What the server answers is what its document says: nothing missing, nothing more, nothing of another type."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from tests.api.conftest import Client, Instance, create_project, in_shared_loop
from tests.api.delivered import Post
from tests.api.test_environments import environment
from tests.git.repository import HostedRepository
from tieline.core.clock import now
from tieline.core.documents import Deployment
from tieline.store import environments

MISSING = "aaaaaaaaaaaaa"
FORGE = {"type": "forge", "repository": "acme/site", "app_credentials": {"key": "k", "secret": "s"}}
SINK = {"type": "health.sink", "url": "https://x.example/"}
# A log is lines, figures are text, an export is YAML, a hook is signed, and a page is for people: none is a document
# of this kind.
ELSEWHERE = ("/log", "/metrics", "/export", "/hook", "/docs", "/openapi.json")


@dataclass
class World:
    """A project with some of everything, and what its paths are made of."""

    client: Client
    document: dict[str, Any]
    ids: dict[str, str]

    def path(self, template: str, **other: str) -> str:
        return template.format(**{**self.ids, **other})


@in_shared_loop
async def world(instance: Instance) -> World:
    return await populate(instance, FORGE, SINK)


async def populate(instance: Instance, source: dict[str, Any], sink: dict[str, Any]) -> World:
    """Make a project with a Git source, a sink, environments and a repository."""
    client = instance.client
    project = await create_project(client)
    made = await client.post(f"/projects/{project}/integrations", source)
    await client.post(f"/projects/{project}/integrations", sink)
    deployed = Deployment(commit="a" * 40, urls=("https://main.example/",), deployed_at=now())
    variables = f"/projects/{project}/integrations/{made['_embedded']['entity']['id']}/variables"
    await client.post(variables, {"name": "TOKEN", "value": "hidden", "is_sensitive": True})
    await client.post(variables, {"name": "LIMITS", "value": "[1]", "is_json": True})
    main = environment(
        project, "main", type="production", status="active", parent=None, is_main=True, deployment=deployed
    )
    async with instance.services.db.transaction() as conn:
        await environments.create_many(conn, [main, environment(project, "feature")])
    post = Post(instance, project, made["_embedded"]["entity"]["id"])
    delivery = await post.tell()
    await post.send("failed")
    repository = HostedRepository.create(instance.repositories / f"{project}.git")
    first = repository.commit("main")
    second = repository.commit("main", "other", first)
    tree, blob = repository.git("rev-parse", f"{second}^{{tree}}", f"{second}:file.txt").split()
    token = await client.post("/users/me/api-tokens", {"name": "documented"})
    ids = {
        "project_id": project,
        "integration_id": made["_embedded"]["entity"]["id"],
        "delivery_id": str(delivery),
        "environment_id": "main",
        "deployment_id": "current",
        "environment_type_id": "staging",
        "variable_name": "TOKEN",
        "activity_id": made["_embedded"]["activities"][1]["id"],
        "user_id": (await client.get("/users/me"))["id"],
        "organization_id": (await client.get(f"/projects/{project}"))["organization"],
        "token_id": token["id"],
        "ref_id": "heads/main",
        "commit_id": second,
        "tree_id": tree,
        "blob_id": blob,
        "base_id": first,
        "target_id": second,
    }
    return World(client, await client.get("/openapi.json"), ids)


def strict(document: dict[str, Any]) -> dict[str, Any]:
    """The schemas, none of which lets through what it does not name."""
    schemas: dict[str, Any] = copy.deepcopy(document["components"]["schemas"])
    for each in schemas.values():
        if "properties" in each:
            each["additionalProperties"] = False
    return schemas


def mismatches(world: World, method: str, template: str, status: int, answer: Any) -> Iterator[str]:
    described = world.document["paths"][template][method]["responses"]
    if str(status) not in described:
        yield f"{method} {template}: {status} is not documented"
        return
    shown = described[str(status)]
    if "$ref" in shown:
        shown = world.document["components"]["responses"][shown["$ref"].rpartition("/")[2]]
    schema = shown["content"]["application/json"]["schema"]
    validator = OAS31Validator({**schema, "components": {"schemas": strict(world.document)}})
    for error in validator.iter_errors(answer):
        where = "/".join(str(part) for part in error.absolute_path)
        yield f"{method} {template} {status}: {where}: {error.message[:300]}"


async def test_every_document_reads_as_it_is_described(world: World) -> None:
    templates = [
        path for path, methods in world.document["paths"].items() if "get" in methods and not path.endswith(ELSEWHERE)
    ]
    wrong: list[str] = []
    for template in templates:
        # The activity is the integration's, so the environment does not show it.
        answer = await world.client("GET", world.path(template))
        expected = 404 if "environment_id}/activities/{" in template else 503 if template == "/readyz" else 200
        assert answer.status == expected, (template, answer.body)
        wrong += mismatches(world, "get", template, answer.status, answer.json)
    assert wrong == []
    assert len(templates) > 20


@pytest.mark.parametrize(
    ("method", "template", "body", "status"),
    [
        ("post", "/projects", {"title": "Described"}, 201),
        ("patch", "/projects/{project_id}", {"description": "Described"}, 200),
        ("patch", "/projects/{project_id}/integrations/{integration_id}", {"fetch_branches": False}, 200),
        ("post", "/projects/{project_id}/integrations", SINK, 201),
        ("post", "/projects/{project_id}/integrations", FORGE, 400),
        ("post", "/projects/{project_id}/integrations", {"type": "forge"}, 400),
        ("post", "/projects/{project_id}/integrations/{integration_id}/validate", None, 200),
        ("post", "/projects/{project_id}/integrations/{integration_id}/sync", {}, 200),
        ("patch", "/projects/{project_id}/environments/{environment_id}", {"title": "Described"}, 200),
        ("post", "/projects/{project_id}/environments/{environment_id}/redeploy", None, 200),
        ("post", "/projects/{project_id}/environments/{environment_id}/deactivate", None, 400),
        (
            "post",
            "/projects/{project_id}/integrations/{integration_id}/variables",
            {"name": "NEW", "value": "shown"},
            201,
        ),
        (
            "patch",
            "/projects/{project_id}/integrations/{integration_id}/variables/{variable_name}",
            {"value": "other"},
            200,
        ),
        ("delete", "/projects/{project_id}/integrations/{integration_id}/variables/{variable_name}", None, 200),
        ("post", "/projects/{project_id}/integrations/{integration_id}/deliveries/{delivery_id}/replay", None, 200),
        (
            "post",
            "/projects/{project_id}/integrations/{integration_id}/deliveries/replay",
            {"since": "2026-01-01T00:00:00Z"},
            200,
        ),
        ("post", "/projects/{project_id}/integrations/{integration_id}/pause", {}, 400),
        ("post", "/projects/{project_id}/environments/{environment_id}/branch", {"name": "n", "title": "N"}, 400),
        ("post", "/projects/{project_id}/activities/{activity_id}/cancel", None, 200),
        ("delete", "/projects/{project_id}/integrations/{integration_id}", None, 200),
        ("post", "/users/{user_id}/api-tokens", {"name": "another"}, 201),
        ("delete", "/users/{user_id}/api-tokens/{token_id}", None, 200),
        ("post", "/oauth2/token", {"grant_type": "api_token", "api_token": "wrong"}, 400),
    ],
)
async def test_every_change_answers_as_it_is_described(
    world: World, method: str, template: str, body: Any, status: int
) -> None:
    answer = await world.client(method.upper(), world.path(template), body)
    assert answer.status == status, answer.body
    assert list(mismatches(world, method, template, status, answer.json)) == []


async def test_errors_are_as_they_are_described(world: World) -> None:
    listed, one = "/projects/{project_id}/integrations", "/projects/{project_id}/integrations/{integration_id}"
    activate = "/projects/{project_id}/environments/{environment_id}/activate"
    moved = {"commit": "b" * 40}
    large = b'{"type":"' + b"x" * 1_100_000 + b'"}'
    answers = [
        ("get", one, await world.client("GET", world.path(one, integration_id=MISSING))),
        ("get", listed, await world.client.as_(None)("GET", world.path(listed))),
        ("post", activate, await world.client("POST", world.path(activate, environment_id="feature"), moved)),
        ("post", listed, await world.client("POST", world.path(listed), raw=large)),
    ]
    assert [answer.status for _, _, answer in answers] == [404, 401, 409, 413]
    wrong = [
        each
        for method, template, answer in answers
        for each in mismatches(world, method, template, answer.status, answer.json)
    ]
    assert wrong == []


async def test_what_a_client_may_send_along_is_described(world: World) -> None:
    paths = world.document["paths"]
    named = {
        template: {each["name"] for each in methods["get"]["parameters"] if each["in"] == "query"}
        for template, methods in paths.items()
        if "get" in methods and methods["get"].get("parameters")
    }
    logs = [names for template, names in named.items() if template.endswith("/log")]
    assert logs == [{"start_at", "max_items", "max_delay"}] * 3
    lists = [names for template, names in named.items() if template.endswith("/activities")]
    assert lists == [{"type", "state", "result", "starts_at", "count"}] * 3
    assert paths["/oauth2/token"]["post"]["requestBody"]["content"].keys() == {
        "application/json",
        "application/x-www-form-urlencoded",
    }


async def test_nothing_is_described_that_is_not_used(world: World) -> None:
    text = str(world.document)
    unused = [name for name in world.document["components"]["schemas"] if f"#/components/schemas/{name}'" not in text]
    assert unused == []
