"""What clients get, for the OpenAPI document; `core.wire` and `documents` write it."""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Entity = TypeVar("Entity")


class Output(BaseModel):
    """Any document."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


class Link(Output):
    href: str
    """An absolute URL for `self`, a path for every other link."""


class HAL(Output):
    links: dict[str, Link] = Field(alias="_links")
    """`self`, relations, and as `#operation` what the caller may do now."""


class Resource(HAL):
    id: str
    created_at: datetime
    updated_at: datetime | None
    """When it was last changed; null until then."""


class Integration(Resource):
    """Any integration; the document has the fields of each type instead."""


class ProjectStatus(Output):
    code: str
    message: str


class ProjectRepository(Output):
    url: str
    """The shape of an SSH remote, which clients ask for; nothing listens there."""

    client_ssh_key: str | None


class ProjectDocument(Resource):
    attributes: dict[str, str]
    """Whatever a client wants to keep with the project."""

    title: str
    description: str
    owner: str
    """The user who created the project."""

    namespace: str | None
    organization: str | None
    default_branch: str | None
    """The branch of the production environment; null until a repository was read."""

    status: ProjectStatus
    timezone: str
    region: str
    repository: ProjectRepository
    default_domain: str | None
    subscription: dict[str, Any]
    """The vendor's billing facts, with limits that never get in the way."""

    maintenance: dict[str, Any] | None


class ProjectSettings(HAL):
    environment_name_strategy: Literal["hash", "name-and-hash"]
    concurrency_limits: dict[str, int | None]
    """How many activities of each queue run at once."""

    sizing_api_enabled: bool
    enable_guaranteed_resources: bool
    enable_paused_environments: bool
    allow_manual_deployments: bool
    allow_rolling_deployments: bool
    enable_codesource_integration_push: bool


class Capabilities(Output):
    integrations: dict[str, Any]
    """The integration types that can be created, in `config` by type."""

    logs_forwarding: dict[str, Any]
    metrics: dict[str, Any]
    tasks: dict[str, Any]
    guaranteed_resources: dict[str, Any]
    images: dict[str, Any]
    instance_limit: int
    build_resources: dict[str, Any]
    data_retention: dict[str, Any]
    autoscaling: dict[str, Any]
    object_storage: dict[str, Any]
    custom_domains: dict[str, Any]
    source_operations: dict[str, Any]
    runtime_operations: dict[str, Any]
    outbound_firewall: dict[str, Any]


class HTTPAccessDocument(Output):
    is_enabled: bool
    addresses: list[dict[str, str]]
    """In order: `permission` (allow or deny) and `address` (an IP address or network)."""

    basic_auth: dict[str, str]
    """Passwords by user name."""


class Crons(Output):
    enabled: bool
    status: Literal["paused", "running", "sleeping"]


class DeploymentState(Output):
    """How the last deployment went."""

    last_state_update_successful: bool
    last_deployment_successful: bool
    last_deployment_failure_reason: Literal["error", "shell"] | None
    last_deployment_commands: list[dict[str, Any]]
    last_deployment_at: datetime | None
    last_autoscale_up_at: datetime | None
    last_autoscale_down_at: datetime | None
    last_maintenance_at: datetime | None
    crons: Crons


class MergeInfo(Output):
    commits_ahead: int | None
    commits_behind: int | None
    parent_ref: str | None


class EnvironmentDocument(Resource):
    name: str
    """The branch itself; that of the source for a pull request."""

    machine_name: str
    """The id with a hash, fit for host names."""

    title: str
    attributes: dict[str, str]
    type: Literal["development", "production", "staging"]
    parent: str | None
    """The environment that data is copied from; null for the production environment."""

    default_domain: str | None
    has_domains: bool
    clone_parent_on_create: bool
    """Whether it starts with a copy of its parent's data."""

    deployment_target: str | None
    is_pr: bool
    """Whether it follows a pull request."""

    has_remote: bool
    """Whether its branch is there at the Git host."""

    awaiting_approval: bool
    """Whether the head commit comes from a fork and is built only once an admin activates it."""

    status: Literal["active", "deleting", "dirty", "inactive", "paused"]
    http_access: HTTPAccessDocument
    enable_smtp: bool
    restrict_robots: bool
    edge_hostname: str
    deployment_state: DeploymentState | None
    """Null until something was deployed."""

    sizing: dict[str, Any] | None
    resources_overrides: dict[str, Any]
    max_instance_count: int | None
    last_active_at: datetime | None
    last_backup_at: datetime | None
    project: str
    is_main: bool
    """Whether it is the production environment."""

    is_dirty: bool
    """Whether an activity waits or runs on it."""

    has_staged_activities: bool
    can_rolling_deploy: bool
    supports_rolling_deployments: bool
    has_code: bool
    head_commit: str | None
    """The commit that its branch is at."""

    merge_info: MergeInfo
    has_deployment: bool
    supports_restrict_robots: bool


