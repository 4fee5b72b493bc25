"""Users, their API tokens, and who has access to which project."""

import secrets
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tieline.api.accounts.documents import reference_links, render_extended_access, render_organization_list
from tieline.api.accounts.filters import DESCRIBED, select
from tieline.api.accounts.outputs import ExtendedAccessList, OrganizationList
from tieline.api.bodies import Body, ListBody, parse, parse_each
from tieline.api.description.documented import documented
from tieline.api.documents import render_api_token, render_grant, render_user
from tieline.api.gate import Admin, Operator, OwnAccount, Viewer, known_id
from tieline.api.inputs import AccessGrant, AccessPatch, APITokenCreate, UserCreate
from tieline.api.outputs import APITokenCreated, APITokenDocument, Plain, User, UserAccess, UserAccessList
from tieline.api.responses import JSONResponse, done, tagged
from tieline.api.rooms import InRooms
from tieline.core.documents import Account, APIToken
from tieline.core.errors import Conflict, Invalid, NotFound
from tieline.core.ids import new_id
from tieline.core.secret import Secret
from tieline.store import accounts, organizations, projects

router = APIRouter()

_TOKEN_BYTES: Final = 32
_NO_USER: Final = "User not found"
_NO_TOKEN: Final = "API token not found"  # noqa: S105 - a sentence
_NO_ACCESS: Final = "User access not found"
_USER: Final = "/users/{user_id}"
_ACCESS: Final = "/projects/{project_id}/user-access"
_FILTERED: Final = {
    "parameters": [
        {"name": f"filter[{name}]", "in": "query", "description": description, "schema": {"type": "string"}}
        for name, description in (
            ("resource_type", "Only `project` or only `organization`."),
            ("organization_id", "Only what belongs to this organization."),
        )
    ]
}


@router.get("/users", tags=["Users"])
@documented(answer=list[User], basis="added", note="Users come from elsewhere at the vendor's.")
async def list_users(request: Request, _operator: Operator, rooms: InRooms) -> Response:
    """Every user of the server; for operators."""
    async with rooms.services.db.connection() as conn:
        found = await accounts.load_all(conn)
    return tagged(request, [render_user(each) for each in found])


@router.post("/users", status_code=201, tags=["Users"])
@documented(answer=User, body=UserCreate, basis="added", note="Users come from elsewhere at the vendor's.")
async def create_user(_operator: Operator, rooms: InRooms, body: Body) -> Response:
    """Create a user, who then needs an API token and access to projects; for operators."""
    given = parse(UserCreate, body)
    account = Account(id=new_id(), created_at=rooms.services.now(), **given.model_dump())
    async with rooms.services.db.transaction() as conn:
        await accounts.create(conn, account)
    return JSONResponse(render_user(account), status_code=HTTPStatus.CREATED)


@router.get(_USER, tags=["Users"])
@documented(answer=User)
async def get_user(request: Request, own: OwnAccount, rooms: InRooms) -> Response:
    """One user; `me` is the caller."""
    async with rooms.services.db.connection() as conn:
        account = await accounts.get(conn, own.user_id)
    return tagged(request, render_user(account))


@router.get(_USER + "/extended-access", tags=["Users"], openapi_extra=_FILTERED)
@documented(answer=ExtendedAccessList)
async def list_extended_access(request: Request, own: OwnAccount, rooms: InRooms) -> Response:
    """What a user has access to: projects, and the organizations that it belongs to."""
    async with rooms.lists.take(own.caller.id), rooms.services.db.connection() as conn:
        account = await accounts.get(conn, own.user_id)
        reach = await projects.load_reach(conn, account.id)
        seen = await organizations.load_seen(conn, account.id)
    items = select(request, render_extended_access(account, reach, seen))
    links = {
        "self": {"href": f"/users/{account.id}/extended-access"},
        **reference_links("projects", [each["resource_id"] for each in items if each["resource_type"] == "project"]),
        **reference_links("organizations", [each["organization_id"] for each in items]),
    }
    return tagged(request, {"items": items, "_links": links})


@router.get(_USER + "/organizations", tags=["Organizations"], openapi_extra=DESCRIBED)
@documented(answer=OrganizationList)
async def list_user_organizations(request: Request, own: OwnAccount, rooms: InRooms) -> Response:
    """The organizations that a user belongs to, or sees by a project of theirs."""
    async with rooms.services.db.connection() as conn:
        account = await accounts.get(conn, own.user_id)
        seen = await organizations.load_seen(conn, account.id)
    path = f"/users/{account.id}/organizations"
    return tagged(request, render_organization_list(request, seen, path))


@router.get(_USER + "/api-tokens", tags=["API Tokens"])
@documented(answer=list[APITokenDocument])
async def list_api_tokens(request: Request, own: OwnAccount, rooms: InRooms) -> Response:
    """A user's API tokens, without their values."""
    async with rooms.services.db.connection() as conn:
        account = await accounts.get(conn, own.user_id)
        found = await accounts.load_tokens(conn, account.id)
    return tagged(request, [render_api_token(each) for each in found])


