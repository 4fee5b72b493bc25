"""What clients send.

Whoever makes or changes a resource hears of a field that does not exist. Orders ignore what is not named here: clients
send more with them than any document has.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema

from tieline.api.outputs import (
    APITokenCreated,
    EnvironmentDocument,
    ProjectDocument,
    User,
    VariableDocument,
)
from tieline.core.values import (
    Attributes,
    BasicAuthName,
    BasicAuthPassword,
    Email,
    Moment,
    Name,
    NetworkAddress,
    Text,
    Timezone,
    Title,
    Username,
    VariableName,
    VariableValue,
)

Permission = Literal["admin", "viewer"]
T = TypeVar("T")


class NeverNull:
    """Takes null out of what may be sent, so that it stands for a field that was not."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of the other alternative."""
        return handler.generate_schema(get_args(source)[0])


# What may be left out of a change, and is a value when it is there.
IfSent = Annotated[T | None, NeverNull()]


class Input(BaseModel):
    """Any body."""

    model_config = ConfigDict(extra="ignore", strict=True, use_attribute_docstrings=True, defer_build=True)


class Part(Input):
    """A part of a resource."""

    model_config = ConfigDict(extra="forbid")


class ResourceInput(Part):
    """What a resource is made of, or changed to.

    The other fields of its `document` are left out of consideration, because clients send whole documents back.
    """

    document: ClassVar[type[BaseModel]]

    @model_validator(mode="before")
    @classmethod
    def _without_read_only(cls, body: Mapping[str, Any]) -> Any:
        shown = {field.alias or name for name, field in cls.document.model_fields.items()} | {"_embedded"}
        read_only = shown - cls.model_fields.keys()
        return (
            {name: value for name, value in body.items() if name not in read_only} if isinstance(body, dict) else body
        )


class ProjectCreate(ResourceInput):
    document = ProjectDocument

    title: Title
    """What people call it."""

    description: Text = ""
    """What it is about."""

    attributes: Attributes = {}
    """Whatever a client wants to keep with the project."""

    default_branch: Name | None = None
    """The branch of the production environment; the repository says which when nothing is given."""

    timezone: Timezone = "UTC"
    """Where its people are, as a name of the IANA database."""

    region: Name = "local"
    """Where it runs, in your words; part of host names."""

    organization: Name | None = None
    """The organization that owns it, which you belong to; that of the server if none is named."""


class ProjectPatch(ResourceInput):
    document = ProjectDocument

    title: IfSent[Title] = None
    """What people call it."""

    description: IfSent[Text] = None
    """What it is about."""

    attributes: IfSent[Attributes] = None
    """Whatever a client wants to keep with the project; replaces all that was there."""

    default_branch: Name | None = None
    """The branch whose environment becomes the production one."""

    timezone: IfSent[Timezone] = None
    """Where its people are, as a name of the IANA database."""

    region: IfSent[Name] = None
    """Where it runs, in your words; part of host names."""


class Address(Part):
    permission: Literal["allow", "deny"]
    """Whether requests from there are let in."""

    address: NetworkAddress
    """An IP address or a network."""


class HTTPAccess(Part):
    is_enabled: bool | None = None
    """Whether access is restricted at all."""

    addresses: Annotated[list[Address], Field(max_length=1000)] | None = None
    """Who is let in by where they come from; replaces all that was there, and null lets in everybody."""

    basic_auth: Annotated[dict[BasicAuthName, BasicAuthPassword], Field(max_length=100)] | None = None
    """Passwords by user name; replaces all that was there, and null asks for none."""


