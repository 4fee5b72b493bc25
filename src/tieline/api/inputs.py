"""What clients send. Fields that are not named here are ignored: clients send some that no document has."""

from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=10_000)]
Name = Annotated[str, Field(min_length=1, max_length=255)]
# Every activity carries those of its project and its environment.
Attribute = Annotated[str, Field(max_length=1000)]
Attributes = Annotated[dict[Name, Attribute], Field(max_length=100)]


def _stripped(text: str) -> str:
    if not text.strip():
        raise ValueError("This needs some text")
    return text.strip()


def _timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is not a time zone of the IANA database, such as Europe/Paris")
    return name


def _network(address: str) -> str:
    try:
        ip_network(address, strict=False)
    except ValueError as error:
        raise ValueError(f"{address!r} is neither an IP address nor a network such as 192.0.2.0/24") from error
    return address


def _email(address: str) -> str:
    local, at, domain = address.partition("@")
    if not (local and at and domain) or any(each.isspace() for each in address):
        raise ValueError(f"{address!r} is not an e-mail address")
    return address


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("This is beyond the years 1 to 9999 in UTC") from error


Title = Annotated[Name, AfterValidator(_stripped)]
Timezone = Annotated[str, AfterValidator(_timezone)]
Moment = Annotated[AwareDatetime, Field(strict=False), AfterValidator(_in_utc)]
Email = Annotated[str, Field(max_length=320), AfterValidator(_email)]
Username = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
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
    address: Annotated[str, AfterValidator(_network)]


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
