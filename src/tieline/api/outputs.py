"""What clients get, for the OpenAPI document; `core.wire` and `documents` write it."""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Entity = TypeVar("Entity")


class Output(BaseModel):
    """Any document."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True, defer_build=True)

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """What a document about something is called by whoever makes code of the schemas."""
        return cls.__name__ + "".join(each.__name__ for each in params)


class Link(Output):
    href: str
    """An absolute URL for `self`, a path for every other link."""


class HAL(Output):
    links: dict[str, Link] = Field(alias="_links")
    """`self`, relations, and as `#operation` what the caller may do now."""


class Resource(HAL):
    id: str
    """What it is named by in paths."""

    created_at: datetime
    """When it was created."""

    updated_at: datetime | None
    """When it was last changed; null until then."""


class Integration(Resource):
    """Any integration; the document has the fields of each type instead."""


class ProjectStatus(Output):
    code: str
    """Always `provisioned`: a project here can be used at once."""

    message: str
    """Always `ok`."""


class ProjectRepository(Output):
    url: str
    """The shape of an SSH remote, which clients ask for; nothing listens there."""

    client_ssh_key: str | None
    """Always null: nothing is fetched by SSH."""


class ProjectDocument(Resource):
    attributes: dict[str, str]
    """Whatever a client wants to keep with the project."""

    title: str
    """What people call it."""

    description: str
    """What it is about, in the words of its people."""

    owner: str
    """The user who created the project."""

    namespace: str | None
    """Always null."""

    organization: str | None
    """The organization that owns it; null where there is none."""

    default_branch: str | None
    """The branch of the production environment; null until a repository was read."""

    status: ProjectStatus
    """Whether it can be used."""

    timezone: str
    """Where its people are, as a name of the IANA database."""

    region: str
    """Where it runs, in the operator's words; part of host names."""

    repository: ProjectRepository
    """Where its code is."""

    default_domain: str | None
    """Always null: domains are not handled here."""

    subscription: dict[str, Any]
    """The vendor's billing facts, with limits that never get in the way."""

    maintenance: dict[str, Any] | None
    """Always null: nothing is planned."""


class ProjectSettings(HAL):
    environment_name_strategy: Literal["hash", "name-and-hash"]
    """How `machine_name` is made of an environment's id."""

    concurrency_limits: dict[str, int | None]
    """How many activities of each queue run at once."""

    sizing_api_enabled: bool
    """Always false: sizes are the deployer's."""

    enable_guaranteed_resources: bool
    """Always false: resources are the deployer's."""

    enable_paused_environments: bool
    """Whether environments can be paused."""

    allow_manual_deployments: bool
    """Always false: what is pushed is deployed."""

    allow_rolling_deployments: bool
    """Always false: how it deploys is the deployer's affair."""

    enable_codesource_integration_push: bool
    """Always false: nothing is pushed to the Git host."""


class Capabilities(Output):
    integrations: dict[str, Any]
    """The integration types that can be created, in `config` by type."""

    logs_forwarding: dict[str, Any]
    """How much can be added to each forwarded line."""

    metrics: dict[str, Any]
    """For how long measurements are kept: not at all."""

    tasks: dict[str, Any]
    """Not offered."""

    guaranteed_resources: dict[str, Any]
    """Not offered."""

    images: dict[str, Any]
    """Empty: the deployer knows what it runs."""

    instance_limit: int
    """How many instances of an application run at most."""

    build_resources: dict[str, Any]
    """Not offered."""

    data_retention: dict[str, Any]
    """Not offered."""

    autoscaling: dict[str, Any]
    """Not offered."""

    object_storage: dict[str, Any]
    """Not offered."""

    custom_domains: dict[str, Any]
    """Not offered."""

    source_operations: dict[str, Any]
    """Not offered."""

    runtime_operations: dict[str, Any]
    """Not offered."""

    outbound_firewall: dict[str, Any]
    """Not offered."""


class HTTPAccessDocument(Output):
    is_enabled: bool
    """Whether access is restricted at all."""

    addresses: list[dict[str, str]]
    """In order: `permission` (allow or deny) and `address` (an IP address or network)."""

    basic_auth: dict[str, str]
    """Passwords by user name."""


class Crons(Output):
    enabled: bool
    """Always false: cron jobs are the deployer's."""

    status: Literal["paused", "running", "sleeping"]
    """Always `sleeping`."""


class DeploymentState(Output):
    """How the last deployment went."""

    last_state_update_successful: bool
    """Whether the last deployment reached the state it was to reach."""

    last_deployment_successful: bool
    """Whether the last deployment succeeded."""

    last_deployment_failure_reason: Literal["error", "shell"] | None
    """Why it failed: the deployer's command (`shell`) or anything else (`error`); null when it did not."""

    last_deployment_commands: list[dict[str, Any]]
    """What was run, with its exit code."""

    last_deployment_at: datetime | None
    """When it ended."""

    last_autoscale_up_at: datetime | None
    """Always null."""

    last_autoscale_down_at: datetime | None
    """Always null."""

    last_maintenance_at: datetime | None
    """Always null."""

    crons: Crons
    """The state of cron jobs."""


