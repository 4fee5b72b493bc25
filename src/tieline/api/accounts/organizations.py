"""Organizations, their members, and the projects that they own."""

from dataclasses import replace
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tieline.api.accounts.documents import (
    reference_links,
    render_member,
    render_organization,
    render_organization_list,
    render_organization_project,
)
from tieline.api.accounts.filters import DESCRIBED, select
from tieline.api.accounts.inputs import MemberCreate, OrganizationCreate, OrganizationPatch
from tieline.api.accounts.outputs import (
    MemberDocument,
    MemberList,
    OrganizationDocument,
    OrganizationList,
    OrganizationProject,
    OrganizationProjectList,
)
from tieline.api.bodies import Body, parse
from tieline.api.description.documented import documented
from tieline.api.gate import AnyCaller, Operator, OrganizationAdmin, OrganizationViewer, known_id
from tieline.api.outputs import Plain
from tieline.api.responses import JSONResponse, done, tagged
from tieline.api.rooms import InRooms
from tieline.core.documents import Organization
from tieline.core.errors import NotFound
from tieline.core.ids import new_organization_id
from tieline.store import organizations, projects
from tieline.store.organizations import Seen

router = APIRouter(tags=["Organizations"])

_ONE: Final = "/organizations/{organization_id}"
_NO_MEMBER: Final = "Member not found"
_NO_PROJECT: Final = "Project not found"


@router.get("/organizations", openapi_extra=DESCRIBED)
@documented(answer=OrganizationList)
async def list_organizations(request: Request, caller: AnyCaller, rooms: InRooms) -> Response:
    """The organizations that the caller belongs to, or sees by a project of theirs."""
    async with rooms.services.db.connection() as conn:
        seen = await organizations.load_seen(conn, caller.id)
    return tagged(request, render_organization_list(request, seen, "/organizations"))


@router.post("/organizations", status_code=201)
@documented(answer=OrganizationDocument, body=OrganizationCreate)
async def create_organization(caller: Operator, rooms: InRooms, body: Body) -> Response:
    """Create an organization, which its owner administers; for operators."""
    given = parse(OrganizationCreate, body)
    moment = rooms.services.now()
    owner = given.owner_id or caller.id
    made = Organization(new_organization_id(), given.name, given.label, owner, is_default=False, created_at=moment)
    async with rooms.services.db.transaction() as conn:
        await organizations.create(conn, made)
    document = render_organization(Seen(made, "admin", belongs=True, since=moment))
    return JSONResponse(document, status_code=HTTPStatus.CREATED)


@router.get(_ONE)
@documented(answer=OrganizationDocument)
async def get_organization(request: Request, membership: OrganizationViewer) -> Response:
    """One organization, by its id or as `name=...`."""
    return tagged(request, render_organization(membership.seen))


@router.patch(_ONE)
@documented(answer=OrganizationDocument, body=OrganizationPatch)
async def patch_organization(membership: OrganizationAdmin, rooms: InRooms, body: Body) -> Response:
    """Change what an organization is called; only the fields that are sent."""
    given = parse(OrganizationPatch, body)
    present = membership.organization
    async with rooms.services.db.transaction() as conn:
        changed = await organizations.save(conn, present.id, given.name or present.name, given.label or present.label)
    return JSONResponse(render_organization(replace(membership.seen, organization=changed)))


@router.get(_ONE + "/projects", openapi_extra=DESCRIBED)
@documented(answer=OrganizationProjectList)
async def list_organization_projects(request: Request, membership: OrganizationViewer, rooms: InRooms) -> Response:
    """Those of its projects that the caller may see."""
    url = rooms.services.public_url
    async with rooms.lists.take(membership.caller.id), rooms.services.db.connection() as conn:
        found = await projects.load_of_organization(conn, membership.caller.id, membership.organization.id)
    items = select(request, [render_organization_project(each, url) for each in found])
    links = {"self": {"href": f"/organizations/{membership.organization.id}/projects"}}
    return tagged(request, {"count": len(items), "items": items, "_links": links})


@router.get(_ONE + "/projects/{project_id}")
@documented(answer=OrganizationProject)
async def get_organization_project(
    request: Request, membership: OrganizationViewer, rooms: InRooms, project_id: str
) -> Response:
    """One of its projects."""
    wanted = known_id(project_id, _NO_PROJECT)
    async with rooms.services.db.connection() as conn:
        found = await projects.load_reach(conn, membership.caller.id, [wanted])
    project = next((each.project for each in found if each.project.organization == membership.organization.id), None)
    if project is None:
        raise NotFound(_NO_PROJECT)
    return tagged(request, render_organization_project(project, rooms.services.public_url))


@router.get(_ONE + "/members", openapi_extra=DESCRIBED)
@documented(answer=MemberList)
async def list_members(request: Request, membership: OrganizationAdmin, rooms: InRooms) -> Response:
    """Who belongs to an organization."""
    async with rooms.services.db.connection() as conn:
        found = await organizations.load_members(conn, membership.organization.id)
    items = select(request, [render_member(each) for each in found])
    links = {
        "self": {"href": f"/organizations/{membership.organization.id}/members"},
        **reference_links("users", [each["user_id"] for each in items]),
    }
    return tagged(request, {"count": len(items), "items": items, "_links": links})


@router.post(_ONE + "/members", status_code=201)
@documented(answer=MemberDocument, errors=(409,), body=MemberCreate)
async def add_member(membership: OrganizationAdmin, rooms: InRooms, body: Body) -> Response:
    """Have a user belong to an organization. Access to its projects is given by project."""
    given = parse(MemberCreate, body)
    joined = membership.organization.id
    async with rooms.services.db.transaction() as conn:
        await organizations.add_member(conn, joined, given.user_id, given.role)
        member = await organizations.get_member(conn, joined, given.user_id)
    return JSONResponse(render_member(member), status_code=HTTPStatus.CREATED)


@router.get(_ONE + "/members/{user_id}")
@documented(answer=MemberDocument)
async def get_member(request: Request, membership: OrganizationAdmin, rooms: InRooms, user_id: str) -> Response:
    """One member."""
    async with rooms.services.db.connection() as conn:
        member = await organizations.get_member(conn, membership.organization.id, known_id(user_id, _NO_MEMBER))
    return tagged(request, render_member(member))


@router.delete(_ONE + "/members/{user_id}")
@documented(answer=Plain, errors=(409,))
async def remove_member(membership: OrganizationAdmin, rooms: InRooms, user_id: str) -> Response:
    """Have a user belong to an organization no more; what access it has to projects stays."""
    async with rooms.services.db.transaction() as conn:
        await organizations.remove_member(conn, membership.organization.id, known_id(user_id, _NO_MEMBER))
    return done()
