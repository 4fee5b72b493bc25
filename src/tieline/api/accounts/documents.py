"""Documents of the account side of the API: who somebody is, and short ones of what others refer to.

A list does not carry what its items refer to, but links named `ref:projects:0` and so on, which clients follow. Each
link names so few that no server or proxy finds its URL too long. Unlike a project, an organization calls itself by its
path alone: the vendor's command line asks for it by one, and cannot put a whole URL in its place.
"""

from collections.abc import Collection, Iterator
from typing import Final

from starlette.requests import Request

from tieline.api.accounts.filters import select
from tieline.core.clock import iso
from tieline.core.documents import JSON, Account, Organization, Project
from tieline.store.organizations import Member, Seen
from tieline.store.projects import Reach

# The vendor's command line shows only what is its vendor's.
VENDOR: Final = "upsun"
MOST_REFERENCES: Final = 100
_PLAN: Final = "development"


def reference_links(kind: str, ids: Collection[str]) -> JSON:
    """Links to the short documents of `kind`: projects, organizations or users."""
    once = list(dict.fromkeys(ids))
    parts = [once[at : at + MOST_REFERENCES] for at in range(0, len(once), MOST_REFERENCES)]
    return {f"ref:{kind}:{number}": {"href": f"/ref/{kind}?in={','.join(part)}"} for number, part in enumerate(parts)}


def render_user_reference(account: Account) -> JSON:
    """A user in short."""
    return {
        "id": account.id,
        "username": account.username,
        "email": account.email,
        "first_name": account.first_name,
        "last_name": account.last_name,
        "picture": "",
        "mfa_enabled": False,
        "sso_enabled": False,
    }


def render_project_reference(project: Project) -> JSON:
    """A project in short."""
    return {
        "id": project.id,
        "organization_id": project.organization,
        "subscription_id": project.id,
        "region": project.region,
        "title": project.title,
        "type": "grid",
        "plan": _PLAN,
        "status": "active",
        "created_at": iso(project.created_at),
        "updated_at": iso(project.updated_at or project.created_at),
        "vendor": VENDOR,
    }


def render_organization_reference(organization: Organization) -> JSON:
    """An organization in short."""
    return {
        "id": organization.id,
        "type": "flexible",
        "owner_id": organization.owner,
        "name": organization.name,
        "label": organization.label,
        "vendor": VENDOR,
        "created_at": iso(organization.created_at),
        "updated_at": iso(organization.updated_at or organization.created_at),
    }


def render_organization(seen: Seen) -> JSON:
    """An organization; its members and its changes are for its admins."""
    path = f"/organizations/{seen.organization.id}"
    links: JSON = {"self": {"href": path}, "projects": {"href": f"{path}/projects"}}
    if seen.role == "admin":
        links |= {
            "update": {"href": path, "method": "PATCH"},
            "members": {"href": f"{path}/members"},
            "create-member": {"href": f"{path}/members", "method": "POST"},
        }
    return {
        **render_organization_reference(seen.organization),
        "namespace": "tieline",
        "country": "",
        "capabilities": [],
        "status": "active",
        "billing_profile_id": "",
        "billing_legacy": False,
        "security_contact": "",
        "_links": links | reference_links("users", [seen.organization.owner]),
    }


def render_organization_list(request: Request, seen: Collection[Seen], path: str) -> JSON:
    """Those of the organizations that the query asks for."""
    items = select(request, [render_organization(each) for each in seen])
    owners = reference_links("users", [each["owner_id"] for each in items])
    return {"count": len(items), "items": items, "_links": {"self": {"href": path}, **owners}}


def render_organization_project(project: Project, public_url: str) -> JSON:
    """A project as its organization lists it."""
    path = f"/organizations/{project.organization}/projects/{project.id}"
    return {
        **render_project_reference(project),
        "timezone": project.timezone,
        "default_branch": project.default_branch,
        "trial_plan": False,
        "project_ui": f"{public_url}/api/projects/{project.id}",
        "dedicated_tag": None,
        "activities": None,
        "fastly_service_ids": None,
        "project_options": None,
        "_links": {"self": {"href": path}, "api": {"href": f"/api/projects/{project.id}"}},
    }


