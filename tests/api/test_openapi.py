"""The document describes what is there: all of it, validly, and with examples that are true."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from tests.api import complete as complete_documents
from tests.api.conftest import Client, in_shared_loop
from tieline.api.application import bare_app
from tieline.integrations import ALL

Document = dict[str, Any]


@in_shared_loop
async def document(client: Client) -> Document:
    found: Document = await client.as_(None).get("/openapi.json")
    return found


@pytest.fixture(scope="module")
def complete() -> Document:
    """The document of a server with all types."""
    return complete_documents.openapi()


def operations(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is said of each operation, by its method and path."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def contents(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every body that is described, sent or answered, by where it is."""
    for name, operation in operations(document):
        for kind, media in operation.get("requestBody", {}).get("content", {}).items():
            yield f"{name} {kind}", media
        for status, answer in operation["responses"].items():
            for kind, media in answer.get("content", {}).items():
                yield f"{name} {status} {kind}", media
    for name, answer in document["components"]["responses"].items():
        yield name, answer["content"]["application/json"]


def examples(media: dict[str, Any]) -> list[Any]:
    several = [each["value"] for each in media.get("examples", {}).values()]
    return several + ([media["example"]] if "example" in media else [])


def faults(document: Document, schema: dict[str, Any], example: Any) -> list[str]:
    whole = {**schema, "components": document["components"]}
    validator = OAS31Validator(whole, format_checker=OAS31Validator.FORMAT_CHECKER)
    return [error.message[:200] for error in validator.iter_errors(example)]


async def test_integrations_are_told_apart_by_type(document: Document) -> None:
    schemas = document["components"]["schemas"]
    for name in ("Integration", "IntegrationCreate", "IntegrationPatch"):
        mapping = schemas[name]["discriminator"]["mapping"]
        assert mapping.keys() == {"forge", "health.sink"}
        for key, reference in mapping.items():
            model = schemas[reference.rpartition("/")[2]]
            assert model["properties"]["type"]["const"] == key
    assert "secret" not in str(schemas["Integration"])


async def test_the_hot_paths_are_documented_like_all_others(document: Document) -> None:
    paths = document["paths"]
    listed = paths["/projects/{project_id}/integrations"]
    assert listed.keys() == {"get", "post"}
    assert paths["/projects/{project_id}/integrations/{integration_id}"].keys() == {"get", "patch", "delete"}
    assert paths["/projects/{project_id}/integrations/{integration_id}/hook"]["post"]["security"] == []
    body = listed["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/IntegrationCreate"}
    assert not [path for path in paths if path.startswith("/api")]


def test_nothing_is_served_that_is_not_described(complete: Document) -> None:
    described = {(method.upper(), path) for path, methods in complete["paths"].items() for method in methods}
    served = {
        (method, route.path_format)
        for route in iter_route_contexts(bare_app().routes)
        for method in route.methods or ()
        if not (route.path_format or "").startswith("/api/")
    }
    # The files of the page are part of it.
    assert served - described == {("GET", "/docs/{name}")}


def test_it_is_a_valid_document_of_openapi_3_1(complete: Document) -> None:
    assert complete["openapi"].startswith("3.1")
    validate(complete)


def test_every_operation_says_what_it_does_and_for_whom(complete: Document) -> None:
    described = {each["name"]: each["description"] for each in complete["tags"]}
    assert all(described.values())
    names = [operation["operationId"] for _, operation in operations(complete)]
    assert len(set(names)) == len(names)
    for name, operation in operations(complete):
        assert operation["summary"], name
        assert operation.get("description", "").endswith("."), name
        assert set(operation["tags"]) <= described.keys(), name
        assert operation["security"] in ([], [{"bearer": []}]), name
        assert operation["x-basis"] in ("documented", "observed", "inferred", "added"), name
        assert "422" not in operation["responses"], name


def test_every_parameter_and_every_field_has_a_description(complete: Document) -> None:
    parameters = [
        f"{name}: {each['name']}"
        for name, operation in operations(complete)
        for each in operation.get("parameters", ())
        if not each.get("description")
    ]
    fields = [
        f"{name}.{field}"
        for name, schema in complete["components"]["schemas"].items()
        for field, described in schema.get("properties", {}).items()
        if not described.get("description")
    ]
    assert (parameters, fields) == ([], [])


def test_every_body_has_an_example_that_its_schema_lets_through(complete: Document) -> None:
    wrong = []
    for name, media in contents(complete):
        given = examples(media)
        assert given, f"{name} has no example"
        wrong += [f"{name}: {fault}" for example in given for fault in faults(complete, media["schema"], example)]
    for name, schema in complete["components"]["schemas"].items():
        for example in schema.get("examples", ()):
            wrong += [f"{name}: {fault}" for fault in faults(complete, schema, example)]
    assert wrong == []


def test_each_type_has_an_example_of_its_own(complete: Document) -> None:
    post = complete["paths"]["/projects/{project_id}/integrations"]["post"]
    given = post["requestBody"]["content"]["application/json"]["examples"]
    assert given.keys() == {kind.key for kind in ALL}
    assert all(each["value"]["type"] == key for key, each in given.items())


async def test_it_is_answered_from_memory_with_an_entity_tag(client: Client) -> None:
    stranger = client.as_(None)
    first = await stranger("GET", "/openapi.json")
    assert first.headers["Content-Type"] == "application/json"
    again = await stranger("GET", "/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


async def test_the_page_works_without_a_token_and_without_the_internet(client: Client) -> None:
    stranger = client.as_(None)
    page = await stranger("GET", "/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    text = page.body.decode()
    assert "://" not in text
    for name in ("docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/docs.js"):
        assert name in text
        asset = await stranger("GET", f"/{name}")
        assert asset.status == 200
        again = await stranger("GET", f"/{name}", headers={"If-None-Match": asset.headers["ETag"]})
        assert again.status == 304
    assert (await stranger("GET", "/docs/secrets.txt")).status == 404
