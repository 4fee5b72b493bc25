"""The OpenAPI document: FastAPI's, with what its generator cannot see, and the integration types as declared."""

import copy
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from tieline.api.description.documented import MEDIA_TYPE, REFERENCE, Documentation, add_schema, documentation_of
from tieline.api.description.examples import Examples
from tieline.api.description.schemas import add_integrations
from tieline.api.errors import Problem, problem, unauthenticated
from tieline.api.outputs import Error, Health, Integration, Link, Plain
from tieline.core.documents import JSON
from tieline.core.errors import Conflict, Forbidden, Invalid, NotFound, TooLarge, Unavailable
from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import MESSAGE

_LISTED: Final = "/projects/{project_id}/integrations"
_ONE: Final = _LISTED + "/{integration_id}"
_INTEGRATIONS: Final = "Third-Party Integrations"
_OPERATIONS: Final = "Operations"
# Who comes to these has no token yet, or is a machine of the operator's, or another server.
_OPEN: Final = (
    "/oauth2/token",
    "/oauth2/revoke",
    "/openapi.json",
    "/docs",
    "/fidelity",
    "/healthz",
    "/readyz",
    "/metrics",
    _ONE + "/hook",
)
_OLD_PREFIX: Final = "/platform/"
_ERRORS: Final = (400, 401, 403, 404)
_TOO_LARGE: Final = 413
_OUT_OF_ORDER: Final = 503
_NEVER_AWAY: Final = ("/healthz", "/readyz", "/openapi.json", "/docs", "/fidelity")
# The framework describes its own errors, which nobody gets here.
_FRAMEWORKS: Final = ("HTTPValidationError", "ValidationError")
_BEARER: Final = {"type": "http", "scheme": "bearer", "description": "An access token, or an API token itself."}
_DESCRIPTION: Final = (
    "Every path about projects, users and organizations is also served under `/api`, and every GET takes HEAD too. "
    "What is read-only in a document is ignored in a request, so that a document can be sent back. Whoever makes or "
    "changes something hears of other fields that are not named here; orders, such as to activate an environment, "
    "ignore them. What of this is the vendor's and what is Tieline's own is told at `/fidelity`; each operation has it "
    "as `x-basis`."
)
_TAGS: Final = {
    "Project": "What an integration belongs to: it has a repository, environments and people.",
    _INTEGRATIONS: "What ties a project to its Git host, and to everything that wants to know of it.",
    "Deliveries": "What was sent to those who are told of activities, what came of it, and what is sent again.",
    "Environment": "What branches and pull requests become, and what can be done with it.",
    "Environment Type": "What environments are for: production, staging, development.",
    "Deployment": "What runs of an environment.",
    "Activity": "What happens to a project, with its log; the newest first.",
    "Repository": "The project's Git data, to read.",
    "Users": "People and machines that have tokens.",
    "API Tokens": "What people and machines authenticate with.",
    "User Access": "Who may see or change a project.",
    "Organizations": "Who owns projects.",
    "References": "Several things by their ids, for clients that list what a person may see.",
    "State": "All that the server keeps, for tests that begin anew; with `TIELINE_DEVELOPMENT=1` only.",
    "Authentication": "API tokens for short-lived access tokens.",
    "Description": "What this server says of itself.",
    _OPERATIONS: "What the operator's machines ask.",
}
_PARAMETERS: Final = {
    "user_id": "The id of the user; `me` is the caller.",
    "token_id": "The id of the API token.",
    "environment_id": "The id of the environment, as its document has it.",
    "ref_id": "The id of the ref, such as `heads/main`; its slashes may be escaped.",
    "commit_id": "The whole hash of the commit.",
    "tree_id": "The whole hash of the tree.",
    "blob_id": "The whole hash of the blob.",
    "base_id": "The whole hash of the commit or tree to compare with.",
    "target_id": "The whole hash of the commit or tree that is compared.",
}
_EXAMPLES: Final[tuple[Problem, ...]] = (
    problem(Invalid({"repository": "Must be user/repo, as in the repository's address."}, MESSAGE)),
    unauthenticated("The access token is invalid or has expired."),
    problem(Forbidden("This needs the role admin on the project; yours is viewer.")),
    problem(NotFound("Integration not found")),
    problem(Conflict("There is a variable 'TOKEN' already; change that one.")),
    problem(TooLarge("The body is larger than 1,048,576 bytes, the most that is read here.")),
    problem(Unavailable("The database does not answer; please try again.")),
)