class MergeInfo(Output):
    commits_ahead: int | None
    """Always null: it is not counted."""

    commits_behind: int | None
    """Always null: it is not counted."""

    parent_ref: str | None
    """Always null."""


class EnvironmentDocument(Resource):
    name: str
    """The branch itself; that of the source for a pull request."""

    machine_name: str
    """The id with a hash, fit for host names."""

    title: str
    """What people call it; that of the pull request for one."""

    attributes: dict[str, str]
    """Whatever a client wants to keep with the environment."""

    type: Literal["development", "production", "staging"]
    """`production` for the default branch, `development` for all others until changed."""

    parent: str | None
    """The environment that data is copied from; null for the production environment."""

    default_domain: str | None
    """Always null: domains are not handled here."""

    has_domains: bool
    """Always false: domains are not handled here."""

    clone_parent_on_create: bool
    """Whether it starts with a copy of its parent's data."""

    deployment_target: str | None
    """Always `local`: the deployer."""

    is_pr: bool
    """Whether it follows a pull request."""

    has_remote: bool
    """Whether its branch is there at the Git host."""

    awaiting_approval: bool
    """Whether the head commit comes from a fork and is built only once an admin activates it."""

    status: Literal["active", "deleting", "dirty", "inactive", "paused"]
    """Whether it runs: `active`, `inactive`, `paused`, or about to go (`deleting`)."""

    http_access: HTTPAccessDocument
    """Who may reach what runs; handed to the deployer."""

    enable_smtp: bool
    """Whether it may send mail; handed to the deployer."""

    restrict_robots: bool
    """Whether search engines are kept out; handed to the deployer."""

    edge_hostname: str
    """A host name made of `machine_name`, project and region; nothing answers there by itself."""

    deployment_state: DeploymentState | None
    """Null until something was deployed."""

    sizing: dict[str, Any] | None
    """Always null: sizes are the deployer's."""

    resources_overrides: dict[str, Any]
    """Always empty."""

    max_instance_count: int | None
    """Always null: there is no limit."""

    last_active_at: datetime | None
    """When it was last deployed or activated; null until then."""

    last_backup_at: datetime | None
    """Always null: backups are not made here."""

    project: str
    """The project it belongs to."""

    is_main: bool
    """Whether it is the production environment."""

    is_dirty: bool
    """Whether an activity waits or runs on it."""

    has_staged_activities: bool
    """Always false: nothing is staged here."""

    can_rolling_deploy: bool
    """Always false."""

    supports_rolling_deployments: bool
    """Always false."""

    has_code: bool
    """Whether its branch has a commit."""

    head_commit: str | None
    """The commit that its branch is at."""

    merge_info: MergeInfo
    """How it relates to its parent."""

    has_deployment: bool
    """Whether something is deployed."""

    supports_restrict_robots: bool
    """Always false."""


class EnvironmentSettings(HAL):
    enable_manual_deployments: bool
    """Always false: what is pushed is deployed."""


class DeploymentDocument(HAL):
    """What runs of an environment now. Containers are the deployer's, so none are listed."""

    id: str
    """Always `current`."""

    created_at: datetime
    """When it was deployed."""

    updated_at: datetime
    """When it was deployed."""

    fingerprint: str
    """The commit that was deployed."""

    cluster_name: str
    """The project's region."""

    project_info: dict[str, Any]
    """The project, in short."""

    environment_info: dict[str, Any]
    """The environment, in short."""

    deployment_target: str
    """Always `local`."""

    vpn: dict[str, Any] | None
    """Always null."""

    http_access: HTTPAccessDocument
    """Who may reach what runs."""

    enable_smtp: bool
    """Whether it may send mail."""

    restrict_robots: bool
    """Whether search engines are kept out."""

    variables: list[dict[str, Any]]
    """Always empty."""

    access: list[dict[str, Any]]
    """Always empty."""

    subscription: dict[str, Any]
    """The vendor's billing facts, with limits that never get in the way."""

    services: dict[str, Any]
    """Always empty."""

    routes: dict[str, Any]
    """By URL, the addresses that the deployer gave; the first one is primary."""

    webapps: dict[str, Any]
    """Always empty."""

    workers: dict[str, Any]
    """Always empty."""

    container_profiles: dict[str, Any]
    """Always empty."""

    tasks: dict[str, Any]
    """Always empty."""


class EnvironmentTypeDocument(HAL):
    """One of the types that environments are of."""

    id: Literal["development", "production", "staging"]
    """The type's name."""

    attributes: dict[str, str]
    """Always empty."""


class VariableDocument(Resource):
    """A variable of an integration; its id is its name."""

    name: str
    """What scripts know it by."""

    value: str | None = None
    """What it holds; left out when it is sensitive."""

    attributes: dict[str, str]
    """Whatever a client wants to keep with the variable."""

    is_json: bool
    """Whether the value is JSON."""

    is_sensitive: bool
    """Whether the value is a secret."""