def render_member(member: Member) -> JSON:
    """Somebody who belongs to an organization."""
    path = f"/organizations/{member.organization}/members/{member.account.id}"
    removal = {} if member.is_owner else {"delete": {"href": path, "method": "DELETE"}}
    return {
        "id": member.account.id,
        "organization_id": member.organization,
        "user_id": member.account.id,
        "permissions": permissions_of(member.role),
        "level": member.role,
        "owner": member.is_owner,
        "created_at": iso(member.created_at),
        "updated_at": iso(member.created_at),
        "_links": {"self": {"href": path}, **removal, **reference_links("users", [member.account.id])},
    }


def permissions_of(role: str) -> list[str]:
    """What a member may do, in the vendor's words."""
    return ["admin"] if role == "admin" else ["projects:create", "projects:list"]


def render_extended_access(account: Account, reach: Collection[Reach], seen: Collection[Seen]) -> Iterator[JSON]:
    """What a user has access to: projects first, then the organizations that it belongs to."""
    for each in reach:
        owner = each.project.organization or ""
        yield _access(account, "project", each.project.id, owner, [each.role], iso(each.granted_at))
    for one in seen:
        owner = one.organization.id
        if one.belongs:
            yield _access(account, "organization", owner, owner, permissions_of(one.role), iso(one.since))


def _access(account: Account, kind: str, id: str, organization: str, permissions: list[str], since: str | None) -> JSON:
    return {
        "user_id": account.id,
        "resource_id": id,
        "resource_type": kind,
        "organization_id": organization,
        "permissions": permissions,
        "granted_at": since,
        "updated_at": since,
    }


def render_profile(account: Account) -> JSON:
    """A user as the vendor's oldest documents name the fields."""
    return {
        "id": account.id,
        "uuid": account.id,
        "username": account.username,
        "display_name": account.display_name,
        "mail": account.email,
        "email": account.email,
        "first_name": account.first_name,
        "last_name": account.last_name,
        "picture": "",
        "status": 1,
        "has_key": False,
        "ssh_keys": [],
        "roles": [],
        "created_at": iso(account.created_at),
        "updated_at": iso(account.updated_at or account.created_at),
        "_links": {"self": {"href": f"/users/{account.id}"}},
    }


def render_me(account: Account, reach: Collection[Reach], public_url: str) -> JSON:
    """The caller, with its projects."""
    profile = render_profile(account)
    organizations = reference_links("organizations", [each.project.organization or "" for each in reach])
    return {
        **profile,
        "teams": [],
        "projects": [render_stub(each.project, public_url) for each in reach],
        "_links": {"self": {"href": "/me"}, **organizations},
    }


def render_stub(project: Project, public_url: str) -> JSON:
    """A project in the oldest form. Clients make the paths of all that is in it from its `endpoint`."""
    endpoint = f"{public_url}/api/projects/{project.id}"
    return {
        "id": project.id,
        "name": project.title,
        "title": project.title,
        "region": project.region,
        "region_label": project.region,
        "cluster": project.region,
        "cluster_label": project.region,
        "uri": endpoint,
        "endpoint": endpoint,
        "status": "active",
        "owner": project.owner,
        "owner_info": {"type": "user"},
        "plan": _PLAN,
        "subscription_id": project.id,
        "organization_id": project.organization,
        "vendor": VENDOR,
        "vendor_label": "Tieline",
        "created_at": iso(project.created_at),
    }


def render_region(name: str, public_url: str) -> JSON:
    """A region: a name that projects give as the place where they run."""
    return {
        "id": name,
        "label": name,
        "zone": name,
        "selection_label": name,
        "project_label": name,
        "timezone": "UTC",
        "available": True,
        "private": False,
        "endpoint": public_url,
        "provider": {},
        "datacenter": {},
        "environmental_impact": {},
    }
