"""The seed: a Bitbucket integration reads exactly as the vendor's document has it."""

import asyncio
from collections.abc import AsyncIterator

from openapi_schema_validator import OAS31Validator

from tests.api.conftest import PUBLIC_URL, Client, in_shared_loop, running
from tieline.integrations import ALL

SENT = {
    "type": "bitbucket",
    "repository": "/acme/site",
    "app_credentials": {"key": "abc123", "secret": "planted"},
    "environment_init_resources": "parent",
    "build_pull_requests": True,
    "pull_requests_clone_parent_data": True,
    "resync_pull_requests": False,
    "fetch_branches": True,
    "prune_branches": True,
}


@in_shared_loop
async def client(dsn: str) -> AsyncIterator[Client]:
    async with running(dsn, ALL) as started:
        yield started.client


async def test_the_list_is_exactly_the_contracts(client: Client) -> None:
    project = (await client.post("/projects", {"title": "x"}))["_embedded"]["entity"]["id"]
    answer = await client.post(f"/projects/{project}/integrations", SENT)
    wanted = answer["_embedded"]["entity"]["id"]
    path = f"/api/projects/{project}/integrations/{wanted}"
    (shown,) = await client.get(f"/projects/{project}/integrations")
    assert shown.pop("created_at").endswith("+00:00")
    links = shown.pop("_links")
    operations = {"#edit", "#delete", "#validate", "#hook", "#sync"}
    # That there is a history of the build statuses is Tieline's own.
    assert links.keys() == {"self", *operations, "deliveries", "receiver"}
    assert links["self"] == {"href": PUBLIC_URL + path}
    assert links["#hook"] == {"href": path + "/hook"}
    assert shown == {
        "id": wanted,
        "updated_at": None,
        "type": "bitbucket",
        "role": "",
        "fetch_branches": True,
        "prune_branches": True,
        "environment_init_resources": "parent",
        "app_credentials": {"key": "abc123"},
        "addon_credentials": None,
        "repository": "acme/site",
        "build_pull_requests": True,
        "pull_requests_clone_parent_data": True,
        "pull_requests_max_pages": None,
        "resync_pull_requests": False,
    }
    kinds = [each["type"] for each in answer["_embedded"]["activities"]]
    assert kinds == ["integration.bitbucket.register_hooks", "integration.bitbucket.fetch"]


async def test_the_body_that_the_command_line_sends_is_accepted_over_and_over(client: Client) -> None:
    projects = [(await client.post("/projects", {"title": "x"}))["_embedded"]["entity"]["id"] for _ in range(3)]
    answers = await asyncio.gather(*(client("POST", f"/projects/{each}/integrations", SENT) for each in projects))
    assert [answer.status for answer in answers] == [201, 201, 201]


async def test_the_example_of_each_type_is_what_the_description_says(client: Client) -> None:
    document = await client.get("/openapi.json")
    schema = {"$ref": "#/components/schemas/IntegrationCreate", "components": document["components"]}
    for kind in ALL:
        assert [each.message for each in OAS31Validator(schema).iter_errors({"type": kind.key, **kind.example})] == []
    shown = document["components"]["schemas"]["BitbucketIntegration"]
    assert "secret" not in str(shown["properties"])