class ActivityDocument(Resource):
    type: str
    """What happened, such as `environment.push`."""

    parameters: dict[str, Any]
    """What set it off, and how it is done."""

    project: str
    """The project it belongs to."""

    integration: str | None = None
    """Given for the activities of an integration."""

    environments: list[str]
    """The environment it works on, if any."""

    state: Literal["pending", "in_progress", "complete", "cancelled"]
    """Where it is between waiting and ended."""

    result: Literal["success", "failure"] | None
    """Null until it has ended."""

    failure_reason: Literal["error", "shell"] | None
    """Why it failed: a command (`shell`) or anything else (`error`); null when it did not."""

    started_at: datetime | None
    """When it began to run; null until then."""

    completed_at: datetime | None
    """When it ended; null until then."""

    cancelled_at: datetime | None
    """When somebody ended it; null when nobody did."""

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
    """What was run for it, with its exit code."""


class Plain(Output):
    """The answer to something that has nothing to show."""

    status: str
    """The status in words."""

    code: int
    """The HTTP status, 200 when all is well."""


class Embedded(Output):
    activities: list[ActivityDocument]
    """What the change set off."""


class Removed(Plain):
    """The answer to a removal."""

    embedded: Embedded = Field(alias="_embedded")
    """What there is to show."""


class EmbeddedEntity(Embedded, Generic[Entity]):
    entity: Entity
    """The thing as it is now."""


class Validated(Plain):
    """The answer about an integration that can work."""

    warnings: dict[str, str] = {}
    """What should be better, by field; left out where there is nothing."""


class Accepted(Plain, Generic[Entity]):
    """The answer to a change."""

    warnings: dict[str, str] = {}
    """What is accepted and should be better, by field; left out where there is nothing."""

    embedded: EmbeddedEntity[Entity] = Field(alias="_embedded")
    """What there is to show."""


class Error(Plain):
    """Any error."""

    title: str
    """The HTTP status in words."""

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
    """What is wrong, by RFC 6749."""

    error_description: str
    """What is wrong, in a sentence."""


class User(Output):
    id: str
    """What the user is named by in paths."""

    deactivated: bool
    """Always false."""

    namespace: str
    """Always `tieline`."""

    username: str
    """A short name, unique on this server."""

    email: str
    """Where the user reads mail; nothing is sent there."""

    email_verified: bool
    """Always true: nothing depends on it."""

    first_name: str
    """The first name, or nothing."""

    last_name: str
    """The last name, or nothing."""

    picture: str
    """Always empty."""

    company: str
    """Always empty."""

    website: str
    """Always empty."""

    country: str
    """Always empty."""

    created_at: datetime
    """When the user was created."""

    updated_at: datetime
    """When the user was last changed."""

    consented_at: datetime | None
    """Always null."""

    consent_method: str
    """Always `opt-in`."""

    phone_number_verified: bool
    """Always true: clients ask for a number otherwise."""

    mfa_enabled: bool
    """Always false: people come with tokens."""

    sso_enabled: bool
    """Always false: people come with tokens."""

    is_operator: bool
    """Whether the user administers the server and sees every project."""


class APITokenDocument(Output):
    id: str
    """What the token is named by in paths."""

    name: str
    """What the token is for."""

    mfa_on_creation: bool
    """Always false."""

    created_at: datetime
    """When it was created."""

    updated_at: datetime
    """When it was created: a token does not change."""

    expires_at: datetime | None
    """From when on it is refused; null is never."""

    last_used_at: datetime | None
    """When it was last exchanged for an access token, or used as one; to the hour if it is used over and over."""


class APITokenCreated(APITokenDocument):
    token: str
    """The token itself; it is shown this once."""


class AccessLink(Link):
    method: str | None = None
    """The method to use there; GET when there is none."""


class UserAccess(Output):
    user_id: str
    """The user."""

    organization_id: str | None
    """The organization of the project; null where there is none."""

    project_id: str
    """The project."""

    project_title: str
    """What people call the project."""

    permissions: list[str]
    """The role: `admin` or `viewer`."""

    granted_at: datetime
    """When access was given."""

    updated_at: datetime
    """When it was last changed."""

    links: dict[str, AccessLink] = Field(alias="_links")
    """`self`, and what the caller may do."""


class UserAccessList(HAL):
    items: list[UserAccess]
    """One per user."""


class AccessToken(Output):
    access_token: str
    """What to send in `Authorization: Bearer`."""

    expires_in: int
    """Seconds."""

    token_type: str
    """Always `bearer`."""

    scope: str
    """`offline_access` when there is a refresh token, else empty."""

    refresh_token: str | None = None
    """What to get the next access token with, for thirty days at most; given only to who asked for it."""


class Nothing(Output):
    """An empty object."""


class Health(Output):
    status: str
    """`ok` when all is well."""

    checks: dict[str, str] | None = None
    """What each check says, by name; given by `/readyz`."""
