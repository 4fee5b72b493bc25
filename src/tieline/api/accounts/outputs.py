"""What clients get of the account side of the API, for the OpenAPI document; `documents` writes it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from tieline.api.outputs import AccessLink, Output


class Linked(Output):
    links: dict[str, AccessLink] = Field(alias="_links")
    """`self`, what may be done, and as `ref:projects:0` and so on the short documents of what is referred to."""


class UserReference(Output):
    """A user in short."""

    id: str
    """What the user is named by in paths."""

    username: str
    """What the user logs in with at the vendor's; here a name for people."""

    email: str
    """Where mail reaches the user."""

    first_name: str
    """May be empty."""

    last_name: str
    """May be empty."""

    picture: str
    """Always empty."""

    mfa_enabled: bool
    """Always false."""

    sso_enabled: bool
    """Always false."""


class OrganizationReference(Output):
    """An organization in short."""

    id: str
    """What it is named by in paths."""

    type: Literal["flexible"]
    """Always `flexible`."""

    owner_id: str
    """The user who owns it."""

    name: str
    """What it is named by in commands."""

    label: str
    """What people call it."""

    vendor: Literal["upsun"]
    """Always `upsun`: the vendor's tools show only what is its vendor's."""

    created_at: datetime
    """When it was created."""

    updated_at: datetime
    """When it was last changed, or created."""


class OrganizationDocument(OrganizationReference, Linked):
    """An organization. Its members are listed for its admins."""

    namespace: str
    """Always `tieline`."""

    country: str
    """Always empty."""

    capabilities: list[str]
    """Always empty."""

    status: Literal["active"]
    """Always `active`."""

    billing_profile_id: str
    """Always empty."""

    billing_legacy: bool
    """Always false."""

    security_contact: str
    """Always empty."""


class OrganizationList(Linked):
    count: int
    """How many there are."""

    items: list[OrganizationDocument]
    """The organizations, oldest first."""


class ProjectReference(Output):
    """A project in short."""

    id: str
    """What it is named by in paths."""

    organization_id: str
    """The organization that owns it."""

    subscription_id: str
    """The project's id again."""

    region: str
    """Where it runs, in its people's words."""

    title: str
    """What people call it."""

    type: Literal["grid"]
    """Always `grid`."""

    plan: str
    """Always `development`."""

    status: Literal["active"]
    """Always `active`."""

    created_at: datetime
    """When it was created."""

    updated_at: datetime
    """When it was last changed, or created."""

    vendor: Literal["upsun"]
    """Always `upsun`: the vendor's tools show only what is its vendor's."""


class OrganizationProject(ProjectReference, Linked):
    """A project as its organization lists it."""

    timezone: str
    """Where its people are."""

    default_branch: str | None
    """The branch of the production environment."""

    trial_plan: bool
    """Always false."""

    project_ui: str
    """Where the project is served."""

    dedicated_tag: str | None
    """Always null."""

    activities: list[dict[str, Any]] | None
    """Always null."""

    fastly_service_ids: list[str] | None
    """Always null."""

    project_options: dict[str, Any] | None
    """Always null."""


class OrganizationProjectList(Linked):
    count: int
    """How many there are."""

    items: list[OrganizationProject]
    """The projects, oldest first."""


class MemberDocument(Linked):
    """Somebody who belongs to an organization."""

    id: str
    """The user's id."""

    organization_id: str
    """The organization."""

    user_id: str
    """The user's id."""

    permissions: list[str]
    """`admin`, or what every member may do."""

    level: Literal["admin", "viewer"]
    """Whether the member manages the others."""

    owner: bool
    """Whether the member owns the organization."""

    created_at: datetime
    """Since when the user belongs to it."""

    updated_at: datetime
    """The same."""


class MemberList(Linked):
    count: int
    """How many there are."""

    items: list[MemberDocument]
    """The members, the first one first."""


class ExtendedAccess(Output):
    """Something that a user has access to."""

    user_id: str
    """The user."""

    resource_id: str
    """The project or organization."""

    resource_type: Literal["project", "organization"]
    """What it is."""

    organization_id: str
    """The organization that owns it, or that it is."""

    permissions: list[str]
    """What the user may do."""

    granted_at: datetime
    """Since when."""

    updated_at: datetime
    """The same."""


class ExtendedAccessList(Linked):
    items: list[ExtendedAccess]
    """Projects first, then organizations."""


class Profile(Linked):
    """A user as older clients know it."""

    id: str
    """What the user is named by in paths."""

    uuid: str
    """The same."""

    username: str
    """A name for people."""

    display_name: str
    """First and last name, or the user name."""

    mail: str
    """Where mail reaches the user."""

    email: str
    """The same."""

    first_name: str
    """May be empty."""

    last_name: str
    """May be empty."""

    picture: str
    """Always empty."""

    status: int
    """Always 1: active."""

    has_key: bool
    """Always false: there are no SSH keys."""

    ssh_keys: list[dict[str, Any]]
    """Always empty."""

    roles: list[str]
    """Always empty."""

    created_at: datetime
    """When the account was created."""

    updated_at: datetime
    """When it was last changed, or created."""


class ProjectStub(Output):
    """A project as older clients know it."""

    id: str
    """What it is named by in paths."""

    name: str
    """What people call it."""

    title: str
    """The same."""

    region: str
    """Where it runs, in its people's words."""

    region_label: str
    """The same."""

    cluster: str
    """The same."""

    cluster_label: str
    """The same."""

    uri: str
    """Where the project is served."""

    endpoint: str
    """The same; clients make the paths of all that is in the project from it."""

    status: Literal["active"]
    """Always `active`."""

    owner: str
    """The user who created it."""

    owner_info: dict[str, Any]
    """What kind of owner it is: a user."""

    plan: str
    """Always `development`."""

    subscription_id: str
    """The project's id again."""

    organization_id: str
    """The organization that owns it."""

    vendor: Literal["upsun"]
    """Always `upsun`: the vendor's tools show only what is its vendor's."""

    vendor_label: str
    """Always `Tieline`."""

    created_at: datetime
    """When it was created."""


class Me(Profile):
    """The caller, with its projects."""

    teams: list[dict[str, Any]]
    """Always empty."""

    projects: list[ProjectStub]
    """What the caller may see, oldest first."""


class Verification(Output):
    state: bool
    """Always false: nobody must prove anything."""

    type: str
    """Always empty."""


class PhoneVerification(Output):
    verify_phone: bool
    """Always false."""


class Region(Output):
    """A name that projects give as the place where they run."""

    id: str
    """The name."""

    label: str
    """The same."""

    zone: str
    """The same."""

    selection_label: str
    """The same."""

    project_label: str
    """The same."""

    timezone: str
    """Always `UTC`."""

    available: bool
    """Always true."""

    private: bool
    """Always false."""

    endpoint: str
    """This server."""

    provider: dict[str, Any]
    """Always empty."""

    datacenter: dict[str, Any]
    """Always empty."""

    environmental_impact: dict[str, Any]
    """Always empty."""


class RegionList(Linked):
    count: int
    """How many there are."""

    regions: list[Region]
    """The regions."""
