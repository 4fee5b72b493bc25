"""What clients send about organizations."""

from typing import Annotated, Literal

from pydantic import Field

from tieline.api.accounts.outputs import OrganizationDocument
from tieline.api.inputs import IfSent, Input, ResourceInput
from tieline.core.documents import Role
from tieline.core.values import Name, Title

# Never in the form of an id, which has capitals.
OrganizationName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
OrganizationPermission = Literal["admin", "billing", "members", "plans", "projects:create", "projects:list"]


class OrganizationCreate(ResourceInput):
    document = OrganizationDocument

    name: OrganizationName
    """What it is named by in commands: small letters, digits and hyphens."""

    label: Title
    """What people call it."""

    owner_id: Name | None = None
    """The user who owns it; the caller if nobody is named."""


class OrganizationPatch(ResourceInput):
    document = OrganizationDocument

    name: IfSent[OrganizationName] = None
    """What it is named by in commands: small letters, digits and hyphens."""

    label: IfSent[Title] = None
    """What people call it."""


class MemberCreate(Input):
    user_id: Name
    """Who is to belong to it."""

    permissions: Annotated[list[OrganizationPermission], Field(max_length=6)] | None = None
    """With `admin`, the member manages the others; everybody may give it projects."""

    @property
    def role(self) -> Role:
        return "admin" if "admin" in (self.permissions or ()) else "viewer"
