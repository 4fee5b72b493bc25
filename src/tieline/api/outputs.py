"""What clients get, for the OpenAPI document; `core.wire` and `documents` write it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Output(BaseModel):
    """Any document."""

    model_config = ConfigDict(extra="allow")


class Link(Output):
    href: str


class HAL(Output):
    links: dict[str, Link] = Field(alias="_links", description="`self`, relations, and the operations allowed now.")


class Resource(HAL):
    id: str
    created_at: datetime
    updated_at: datetime | None


class ProjectStatus(Output):
    code: str
    message: str


class ProjectRepository(Output):
    url: str
    client_ssh_key: str | None


class ProjectDocument(Resource):
    attributes: dict[str, str]
    title: str
    description: str
    owner: str
    namespace: str | None
    organization: str | None
    default_branch: str | None
    status: ProjectStatus
    timezone: str
    region: str
    repository: ProjectRepository
    default_domain: str | None
    subscription: dict[str, Any]
    maintenance: dict[str, Any] | None


class EnvironmentDocument(Resource):
    name: str = Field(description="The branch itself; that of the source for a pull request.")
    machine_name: str
    title: str
    attributes: dict[str, str]
    type: Literal["development", "production", "staging"]
    parent: str | None
    status: Literal["active", "deleting", "dirty", "inactive", "paused"]
    is_main: bool
    is_pr: bool
    is_dirty: bool
    has_code: bool
    has_remote: bool
    has_deployment: bool
    head_commit: str | None
    clone_parent_on_create: bool
    http_access: dict[str, Any]
    enable_smtp: bool
    restrict_robots: bool
    edge_hostname: str
    deployment_state: dict[str, Any] | None
    last_active_at: datetime | None
    project: str


class EnvironmentSettings(HAL):
    enable_manual_deployments: bool


class ActivityDocument(Resource):
    type: str
    parameters: dict[str, Any]
    project: str
    integration: str | None = None
    environments: list[str]
    state: Literal["pending", "in_progress", "complete", "cancelled"]
    result: Literal["success", "failure"] | None
    failure_reason: Literal["error", "shell"] | None
    started_at: datetime | None
    completed_at: datetime | None
    cancelled_at: datetime | None
    expires_at: datetime | None
    completion_percent: int
    timings: dict[str, float]
    log: str
    payload: dict[str, Any]
    description: str
    text: str
    commands: list[dict[str, Any]]


class Embedded(Output):
    entity: dict[str, Any] | None = None
    activities: list[ActivityDocument]


class Accepted(Output):
    """The answer to a change."""

    status: str
    code: int
    embedded: Embedded = Field(alias="_embedded")


class Plain(Output):
    """The answer to something that has nothing to show."""

    status: str
    code: int


class Error(Output):
    """Any error. In `detail`, dotted field names lead to one sentence each."""

    status: str
    code: int
    title: str
    message: str
    detail: dict[str, str] | str


class User(Output):
    id: str
    username: str
    email: str
    first_name: str
    last_name: str
    is_operator: bool
    created_at: datetime
    updated_at: datetime


class APITokenDocument(Output):
    id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class APITokenCreated(APITokenDocument):
    token: str = Field(description="The token itself; it is shown this once.")


class UserAccess(HAL):
    user_id: str
    project_id: str
    project_title: str
    permissions: list[str]
    granted_at: datetime
    updated_at: datetime


class UserAccessList(HAL):
    items: list[UserAccess]


class AccessToken(Output):
    access_token: str
    expires_in: int
    token_type: str
    scope: str


class Capabilities(Output):
    integrations: dict[str, Any]


class Health(Output):
    status: str
    checks: dict[str, str] | None = None
