"""What a seed may say, field by field. Pure.

Lists are `list[Any]` here: their items are checked one by one, so that every one that is wrong is named by its place.
What is missing and has no fixed default is made by `read`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tieline.core.documents import ActivityResult, EnvironmentStatus, EnvironmentType, Queue, Role
from tieline.core.values import (
    Attributes,
    BasicAuthName,
    Email,
    Moment,
    Name,
    NetworkAddress,
    Text,
    Timezone,
    Title,
    Username,
    VariableName,
)

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
OrganizationId = Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,64}$")]
EnvironmentId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
MachineName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$")]
# Git's own limit is that of the file system; longer ones are followed by nobody.
BranchName = Annotated[str, Field(min_length=1, max_length=1000)]
Percent = Annotated[int, Field(ge=0, le=100)]


class Part(BaseModel):
    """Any part of a seed."""

    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


class SeedFile(Part):
    tieline: Literal[1] = 1
    """The version of this format."""

    users: list[Any] = []
    organizations: list[Any] = []
    projects: list[Any] = []


class Reference(Part):
    """Where a secret is: in a variable of the environment, or in a file, relative to the seed's."""

    env: Name | None = None
    file: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> "Reference":
        if (self.env is None) == (self.file is None):
            raise ValueError("This must be {env: NAME} or {file: PATH}")
        return self

    @property
    def place(self) -> str:
        """What a person calls it."""
        return f"the variable {self.env}" if self.env is not None else f"the file {self.file}"


class TokenPart(Part):
    id: Id | None = None
    name: Title
    token: Reference
    created_at: Moment | None = None
    expires_at: Moment | None = None
    last_used_at: Moment | None = None


class UserPart(Part):
    id: Id | None = None
    username: Username
    email: Email | None = None
    first_name: Annotated[str, Field(max_length=255)] = ""
    last_name: Annotated[str, Field(max_length=255)] = ""
    is_operator: bool = False
    created_at: Moment | None = None
    updated_at: Moment | None = None
    tokens: list[Any] = []


class OrganizationPart(Part):
    id: OrganizationId | None = None
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    label: Title | None = None
    owner: Username = "admin"
    is_default: bool = False
    members: list[Any] = []
    created_at: Moment | None = None
    updated_at: Moment | None = None


class MemberPart(Part):
    user: Username
    role: Role
    created_at: Moment | None = None


class ProjectPart(Part):
    id: Id | None = None
    title: Title
    description: Text = ""
    attributes: Attributes = {}
    default_branch: BranchName | None = None
    timezone: Timezone = "UTC"
    region: Name = "local"
    owner: Username = "admin"
    organization: Name | None = None
    """The name of one of `organizations`; the server's own when there is none."""

    created_at: Moment | None = None
    updated_at: Moment | None = None
    access: list[Any] = []
    integrations: list[Any] = []
    environments: list[Any] = []
    activities: list[Any] = []


class AccessPart(Part):
    user: Username
    role: Role
    granted_at: Moment | None = None


class IntegrationPart(BaseModel):
    """What integrations of all types have; the rest is the type's."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    id: Id | None = None
    type: str
    created_at: Moment | None = None
    updated_at: Moment | None = None
    variables: list[Any] = []


class VariablePart(Part):
    name: VariableName
    value: Any = None
    """Text; where it is, for a sensitive one."""

    attributes: Attributes = {}
    is_json: bool = False
    is_sensitive: bool = False
    created_at: Moment | None = None
    updated_at: Moment | None = None


class AddressPart(Part):
    permission: Literal["allow", "deny"]
    address: NetworkAddress


class HTTPAccessPart(Part):
    is_enabled: bool = True
    addresses: list[AddressPart] = []
    basic_auth: dict[BasicAuthName, Any] = {}
    """Passwords by user: each as it is, or where it is."""


class PullPart(Part):
    number: Annotated[int, Field(ge=1)]
    title: str
    source_branch: str | None
    source_repository: str | None
    target_branch: str | None
    is_fork: bool
    url: str = ""
    author: str = ""


class DeploymentPart(Part):
    commit: Name
    urls: list[str] = []
    deployed_at: Moment


class EnvironmentPart(Part):
    id: EnvironmentId | None = None
    name: BranchName
    machine_name: MachineName | None = None
    title: str | None = None
    attributes: Attributes = {}
    type: EnvironmentType | None = None
    status: EnvironmentStatus | None = None
    parent: EnvironmentId | None = None
    is_main: bool | None = None
    integration: Id | None = None
    pull: PullPart | None = None
    head_commit: Name | None = None
    has_remote: bool = True
    awaiting_approval: bool = False
    clone_parent_on_create: bool = True
    init_resources: Literal["default", "manual", "minimum", "parent"] = "default"
    http_access: HTTPAccessPart = HTTPAccessPart()
    enable_smtp: bool = False
    restrict_robots: bool = True
    deployment: DeploymentPart | None = None
    data_synced_at: Moment | None = None
    last_active_at: Moment | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None


class LogLinePart(Part):
    at: Moment
    message: str


class ActivityPart(Part):
    id: Id | None = None
    type: Name
    state: Literal["complete", "cancelled"] = "complete"
    result: ActivityResult | None = None
    failure_reason: Literal["error", "shell"] | None = None
    integration: Id | None = None
    environment: EnvironmentId | None = None
    parameters: dict[str, Any] = {}
    payload: dict[str, Any] = {}
    description: str | None = None
    text: str | None = None
    timings: dict[str, int | float] = {}
    commands: list[dict[str, Any]] = []
    completion_percent: Percent = 100
    queue: Queue = "default"
    created_at: Moment | None = None
    updated_at: Moment | None = None
    started_at: Moment | None = None
    completed_at: Moment | None = None
    cancelled_at: Moment | None = None
    expires_at: Moment | None = None
    log: str | list[Any] = ""
    """The lines: as text, or each with its time."""