class EnvironmentSettings(HAL):
    enable_manual_deployments: bool


class ActivityDocument(Resource):
    type: str
    """What happened, such as `environment.push`."""

    parameters: dict[str, Any]
    """What set it off, and how it is done."""

    project: str
    integration: str | None = None
    """Given for the activities of an integration."""

    environments: list[str]
    state: Literal["pending", "in_progress", "complete", "cancelled"]
    result: Literal["success", "failure"] | None
    """Null until it has ended."""

    failure_reason: Literal["error", "shell"] | None
    started_at: datetime | None
    completed_at: datetime | None
    cancelled_at: datetime | None
    expires_at: datetime | None
    """When it will be removed, with its log."""

    completion_percent: int
    """100 as soon as it has ended, however it did."""

    timings: dict[str, float]
    """Seconds by phase."""

    log: str
    """A sentence that says where the log is streamed."""

    payload: dict[str, Any]
    """What it is about: user, project, environment, commits, deployment."""

    description: str
    """A sentence in HTML."""

    text: str
    """The same without HTML."""

    commands: list[dict[str, Any]]


class Plain(Output):
    """The answer to something that has nothing to show."""

    status: str
    code: int


class Embedded(Output):
    activities: list[ActivityDocument]
    """What the change set off."""


class Removed(Plain):
    """The answer to a removal."""

    embedded: Embedded = Field(alias="_embedded")


class EmbeddedEntity(Embedded, Generic[Entity]):
    entity: Entity
    """The thing as it is now."""


class Accepted(Plain, Generic[Entity]):
    """The answer to a change."""

    embedded: EmbeddedEntity[Entity] = Field(alias="_embedded")


class Error(Plain):
    """Any error."""

    title: str
    message: str
    """What went wrong, in a sentence."""

    detail: dict[str, str] | str
    """What is wrong with each field, by dotted name; the name is empty for what concerns the whole."""

    error: str | None = None
    """With 401 only: `invalid_token`."""

    error_description: str | None = None
    """With 401 only: the message again."""

    reference: str | None = None
    """With 500 only: where to look in the server's log."""


class OAuthError(Output):
    """An error of the token endpoint."""

    error: Literal["invalid_request", "invalid_grant", "unsupported_grant_type"]
    error_description: str


class User(Output):
    id: str
    deactivated: bool
    namespace: str
    username: str
    email: str
    email_verified: bool
    first_name: str
    last_name: str
    picture: str
    company: str
    website: str
    country: str
    created_at: datetime
    updated_at: datetime
    consented_at: datetime | None
    consent_method: str
    phone_number_verified: bool
    mfa_enabled: bool
    sso_enabled: bool
    is_operator: bool
    """Whether the user administers the server and sees every project."""


class APITokenDocument(Output):
    id: str
    name: str
    mfa_on_creation: bool
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    """When it was last exchanged for an access token."""


class APITokenCreated(APITokenDocument):
    token: str
    """The token itself; it is shown this once."""


class AccessLink(Link):
    method: str | None = None


class UserAccess(Output):
    user_id: str
    organization_id: str | None
    project_id: str
    project_title: str
    permissions: list[str]
    """The role: `admin` or `viewer`."""

    granted_at: datetime
    updated_at: datetime
    links: dict[str, AccessLink] = Field(alias="_links")


class UserAccessList(HAL):
    items: list[UserAccess]


class AccessToken(Output):
    access_token: str
    expires_in: int
    """Seconds."""

    token_type: str
    scope: str


class Health(Output):
    status: str
    checks: dict[str, str] | None = None
    """What each check says, by name; given by `/readyz`."""