def describe(app: FastAPI, types: Iterable[IntegrationType]) -> JSON:
    """The whole document, in OpenAPI 3.1."""
    # The framework keeps its document, which becomes another one here.
    document: JSON = copy.deepcopy(app.openapi())
    document["info"] |= {
        "description": _DESCRIPTION,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    components["securitySchemes"] = {"bearer": _BEARER}
    for model in (Error, Health, Link, Plain):
        add_schema(schemas, model)
    _add_routes(app, document["paths"], schemas)
    # After the routes, which name a plain `Integration` that the union of the types stands in for.
    add_integrations(schemas, types)
    _add_plain_routes(document["paths"], schemas)
    for path, method, operation in _operations(document["paths"]):
        _complete(path, method, operation)
    components["responses"] = _share_errors(document["paths"])
    _add_examples(document["paths"], Examples(schemas))
    document["tags"] = _tags(document["paths"])
    for name in _FRAMEWORKS:
        schemas.pop(name, None)
    return document


def _add_routes(app: FastAPI, paths: JSON, schemas: JSON) -> None:
    """What the routes say of themselves."""
    taken: set[str] = set()
    for route in iter_route_contexts(app.routes):
        for method, operation in paths.get(route.path_format or "", {}).items():
            if route.endpoint is not None and method.upper() in (route.methods or ()):
                _add_route(operation, documentation_of(route.endpoint), str(route.status_code or 200), schemas)
                _name(operation, route.name or "", taken)
                if (route.path_format or "").startswith(_OLD_PREFIX):
                    operation |= {"x-basis": "observed", "x-basis-note": "Asked for by the JavaScript client on npm."}


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
    operation["x-basis"] = said.basis
    operation["x-basis-note"] = said.note


def _name(operation: JSON, name: str, taken: set[str]) -> None:
    """The function's own name, where no other operation has it: code is made of these names."""
    if name and name not in taken:
        operation["operationId"] = name
        if operation.get("summary", "") in ("", name.replace("_", " ").title()):
            operation["summary"] = name.replace("_", " ").capitalize().replace("api ", "API ")
    taken.add(name)


def _add_plain_routes(paths: JSON, schemas: JSON) -> None:
    """The routes that do without the framework, and the bodies of those that take an integration."""
    one = {"$ref": REFERENCE.format(model=Integration.__name__)}
    paths[_LISTED] = {
        "get": _plain(
            "list_integrations", "The project's integrations, in the order of their creation.", _list_of(one), _LISTED
        ),
        **paths[_LISTED],
    }
    paths[_ONE] = {"get": _plain("get_integration", "One integration.", one, _ONE), **paths[_ONE]}
    paths[_ONE + "/hook"] = {"post": _hook_operation(schemas)}
    paths["/healthz"] = {"get": _health_operation(schemas)}
    paths[_LISTED]["post"]["requestBody"] = _body("IntegrationCreate")
    paths[_ONE]["patch"]["requestBody"] = _body("IntegrationPatch")


def _list_of(schema: JSON) -> JSON:
    return {"type": "array", "items": schema}


def _plain(name: str, description: str, schema: JSON, path: str, tag: str = _INTEGRATIONS) -> JSON:
    """A route that is documented here, for nothing else knows of it."""
    operation: JSON = {
        "tags": [tag],
        "description": description,
        "parameters": _path_parameters(path),
        "responses": {"200": _content("OK", schema)},
        "x-basis": "documented",
        "x-basis-note": "",
    }
    _name(operation, name, set())
    return operation


def _hook_operation(schemas: JSON) -> JSON:
    sentence = "Receive a webhook from the Git host, signed with the secret that Tieline registered there."
    operation = _plain("receive_hook", sentence, add_schema(schemas, Plain), _ONE + "/hook")
    operation["requestBody"] = {"content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}
    operation["responses"] |= _errors((400, 401, 404))
    note = "Named in the vendor's guides and in links; signatures and their rules are Tieline's."
    return {**operation, "x-basis": "observed", "x-basis-note": note}


def _health_operation(schemas: JSON) -> JSON:
    sentence = "Whether the process is alive."
    operation = _plain("healthz", sentence, add_schema(schemas, Health), "/healthz", _OPERATIONS)
    return {**operation, "x-basis": "added", "x-basis-note": "For whoever watches the process."}


def _path_parameters(path: str) -> list[JSON]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _body(model: str) -> JSON:
    return {"required": True, "content": {MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(model=model)}}}}


