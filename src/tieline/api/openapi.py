"""The OpenAPI document: FastAPI's, with what its generator cannot see, and the integration types as declared."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel

from tieline.api.documented import MEDIA_TYPE, REFERENCE, Documentation, add_schema, documentation_of
from tieline.api.outputs import Error, Health, Link, Plain
from tieline.core.documents import JSON
from tieline.integrations.base import Registry
from tieline.integrations.models import model_to_create, model_to_patch, model_to_read

_LISTED: Final = "/projects/{project_id}/integrations"
_ONE: Final = _LISTED + "/{integration_id}"
_TAG: Final = ["Third-Party Integrations"]
_OPEN: Final = ("/oauth2/token", "/oauth2/revoke", "/healthz", "/readyz", "/metrics", _ONE + "/hook")
_ERRORS: Final = (400, 401, 403, 404)
_TOO_LARGE: Final = 413
_OUT_OF_ORDER: Final = 503
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
    for model in (Error, Health, Link, Plain):
        add_schema(schemas, model)
    _add_routes(app, document["paths"], schemas)
    # After the routes, which name a plain `Integration` that the union of the types stands in for.
    _add_types(schemas, registry)
    _add_hot_paths(document["paths"])
    _secure(document["paths"])
    for path, method, operation in _operations(document["paths"]):
        operation["responses"] = _more_answers(path, method, operation) | operation["responses"]
    for name in _FRAMEWORKS:
        schemas.pop(name, None)
    return document


def _add_routes(app: FastAPI, paths: JSON, schemas: JSON) -> None:
    """What the routes say of themselves."""
    for route in iter_route_contexts(app.routes):
        for method, operation in paths.get(route.path_format or "", {}).items():
            if route.endpoint is not None and method.upper() in (route.methods or ()):
                _add_route(operation, documentation_of(route.endpoint), str(route.status_code or 200), schemas)


def _add_route(operation: JSON, said: Documentation, status: str, schemas: JSON) -> None:
    schema = said.answer_schema(schemas)
    if schema is not None:
        operation["responses"][status] = _content(HTTPStatus(int(status)).phrase, schema)
    operation["responses"] |= _errors(said.errors)
    for other, model in said.others.items():
        operation["responses"][str(other)] = _content(HTTPStatus(other).phrase, add_schema(schemas, model))
    body = said.request_body(schemas)
    if body is not None:
        operation["requestBody"] = body


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
        "responses": _answers({"$ref": REFERENCE.format(model=Plain.__name__)}) | _errors((400, 401, 404)),
    }


def _health_operation() -> JSON:
    return {
        "tags": ["Operations"],
        "summary": "Whether the process is alive",
        "operationId": "healthz",
        "responses": _answers({"$ref": REFERENCE.format(model=Health.__name__)}),
    }


def _path_parameters(*names: str) -> list[JSON]:
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _answers(schema: Any) -> JSON:
    return {"200": _content("OK", schema)}


def _errors(statuses: Iterable[int]) -> JSON:
    error = {"$ref": REFERENCE.format(model=Error.__name__)}
    return {str(status): _content(HTTPStatus(status).phrase, error) for status in statuses}


def _content(description: str, schema: Any) -> JSON:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


def _more_answers(path: str, method: str, operation: JSON) -> JSON:
    """What a route answers because of how it works, whatever it is about."""
    answers = _errors(() if path in _OPEN else _ERRORS)
    content = operation["responses"].get("200", {}).get("content", {})
    if method == "get" and MEDIA_TYPE in content and path not in _OPEN:
        answers["304"] = {"description": "The entity tag in If-None-Match is still the right one."}
    if "requestBody" in operation:
        answers |= _errors([_TOO_LARGE])
    if path not in ("/healthz", "/readyz"):
        answers |= _errors([_OUT_OF_ORDER])
    return answers


def _body(model: str) -> JSON:
    return {"required": True, "content": {MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(model=model)}}}}


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
