"""Examples for the OpenAPI document, made from its schemas: each value is one that its schema lets through."""

import re
from collections.abc import Mapping
from typing import Any, Final

from tieline.core.documents import JSON

_MOMENT: Final = "2026-11-23T10:00:00.000000+00:00"
_LATER: Final = "2026-11-23T10:01:30.000000+00:00"
_COMMIT: Final = "5f1c8e0b7a9d4c3e2f6a1b0c9d8e7f6a5b4c3d2e"
_PARENT: Final = "0b7a9d4c3e2f6a1b0c9d8e7f6a5b4c3d2e5f1c8e"
_TREE: Final = "9d8e7f6a5b4c3d2e5f1c8e0b7a9d4c3e2f6a1b0c"
_BLOB: Final = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"
_ORGANIZATION: Final = "rjify4yatdk5l"
_ROOT: Final = "https://tieline.example"
_PROJECT: Final = "azertyuiop234"
_TOKEN_EXAMPLE: Final = "the-token-itself"  # noqa: S105 - stands for one

# By the field, or by its model and the field where one name means several things.
_FIELDS: Final[Mapping[str, Any]] = {
    "id": "nadbowmhd67do",
    "created_at": _MOMENT,
    "updated_at": None,
    "granted_at": _MOMENT,
    "_links": {"self": {"href": f"{_ROOT}/api/projects/{_PROJECT}"}},
    "project": _PROJECT,
    "project_id": _PROJECT,
    "project_title": "Site",
    "title": "Site",
    "description": "The company's site",
    "attributes": {"team": "web"},
    "owner": "k2xq7vbn4s5tm",
    "user_id": "k2xq7vbn4s5tm",
    "default_branch": "main",
    "timezone": "Europe/Paris",
    "region": "local",
    "href": f"{_ROOT}/api/projects/{_PROJECT}",
    "ProjectDocument.id": _PROJECT,
    "ProjectDocument.namespace": None,
    "ProjectDocument.default_domain": None,
    "ProjectDocument.maintenance": None,
    "ProjectDocument.subscription": {"plan": "development", "environments": 10000, "suspended": False},
    "ProjectStatus.code": "provisioned",
    "ProjectStatus.message": "ok",
    "ProjectRepository.url": f"{_PROJECT}@git.tieline.example:{_PROJECT}.git",
    "ProjectRepository.client_ssh_key": None,
    "concurrency_limits": {"default": 2, "integration": 4},
    "Capabilities.integrations": {
        "enabled": True,
        "config": {"bitbucket": {"enabled": True, "role": "admin"}},
        "allowed_integrations": ["bitbucket"],
    },
    "Capabilities.logs_forwarding": {"max_extra_payload_size": 4096},
    "Capabilities.metrics": {"max_range": "0h"},
    "Capabilities.instance_limit": 1,
    "EnvironmentDocument.id": "pr-4",
    "EnvironmentDocument.name": "new-menu",
    "EnvironmentDocument.title": "PR #4: A new menu",
    "EnvironmentDocument.type": "development",
    "EnvironmentDocument.default_domain": None,
    "EnvironmentDocument.sizing": None,
    "EnvironmentDocument.max_instance_count": None,
    "EnvironmentDocument.last_backup_at": None,
    "EnvironmentDocument.is_pr": True,
    "EnvironmentDocument.has_code": True,
    "EnvironmentDocument.has_remote": True,
    "EnvironmentDocument.has_deployment": True,
    "EnvironmentDocument.http_access": {"is_enabled": False, "addresses": [], "basic_auth": {}},
    "machine_name": "pr-4-afnwgxy",
    "parent": "main",
    "deployment_target": "local",
    "edge_hostname": f"pr-4-afnwgxy-{_PROJECT}.local",
    "last_active_at": _LATER,
    "head_commit": _COMMIT,
    "MergeInfo.commits_ahead": None,
    "MergeInfo.commits_behind": None,
    "MergeInfo.parent_ref": None,
    "DeploymentState.last_state_update_successful": True,
    "DeploymentState.last_deployment_successful": True,
    "DeploymentState.last_deployment_failure_reason": None,
    "DeploymentState.last_deployment_at": _LATER,
    "DeploymentState.last_autoscale_up_at": None,
    "DeploymentState.last_autoscale_down_at": None,
    "DeploymentState.last_maintenance_at": None,
    "Crons.status": "sleeping",
    "ActivityDocument.id": "6456zmdtoykxa",
    "ActivityDocument.type": "environment.push",
    "ActivityDocument.environments": ["main"],
    "ActivityDocument.state": "complete",
    "ActivityDocument.result": "success",
    "ActivityDocument.failure_reason": None,
    "ActivityDocument.started_at": _MOMENT,
    "ActivityDocument.completed_at": _LATER,
    "ActivityDocument.updated_at": _LATER,
    "ActivityDocument.cancelled_at": None,
    "ActivityDocument.expires_at": "2026-12-23T10:01:30.000000+00:00",
    "ActivityDocument.completion_percent": 100,
    "ActivityDocument.timings": {"wait": 0.2, "build": 41.5, "deploy": 12.1},
    "ActivityDocument.log": f"The log is streamed at {_ROOT}/api/projects/{_PROJECT}/activities/6456zmdtoykxa/log",
    "ActivityDocument.description": '<user data-id="k2xq7vbn4s5tm">Ann</user> pushed to '
    '<environment data-id="main">main</environment>',
    "ActivityDocument.text": "**Ann** pushed to **main**",
    "ActivityDocument.integration": "c4opi5tjv3yfd",
    "Embedded.activities": [],
    "DeliveryDocument.id": "1207",
    "DeliveryDocument.state": "waiting",
    "DeliveryDocument.environment": "main",
    "DeliveryInFull.id": "1207",
    "DeliveryInFull.state": "waiting",
    "DeliveryInFull.environment": "main",
    "DeliveredActivity.id": "6456zmdtoykxa",
    "DeliveredActivity.type": "environment.push",
    "DeliveredActivity.state": "complete",
    "DeliveredActivity.result": "success",
    "build_status": None,
    "attempt_count": 1,
    "next_attempt_at": _LATER,
    "finished_at": None,
    "own_activity": "5rjcd2m7tq4ky",
    "last_error": "The receiver answered 503.",
    "AttemptDocument.number": 1,
    "AttemptDocument.seconds": 0.042,
    "AttemptDocument.started_at": _MOMENT,
    "AttemptDocument.verdict": "retry",
    "AttemptDocument.sentence": "The receiver answered 503.",
    "AttemptDocument.error_class": "status",
    "AttemptDocument.status": 503,
    "AttemptDocument.address": "203.0.113.7",
    "SentRequestDocument.method": "POST",
    "SentRequestDocument.url": "https://hooks.example.com/site",
    "SentRequestDocument.headers": {
        "Content-Type": "application/json",
        "webhook-id": "msg_6456zmdtoykxa_complete_c4opi5tjv3yfd",
    },
    "AttemptDocument.answer": "down for maintenance",
    "SentBody.body": '{"id": "6456zmdtoykxa", "type": "environment.push", "state": "complete"}',
    "ReceiverDocument.paused": True,
    "ReceiverDocument.paused_at": _LATER,
    "ReceiverDocument.paused_because": "The receiver moves to another machine.",
    "ReceiverDocument.failing_since": None,
    "ReceiverDocument.breaker_open_until": None,
    "ReceiverDocument.counts_are_complete": True,
    "DeliveryCounts.held": 3,
    "ReceiverChanged.deliveries": 3,
    "Replayed.deliveries": 12,
    "OAuthError.error_description": "The API token is invalid.",
    "OAuthError.error": "invalid_grant",
    "username": "ann",
    "email": "ann@example.com",
    "first_name": "Ann",
    "last_name": "Arbor",
    "User.id": "k2xq7vbn4s5tm",
    "User.updated_at": _MOMENT,
    "User.namespace": "tieline",
    "User.picture": "",
    "User.company": "",
    "User.website": "",
    "User.country": "",
    "User.email_verified": True,
    "User.phone_number_verified": True,
    "User.consented_at": None,
    "User.consent_method": "opt-in",
    "APITokenDocument.name": "Laptop",
    "APITokenDocument.updated_at": _MOMENT,
    "APITokenDocument.expires_at": None,
    "APITokenCreated.name": "Laptop",
    "APITokenCreated.updated_at": _MOMENT,
    "APITokenCreated.expires_at": None,
    "APITokenCreated.token": _TOKEN_EXAMPLE,
    "APITokenCreate.name": "Laptop",
    "UserAccess.updated_at": _MOMENT,
    "permissions": ["viewer"],
    "grant_type": "api_token",
    "api_token": _TOKEN_EXAMPLE,
    "access_token": _TOKEN_EXAMPLE,
    "expires_in": 900,
    "token_type": "bearer",
    "scope": "",
    "meanings": {"documented": "The vendor says so, in its OpenAPI documents or its guides."},
    "summary": {"endpoints": {"documented": 60, "observed": 18, "inferred": 5, "added": 10}},
    "TypeFidelity.type": "webhook",
    "TypeFidelity.note": "Nothing is sent yet.",
    "NotYet.type": "webhook",
    "NotYet.note": "Nothing is sent yet.",
    "FieldFidelity.document": "EnvironmentDocument",
    "FieldFidelity.field": "title",
    "FieldFidelity.note": "",
    "TypeFieldFidelity.field": "url",
    "TypeFieldFidelity.note": "",
    "TypeFieldFidelity.default": None,
    "EndpointFidelity.method": "GET",
    "EndpointFidelity.path": "/projects/{project_id}",
    "EndpointFidelity.note": "",
    "sha": _COMMIT,
    "ref": "refs/heads/main",
    "RefDocument.id": "heads/main",
    "CommitDocument.id": _COMMIT,
    "CommitDocument.message": "Show the new menu\n",
    "CommitDocument.tree": _TREE,
    "CommitDocument.parents": [_PARENT],
    "SignatureDocument.name": "Ann Arbor",
    "TreeDocument.id": _TREE,
    "TreeDocument.sha": _TREE,
    "TreeEntryDocument.path": "README.md",
    "TreeEntryDocument.mode": "100644",
    "TreeEntryDocument.sha": _BLOB,
    "BlobDocument.id": _BLOB,
    "BlobDocument.sha": _BLOB,
    "BlobDocument.size": 5,
    "BlobDocument.content": "aGVsbG8=",
    "DiffDocument.id": "README.md",
    "DiffDocument.diff": "--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-hello\n+hello, world\n",
    "DiffDocument.new_path": "README.md",
    "DiffDocument.old_path": "README.md",
    "DiffDocument.new_id": _BLOB,
    "DiffDocument.old_id": _PARENT,
    "fingerprint": _COMMIT,
    "organization": _ORGANIZATION,
    "organization_id": _ORGANIZATION,
    "owner_id": "k2xq7vbn4s5tm",
    "OrganizationDocument.id": _ORGANIZATION,
    "OrganizationDocument.name": "acme",
    "OrganizationDocument.label": "Acme",
    "OrganizationReference.name": "acme",
    "OrganizationReference.label": "Acme",
    "OrganizationCreate.name": "acme",
    "OrganizationCreate.label": "Acme",
    "VariableDocument.name": "LIMIT",
    "VariableDocument.value": "10",
    "VariableCreate.name": "LIMIT",
    "VariableCreate.value": "10",
    "resource_id": _PROJECT,
    "subscription_id": _PROJECT,
    "project_ui": f"{_ROOT}/docs",
    "uuid": "k2xq7vbn4s5tm",
    "display_name": "Ann Arbor",
    "mail": "ann@example.com",
    "ProjectStub.id": _PROJECT,
    "ProjectStub.name": _PROJECT,
    "endpoint": f"{_ROOT}/api/projects/{_PROJECT}",
    "uri": f"{_ROOT}/api/projects/{_PROJECT}",
    "cluster": "local",
    "cluster_label": "local",
    "cluster_name": "local",
    "region_label": "local",
    "zone": "local",
    "selection_label": "local",
    "project_label": "local",
    "Region.id": "local",
    "Region.label": "local",
    "Region.endpoint": _ROOT,
    "refresh_token": _TOKEN_EXAMPLE,
    "token": _TOKEN_EXAMPLE,
    "BehaviourFidelity.subject": "Environments",
    "BehaviourFidelity.name": "pr-N",
    "BehaviourFidelity.note": "The environment of pull request N has the id `pr-N`.",
    "Missing.name": "domains, certificates and routes",
    "Missing.note": "They are the deployer's.",
    "Health.status": "ok",
    "Health.checks": {"database": "at this version", "workers": "1 alive"},
}
_CONSTANT: Final = re.compile("Always (?:`(?P<word>[^`]+)`|(?P<kind>null|empty|false|true))")
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
# Bodies of which nothing is required, but that mean something only with something in them.
_BODIES: Final[Mapping[str, JSON]] = {
    "ProjectPatch": {"title": "New site"},
    "EnvironmentPatch": {"title": "New menu", "restrict_robots": True},
    "EnvironmentActivate": {"resources": {"init": "parent"}},
    "EnvironmentSynchronize": {"synchronize_data": True},
    "IntegrationSync": {"confirm_prune": False},
    "IntegrationPause": {"reason": "The receiver moves to another machine."},
    "TokenRequest": {"grant_type": "api_token", "api_token": _TOKEN_EXAMPLE},
    "OrganizationPatch": {"label": "Acme"},
    "VariablePatch": {"value": "20"},
}


