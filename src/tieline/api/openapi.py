"""The OpenAPI document: FastAPI's, with what its generator cannot see, and the integration types as declared."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

from tieline.api.outputs import Plain
from tieline.api.rooms import REFERENCE
from tieline.core.documents import JSON
from tieline.integrations.base import Registry
from tieline.integrations.models import model_to_create, model_to_patch, model_to_read

_LISTED: Final = "/projects/{project_id}/integrations"
_ONE: Final = _LISTED + "/{integration_id}"
_TAG: Final = ["Third-Party Integrations"]
_OPEN: Final = ("/oauth2/token", "/healthz", "/readyz", "/metrics", _ONE + "/hook")
_ERRORS: Final = {"401": "Unauthorized", "403": "Forbidden", "404": "Not Found"}
_OUT_OF_ORDER: Final = {"503": "Service Unavailable"}
# The framework describes its own errors, which nobody gets here.
_FRAMEWORKS: Final = ("HTTPValidationError", "ValidationError")
_BEARER: Final = {"type": "http", "scheme": "bearer", "description": "An access token, or an API token itself."}
_DESCRIPTION: Final = (
    "Every path under `/projects` and `/users` is also served under `/api`, and every GET takes HEAD too. What is "
    "read-only in a document is ignored in a request, so that a document can be sent back. An integration refuses "
    "other fields that are not named here; everything else ignores them."
)


def describe(app: FastAPI, registry: Registry) -> JSON:
    """The whole document, in OpenAPI 3.1."""
    document: JSON = app.openapi()
    document["info"]["description"] = _DESCRIPTION
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    components["securitySchemes"] = {"bearer": _BEARER}
    _add_types(schemas, registry)
    _add_schema(schemas, Plain)
    _add_hot_paths(document["paths"])
    _hoist(document["paths"], schemas)
    _secure(document["paths"])
    for path, method, operation in _operations(document["paths"]):
        operation["responses"] |= _more_answers(path, method, operation)
    for name in _FRAMEWORKS:
        schemas.pop(name, None)
    return document


def _add_types(schemas: JSON, registry: Registry) -> None:
    """Three unions over the types, told apart by `type`."""
    for use, make in (("", model_to_read), ("Create", model_to_create), ("Patch", model_to_patch)):
        names = {}
        for kind in registry:
            name = names[kind.key] = _add_schema(schemas, make(kind))
            if not use:
                _add_links(schemas[name])
        schemas[f"Integration{use}"] = _union(names, discriminated=use != "Patch")


def _add_links(schema: JSON) -> None:
    """Links are the API's to add, so the declarations know nothing of them."""
    schema["properties"]["_links"] = {
        "type": "object",
        "additionalProperties": {"$ref": REFERENCE.format(model="Link")},
    }
    schema["required"].append("_links")


def _union(names: dict[str, str], *, discriminated: bool) -> JSON:
    references = {key: REFERENCE.format(model=name) for key, name in names.items()}
    union: JSON = {"oneOf" if discriminated else "anyOf": [{"$ref": each} for each in references.values()]}
    if discriminated:
        union["discriminator"] = {"propertyName": "type", "mapping": references}
    return union


def _add_schema(schemas: JSON, model: type[BaseModel]) -> str:
    schema = model.model_json_schema(ref_template=REFERENCE)
    for described in schema.get("properties", {}).values():
        # A field that is not sent has no value, and null is none that every field may have.
        if described.get("default", "") is None:
            del described["default"]
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema
    return model.__name__


def _add_hot_paths(paths: JSON) -> None:
    """The plain routes, and the bodies of those that take an integration."""
    listing = {"type": "array", "items": {"$ref": REFERENCE.format(model="Integration")}}
    paths[_LISTED] = {"get": _read("List a project's integrations", listing), **paths[_LISTED]}
    paths[_ONE] = {"get": _read("Get one integration", listing["items"], "integration_id"), **paths[_ONE]}
    paths[_ONE + "/hook"] = {"post": _hook_operation()}
    paths["/healthz"] = {"get": _health_operation()}
    paths[_LISTED]["post"]["requestBody"] = _body("IntegrationCreate")
    paths[_ONE]["patch"]["requestBody"] = _body("IntegrationPatch")


def _read(summary: str, schema: Any, *more: str) -> JSON:
    return {
        "tags": _TAG,
        "summary": summary,
        "operationId": summary.lower().replace(" ", "_").replace("'", ""),
        "parameters": _path_parameters("project_id", *more),
        "responses": _answers(schema),
    }


def _hook_operation() -> JSON:
    return {
        "tags": _TAG,
        "summary": "Receive a webhook from the Git host",
        "description": "Called by the Git host, signed with the secret that Tieline registered there.",
        "operationId": "receive_hook",
        "parameters": _path_parameters("project_id", "integration_id"),
        "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": _answers({"$ref": REFERENCE.format(model=Plain.__name__)}),
    }


def _health_operation() -> JSON:
    health = {"application/json": {"schema": {"$ref": REFERENCE.format(model="Health")}}}
    return {
        "tags": ["Operations"],
        "summary": "Whether the process is alive",
        "operationId": "healthz",
        "responses": {"200": {"description": "OK", "content": health}},
    }


def _path_parameters(*names: str) -> list[JSON]:
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _answers(schema: Any) -> JSON:
    return {"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}, **_errors(_ERRORS)}


def _errors(meanings: Mapping[str, str]) -> JSON:
    error = {"application/json": {"schema": {"$ref": REFERENCE.format(model="Error")}}}
    return {status: {"description": meaning, "content": error} for status, meaning in meanings.items()}


def _more_answers(path: str, method: str, operation: JSON) -> JSON:
    """What a route answers because of how it works, whatever it is about."""
    answers: JSON = {}
    content = operation["responses"].get("200", {}).get("content", {})
    if method == "get" and "application/json" in content and path not in _OPEN:
        answers["304"] = {"description": "The entity tag in If-None-Match is still the right one."}
    if "requestBody" in operation:
        answers |= _errors({"413": "Request Entity Too Large"})
    if path not in ("/healthz", "/readyz"):
        answers |= _errors(_OUT_OF_ORDER)
    return answers


def _body(model: str) -> JSON:
    return {"required": True, "content": {"application/json": {"schema": {"$ref": REFERENCE.format(model=model)}}}}


def _hoist(paths: JSON, schemas: JSON) -> None:
    """Move the definitions that came with a body to where its references look for them."""
    for _, _, operation in _operations(paths):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schema = content["schema"]
            schemas.update(schema.pop("$defs", {}))
            schemas.update(schema.get("items", {}).pop("$defs", {}))


def _secure(paths: JSON) -> None:
    for path, method, operation in _operations(paths):
        operation["security"] = [] if path in _OPEN else [{"bearer": []}]
        # Invalid input answers 400 here, never the 422 that the framework describes.
        operation["responses"].pop("422", None)
        if method == "get" and not any(each["in"] == "query" for each in operation.get("parameters", ())):
            operation["responses"].pop("400", None)


def _operations(paths: JSON) -> Iterator[tuple[str, str, JSON]]:
    """Path, method, and what is said of them."""
    return ((path, method, operation) for path, methods in paths.items() for method, operation in methods.items())
