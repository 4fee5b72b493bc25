"""Who the caller is, and short documents of what others refer to.

The paths under `/platform` are those of the vendor's oldest clients.
"""

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tieline.api.accounts.documents import (
    render_me,
    render_organization_reference,
    render_profile,
    render_project_reference,
    render_region,
    render_stub,
    render_user_reference,
)
from tieline.api.accounts.outputs import (
    Me,
    OrganizationReference,
    PhoneVerification,
    Profile,
    ProjectReference,
    ProjectStub,
    RegionList,
    UserReference,
    Verification,
)
from tieline.api.description.documented import documented
from tieline.api.gate import AnyCaller, OwnAccount, Viewer, is_id
from tieline.api.responses import JSONResponse, tagged
from tieline.api.rooms import InRooms
from tieline.core.errors import Invalid
from tieline.store import accounts, organizations, projects

router = APIRouter(tags=["Users"])

MOST_ASKED: Final = 5000
_OLDER: Final = "The JavaScript client asks here."
# The region of projects that name none.
_HOME: Final = "local"
_USER: Final = "/platform/users/{user_id}"
_PROFILE: Final = "/platform/profiles/{user_id}"
_PROJECT: Final = "/platform/projects/{project_id}"
_REFERENCED: Final = {
    "parameters": [
        {"name": "in", "in": "query", "description": "Ids, separated by commas.", "schema": {"type": "string"}},
    ]
}


@router.get("/me")
@documented(answer=Me)
async def get_me(request: Request, caller: AnyCaller, rooms: InRooms) -> Response:
    """The caller with its projects, as older clients ask for it."""
    async with rooms.lists.take(caller.id), rooms.services.db.connection() as conn:
        reach = await projects.load_reach(conn, caller.id)
    return tagged(request, render_me(caller.account, reach, rooms.services.public_url))


@router.post("/me/verification")
@documented(answer=Verification)
async def verify_me(_caller: AnyCaller) -> Response:
    """Whether the caller must prove to be a person before it creates a project; nobody must, here."""
    return JSONResponse({"state": False, "type": ""})


@router.post("/me/phone")
@documented(answer=PhoneVerification)
async def verify_phone(_caller: AnyCaller) -> Response:
    """Whether the caller must give a telephone number; nobody must, here."""
    return JSONResponse({"verify_phone": False})


@router.get("/platform/me")
@documented(answer=Me, basis="observed", note=_OLDER)
async def get_platform_me(request: Request, caller: AnyCaller, rooms: InRooms) -> Response:
    """What is at `/me`, where older clients look for it."""
    return await get_me(request, caller, rooms)


@router.post("/platform/me/verification")
@documented(answer=Verification, basis="observed", note=_OLDER)
async def verify_platform_me(caller: AnyCaller) -> Response:
    """What is at `/me/verification`, where older clients look for it."""
    return await verify_me(caller)


@router.post("/platform/me/phone")
@documented(answer=PhoneVerification, basis="observed", note=_OLDER)
async def verify_platform_phone(caller: AnyCaller) -> Response:
    """What is at `/me/phone`, where older clients look for it."""
    return await verify_phone(caller)


@router.get(_USER)
@router.get(_PROFILE, name="get_platform_profile")
@documented(answer=Profile, basis="observed", note=_OLDER)
async def get_platform_user(request: Request, own: OwnAccount, rooms: InRooms) -> Response:
    """One user, as older clients ask for it."""
    async with rooms.services.db.connection() as conn:
        account = await accounts.get(conn, own.user_id)
    return tagged(request, render_profile(account))


@router.get(_PROJECT)
@documented(answer=ProjectStub, basis="observed", note=_OLDER)
async def locate_project(request: Request, access: Viewer, rooms: InRooms) -> Response:
    """Where a project is served, as older clients ask for it."""
    async with rooms.services.db.connection() as conn:
        project = await projects.get(conn, access.project_id)
    return tagged(request, render_stub(project, rooms.services.public_url))


@router.get("/regions")
@documented(answer=RegionList)
async def list_regions(request: Request, caller: AnyCaller, rooms: InRooms) -> Response:
    """The regions that the caller's projects name, and the one of those that name none."""
    async with rooms.lists.take(caller.id), rooms.services.db.connection() as conn:
        reach = await projects.load_reach(conn, caller.id)
    url = rooms.services.public_url
    names = dict.fromkeys([_HOME, *(each.project.region for each in reach)])
    regions = [render_region(each, url) for each in names]
    return tagged(request, {"count": len(regions), "regions": regions, "_links": {"self": {"href": "/regions"}}})


@router.get("/platform/regions")
@documented(answer=RegionList, basis="observed", note=_OLDER)
async def list_platform_regions(request: Request, caller: AnyCaller, rooms: InRooms) -> Response:
    """What is at `/regions`, where older clients look for it."""
    return await list_regions(request, caller, rooms)


@router.get("/ref/projects", tags=["References"], openapi_extra=_REFERENCED)
@documented(answer=dict[str, ProjectReference | None])
async def refer_to_projects(request: Request, caller: AnyCaller, rooms: InRooms) -> Response:
    """Projects by id; null for what the caller may not see."""
    ids = _ids(request)
    async with rooms.services.db.connection() as conn:
        found = await projects.load_reach(conn, caller.id, ids)
    shown = {each.project.id: render_project_reference(each.project) for each in found}
    return tagged(request, {each: shown.get(each) for each in ids})


@router.get("/ref/organizations", tags=["References"], openapi_extra=_REFERENCED)
@documented(answer=dict[str, OrganizationReference | None])
async def refer_to_organizations(request: Request, caller: AnyCaller, rooms: InRooms) -> Response:
    """Organizations by id; null for what the caller may not see."""
    async with rooms.services.db.connection() as conn:
        found = await organizations.load_seen(conn, caller.id)
    shown = {each.organization.id: render_organization_reference(each.organization) for each in found}
    return tagged(request, {each: shown.get(each) for each in _ids(request)})


@router.get("/ref/users", tags=["References"], openapi_extra=_REFERENCED)
@documented(answer=dict[str, UserReference | None])
async def refer_to_users(request: Request, caller: AnyCaller, rooms: InRooms) -> Response:
    """Users by id; null for whom the caller has nothing to do with."""
    ids = _ids(request)
    async with rooms.services.db.connection() as conn:
        found = await accounts.load_referenced(conn, caller.id, ids)
    shown = {each.id: render_user_reference(each) for each in found}
    return tagged(request, {each: shown.get(each) for each in ids})


def _ids(request: Request) -> list[str]:
    """What is asked for, once each, without what can be no id."""
    asked = dict.fromkeys(request.query_params.get("in", "").split(","))
    if len(asked) > MOST_ASKED:
        raise Invalid({"in": f"Ask for at most {MOST_ASKED:,} ids at once."})
    return [each for each in asked if each and is_id(each)]