@router.post(_USER + "/api-tokens", status_code=201, tags=["API Tokens"])
@documented(answer=APITokenCreated, body=APITokenCreate, errors=(409,))
async def create_api_token(own: OwnAccount, rooms: InRooms, body: Body) -> Response:
    """Create an API token; its value is shown in this answer and never again."""
    given = parse(APITokenCreate, body)
    moment = rooms.services.now()
    if given.expires_at is not None and given.expires_at <= moment:
        raise Invalid({"expires_at": "This must be a moment to come."})
    value = Secret(secrets.token_urlsafe(_TOKEN_BYTES))
    async with rooms.services.db.transaction() as conn:
        account = await accounts.get(conn, own.user_id)
        token = APIToken(new_id(), account.id, given.name, moment, given.expires_at, None)
        await accounts.create_token(conn, token, value)
    document = {**render_api_token(token), "token": value.reveal()}
    return JSONResponse(document, status_code=HTTPStatus.CREATED, headers={"Cache-Control": "no-store"})


@router.get(_USER + "/api-tokens/{token_id}", tags=["API Tokens"])
@documented(answer=APITokenDocument)
async def get_api_token(request: Request, own: OwnAccount, rooms: InRooms, token_id: str) -> Response:
    """One API token, without its value."""
    async with rooms.services.db.connection() as conn:
        token = await accounts.get_token(conn, own.user_id, known_id(token_id, _NO_TOKEN))
    return tagged(request, render_api_token(token))


@router.delete(_USER + "/api-tokens/{token_id}", tags=["API Tokens"])
@documented(answer=Plain)
async def delete_api_token(own: OwnAccount, rooms: InRooms, token_id: str) -> Response:
    """Revoke an API token, and with it every access token that was made from it."""
    async with rooms.services.db.transaction() as conn:
        await accounts.remove_token(conn, own.user_id, known_id(token_id, _NO_TOKEN))
    rooms.gate.forget_token(token_id)
    return done()


@router.get(_ACCESS, tags=["User Access"])
@documented(answer=UserAccessList)
async def list_user_access(request: Request, access: Admin, rooms: InRooms) -> Response:
    """Who may see the project."""
    async with rooms.services.db.connection() as conn:
        found = await accounts.load_grants(conn, access.project_id)
    links = {
        "self": {"href": f"/projects/{access.project_id}/user-access"},
        **reference_links("users", [each.account_id for each in found]),
    }
    return tagged(request, {"items": [render_grant(each) for each in found], "_links": links})


@router.post(_ACCESS, tags=["User Access"])
@documented(answer=Plain, errors=(409,), body=AccessGrant, many=True)
async def grant_user_access(access: Admin, rooms: InRooms, body: ListBody) -> Response:
    """Give users access to the project; all of them, or none when one cannot have it."""
    given = parse_each(AccessGrant, body)
    if not given:
        raise Invalid({"body": "Name at least one user."})
    async with rooms.services.db.transaction() as conn:
        for each in given:
            user = known_id(each.user_id, _NO_USER)
            if not await accounts.grant(conn, access.project_id, user, each.permissions[0]):
                raise Conflict(f"The user {user} has access already; change it with PATCH.")
    for each in given:
        rooms.gate.forget_account(each.user_id)
    return done()


@router.get(_ACCESS + "/{user_id}", tags=["User Access"])
@documented(answer=UserAccess)
async def get_user_access(request: Request, access: Viewer, rooms: InRooms, user_id: str) -> Response:
    """One user's access; everybody may see their own."""
    user = access.caller.id if user_id == "me" else known_id(user_id, _NO_ACCESS)
    if user != access.caller.id and not access.is_admin:
        raise NotFound(_NO_ACCESS)
    async with rooms.services.db.connection() as conn:
        grant = await accounts.get_grant(conn, access.project_id, user)
    return tagged(request, render_grant(grant))


@router.patch(_ACCESS + "/{user_id}", tags=["User Access"])
@documented(answer=Plain, body=AccessPatch)
async def patch_user_access(access: Admin, rooms: InRooms, user_id: str, body: Body) -> Response:
    """Give a user another role."""
    given = parse(AccessPatch, body)
    async with rooms.services.db.transaction() as conn:
        user = known_id(user_id, _NO_ACCESS)
        await accounts.change_grant(conn, access.project_id, user, given.permissions[0])
    rooms.gate.forget_account(user)
    return done()


@router.delete(_ACCESS + "/{user_id}", tags=["User Access"])
@documented(answer=Plain)
async def delete_user_access(access: Admin, rooms: InRooms, user_id: str) -> Response:
    """Take a user's access away."""
    async with rooms.services.db.transaction() as conn:
        user = known_id(user_id, _NO_ACCESS)
        await accounts.revoke(conn, access.project_id, user)
    rooms.gate.forget_account(user)
    return done()