class Examples:
    """Makes examples for the schemas of one document; `schemas` are its components, by name."""

    def __init__(self, schemas: JSON) -> None:
        self._schemas = schemas

    def answer(self, schema: JSON) -> Any:
        """What an answer may look like: everything is in it."""
        return self._value(schema, "", whole=True)

    def body(self, schema: JSON) -> Any:
        """What a request may look like: what is required, or what makes sense of a body that requires nothing."""
        return self._value(schema, "", whole=False)

    def bodies(self, schema: JSON) -> JSON | None:
        """A request of each type, where a body is told apart by its type."""
        mapping = self._resolve(schema)[0].get("discriminator", {}).get("mapping")
        if mapping is None:
            return None
        return {key: {"summary": key, "value": self.body({"$ref": each})} for key, each in mapping.items()}

    def _resolve(self, schema: JSON) -> tuple[JSON, str]:
        """The schema that is meant, and its name."""
        if "$ref" not in schema:
            return schema, ""
        name = schema["$ref"].rpartition("/")[2]
        return self._schemas[name], name

    def _value(self, schema: JSON, field: str, *, whole: bool) -> Any:
        schema, model = self._resolve(schema)
        if not whole and model in _BODIES:
            return _BODIES[model]
        if "examples" in schema:
            return schema["examples"][0]
        for union in ("oneOf", "anyOf"):
            if union in schema:
                return self._value(schema[union][0], field, whole=whole)
        if schema.get("type") == "array":
            return [self._value(schema["items"], field, whole=whole)]
        if "properties" in schema:
            return self._object(schema, model, whole=whole)
        return _plain(schema, field)

    def _object(self, schema: JSON, model: str, *, whole: bool) -> JSON:
        required = schema.get("required", ())
        shown = {name: each for name, each in schema["properties"].items() if whole or name in required}
        return {name: self._field(each, model, name, whole=whole) for name, each in shown.items()}

    def _field(self, schema: JSON, model: str, name: str, *, whole: bool) -> Any:
        for key in (f"{model}.{name}", name):
            if key in _FIELDS and _fits(_FIELDS[key], schema):
                return _FIELDS[key]
        always = _CONSTANT.match(schema.get("description", ""))
        if always and _fits(value := _constant(always, schema), schema):
            return value
        return self._value(schema, name, whole=whole)


def _constant(always: re.Match[str], schema: JSON) -> Any:
    """The value that a field has at all times, by what its description says."""
    kind = schema.get("type")
    empty = [] if kind == "array" else {} if kind == "object" else ""
    return always["word"] or {"null": None, "false": False, "true": True, "empty": empty}[always["kind"]]


def _fits(value: Any, schema: JSON) -> bool:
    """Whether a field of that name means the same thing here, as far as its type says."""
    if "anyOf" in schema:
        return any(_fits(value, each) for each in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return value in schema.get("enum", [schema.get("const")])
    return "type" not in schema or isinstance(value, _TYPES[schema["type"]])


def _plain(schema: JSON, name: str) -> Any:
    """A value without parts."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "boolean":
            return False
        case "integer" | "number":
            return schema.get("default") or schema.get("minimum", 0)
        case "string":
            return _MOMENT if schema.get("format") == "date-time" else schema.get("default") or name
        case "null":
            return None
    return {}