def _content(description: str, schema: Any) -> JSON:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


def _errors(statuses: Iterable[int]) -> JSON:
    error = {"$ref": REFERENCE.format(model=Error.__name__)}
    return {str(status): _content(HTTPStatus(status).phrase, error) for status in statuses}


def _complete(path: str, method: str, operation: JSON) -> None:
    """What is true of an operation because of how everything works here, whatever it is about."""
    operation["responses"] = _more_answers(path, method, operation) | operation["responses"]
    operation["responses"] = dict(sorted(operation["responses"].items()))
    operation["security"] = [] if path in _OPEN else [{"bearer": []}]
    # Invalid input answers 400 here, never the 422 that the framework describes.
    operation["responses"].pop("422", None)
    parameters = operation.get("parameters", ())
    if method == "get" and not any(each["in"] == "query" for each in parameters):
        operation["responses"].pop("400", None)
    for each in parameters:
        if each["in"] == "path":
            each.setdefault("description", _parameter(each["name"]))


def _more_answers(path: str, method: str, operation: JSON) -> JSON:
    answers = _errors(() if path in _OPEN else _ERRORS)
    content = operation["responses"].get("200", {}).get("content", {})
    if method == "get" and MEDIA_TYPE in content and path not in _OPEN:
        answers["304"] = {"description": "The entity tag in If-None-Match is still the right one."}
    if "requestBody" in operation:
        answers |= _errors([_TOO_LARGE])
    if path not in _NEVER_AWAY:
        answers |= _errors([_OUT_OF_ORDER])
    return answers


def _parameter(name: str) -> str:
    """What a part of a path is."""
    return _PARAMETERS.get(name) or f"The id of the {name.removesuffix('_id').replace('_', ' ')}."


def _share_errors(paths: JSON) -> JSON:
    """Errors look the same everywhere, so each is described once and referred to."""
    shared: JSON = {}
    for _, _, operation in _operations(paths):
        for status, answer in operation["responses"].items():
            if answer == _errors([int(status)])[status]:
                name = HTTPStatus(int(status)).phrase.replace(" ", "")
                shared[name] = _with_example(int(status), answer)
                operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return shared


def _with_example(status: int, answer: JSON) -> JSON:
    given = next((each for each in _EXAMPLES if each.status == status), None)
    shown = given or Problem(HTTPStatus(status), HTTPStatus(status).phrase)
    content = {**answer["content"][MEDIA_TYPE], "example": shown.document()}
    return {**answer, "content": {MEDIA_TYPE: content}}


def _add_examples(paths: JSON, examples: Examples) -> None:
    for _, _, operation in _operations(paths):
        for status, answer in operation["responses"].items():
            for media in answer.get("content", {}).values():
                if "schema" in media and "example" not in media:
                    media["example"] = _with_status(int(status), examples.answer(media["schema"]))
        for media in operation.get("requestBody", {}).get("content", {}).values():
            several = examples.bodies(media["schema"])
            media.update({"examples": several} if several else {"example": examples.body(media["schema"])})


def _with_status(status: int, example: Any) -> Any:
    """An answer that repeats its status in the body repeats the right one."""
    if isinstance(example, dict) and "code" in example:
        return {**example, "status": HTTPStatus(status).phrase, "code": status}
    return example


def _tags(paths: JSON) -> list[JSON]:
    """The tags in use, in the order of their table."""
    used = {tag for _, _, operation in _operations(paths) for tag in operation.get("tags", ())}
    known = [tag for tag in _TAGS if tag in used]
    return [{"name": tag, "description": _TAGS[tag]} for tag in known]


def _operations(paths: JSON) -> Iterator[tuple[str, str, JSON]]:
    """Path, method, and what is said of them."""
    return ((path, method, operation) for path, methods in paths.items() for method, operation in methods.items())
