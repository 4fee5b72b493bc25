"""The document describes what is there."""

from typing import Any

from tests.api.conftest import Client, in_shared_loop


@in_shared_loop
async def document(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = await client.as_(None).get("/openapi.json")
    return found


async def test_integrations_are_told_apart_by_type(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in ("Integration", "IntegrationCreate"):
        mapping = schemas[name]["discriminator"]["mapping"]
        assert mapping.keys() == {"forge", "health.sink"}
        for key, reference in mapping.items():
            model = schemas[reference.rpartition("/")[2]]
            assert model["properties"]["type"]["const"] == key
    assert "secret" not in str(schemas["Integration"])


async def test_the_hot_paths_are_documented_like_all_others(document: dict[str, Any]) -> None:
    paths = document["paths"]
    listed = paths["/projects/{project_id}/integrations"]
    assert listed.keys() == {"get", "post"}
    assert paths["/projects/{project_id}/integrations/{integration_id}"].keys() == {"get", "patch", "delete"}
    assert paths["/projects/{project_id}/integrations/{integration_id}/hook"]["post"]["security"] == []
    body = listed["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/IntegrationCreate"}
    assert not [path for path in paths if path.startswith("/api")]


async def test_every_operation_has_a_summary_an_id_of_its_own_and_never_422(document: dict[str, Any]) -> None:
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    assert all(each["summary"] for each in operations)
    assert not [each for each in operations if "422" in each["responses"]]
