"""What clients send. Fields that are not named here are ignored: clients send some that no document has."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tieline.core.values import Attributes, Email, Moment, Name, NetworkAddress, Text, Timezone, Title, Username

Permission = Literal["admin", "viewer"]


class Input(BaseModel):
    """Any body."""

    model_config = ConfigDict(extra="ignore", strict=True)


class ProjectCreate(Input):
    title: Title
    description: Text = ""
    attributes: Attributes = {}
    default_branch: Name | None = None
    timezone: Timezone = "UTC"
    region: Name = "local"


class ProjectPatch(Input):
    title: Title | None = None
    description: Text | None = None
    attributes: Attributes | None = None
    default_branch: Name | None = None
    timezone: Timezone | None = None
    region: Name | None = None


class Address(Input):
    permission: Literal["allow", "deny"]
    address: NetworkAddress


class HTTPAccess(Input):
    is_enabled: bool | None = None
    addresses: Annotated[list[Address], Field(max_length=1000)] | None = None
    basic_auth: dict[Name, Name] | None = None


class EnvironmentPatch(Input):
    name: str | None = None
    title: Title | None = None
    attributes: Attributes | None = None
    type: Literal["development", "production", "staging"] | None = None
    parent: Name | None = None
    clone_parent_on_create: bool | None = None
    http_access: HTTPAccess | None = None
    enable_smtp: bool | None = None
    restrict_robots: bool | None = None


class ActivationResources(Input):
    init: Literal["default", "minimum", "parent", "manual"] | None = None


class EnvironmentActivate(Input):
    resources: ActivationResources | None = None


class EnvironmentSynchronize(Input):
    synchronize_code: bool = False
    rebase: bool = False
    synchronize_data: bool = False
    synchronize_resources: bool = False


class IntegrationSync(Input):
    confirm_prune: bool = False


class UserCreate(Input):
    username: Username
    email: Email
    first_name: Annotated[str, Field(max_length=255)] = ""
    last_name: Annotated[str, Field(max_length=255)] = ""
    is_operator: bool = False


class APITokenCreate(Input):
    name: Title
    expires_at: Moment | None = None


class AccessGrant(Input):
    user_id: Name
    permissions: Annotated[list[Permission], Field(min_length=1, max_length=1)]


class AccessPatch(Input):
    permissions: Annotated[list[Permission], Field(min_length=1, max_length=1)]


class TokenRequest(Input):
    """`POST /oauth2/token`: as a form or as JSON; the client's own id is never checked."""

    grant_type: str
    api_token: str | None = None