class EnvironmentPatch(ResourceInput):
    document = EnvironmentDocument

    name: IfSent[str] = None
    """The branch; it cannot be changed here, and the same one is let pass."""

    title: IfSent[Title] = None
    """What people call it."""

    attributes: IfSent[Attributes] = None
    """Whatever a client wants to keep with the environment; replaces all that was there."""

    type: IfSent[Literal["development", "production", "staging"]] = None
    """What it is for; only the default branch is `production`."""

    parent: Name | None = None
    """The environment that data is copied from."""

    clone_parent_on_create: IfSent[bool] = None
    """Whether it starts with a copy of its parent's data."""

    http_access: IfSent[HTTPAccess] = None
    """Who may reach what runs; only the parts that are sent."""

    enable_smtp: IfSent[bool] = None
    """Whether it may send mail."""

    restrict_robots: IfSent[bool] = None
    """Whether search engines are kept out."""


class ActivationResources(Input):
    init: Literal["default", "minimum", "parent", "manual"] | None = None
    """The resources that its services start with."""


class EnvironmentActivate(Input):
    resources: ActivationResources | None = None
    """What it is given to run with."""

    commit: Name | None = None
    """The commit that was looked at; refused with 409 when the branch has moved on, so that nobody approves blindly."""


class EnvironmentSynchronize(Input):
    synchronize_code: bool = False
    """Refused: code follows the branch at the Git host."""

    rebase: bool = False
    """Refused: code follows the branch at the Git host."""

    synchronize_data: bool = False
    """Whether to copy the parent's data."""

    synchronize_resources: bool = False
    """Ignored: resources are the deployer's."""


class IntegrationSync(Input):
    confirm_prune: bool = False
    """Whether to remove what a doubtful listing had held back."""


class VariableCreate(ResourceInput):
    document = VariableDocument

    name: VariableName
    """What scripts know it by; it cannot be changed."""

    value: VariableValue
    """What it holds; JSON text if `is_json`."""

    attributes: Attributes = {}
    """Whatever a client wants to keep with the variable."""

    is_json: bool = False
    """Whether the value is JSON."""

    is_sensitive: bool = False
    """Whether the value is a secret, which is never shown again."""


class VariablePatch(ResourceInput):
    document = VariableDocument

    name: IfSent[VariableName] = None
    """The name; it cannot be changed, and the same one is let pass."""

    value: IfSent[VariableValue] = None
    """What it holds; JSON text if `is_json`."""

    attributes: IfSent[Attributes] = None
    """Whatever a client wants to keep with the variable; replaces all that was there."""

    is_json: IfSent[bool] = None
    """Whether the value is JSON."""

    is_sensitive: IfSent[bool] = None
    """Whether the value is a secret; what is one stays one."""


class UserCreate(ResourceInput):
    document = User

    username: Username
    """A short name of small letters, digits, dots, hyphens and underscores, unique on this server."""

    email: Email
    """Where the user reads mail; others may read it there too."""

    first_name: Annotated[str, Field(max_length=255)] = ""
    """The first name."""

    last_name: Annotated[str, Field(max_length=255)] = ""
    """The last name."""

    is_operator: bool = False
    """Whether the user administers the server and sees every project."""


class APITokenCreate(ResourceInput):
    document = APITokenCreated

    name: Title
    """What the token is for."""

    expires_at: Moment | None = None
    """From when on it is refused; never when nothing is given."""


class AccessGrant(Input):
    user_id: Name
    """The user."""

    permissions: Annotated[list[Permission], Field(min_length=1, max_length=1)]
    """The role, as a list of one."""


class AccessPatch(Input):
    permissions: Annotated[list[Permission], Field(min_length=1, max_length=1)]
    """The role, as a list of one."""


class TokenRequest(Input):
    """`POST /oauth2/token`: as a form or as JSON; the client's own id is never checked."""

    grant_type: str
    """What is exchanged: `api_token` or `refresh_token`."""

    api_token: str | None = None
    """The API token."""

    refresh_token: str | None = None
    """The refresh token."""

    scope: str | None = None
    """With `offline_access`, a refresh token is given along with an API token's access token."""


class RevocationRequest(Input):
    """`POST /oauth2/revoke`: as a form or as JSON; the client's own id is never checked."""

    token: str
    """The access token or refresh token."""

    token_type_hint: str | None = None
    """Not needed: what kind of token it is shows in the token."""
