"""Projects."""

from dataclasses import asdict, replace
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tieline.api.bodies import Body, parse
from tieline.api.description.documented import documented
from tieline.api.gate import Admin, AnyCaller, Viewer
from tieline.api.inputs import ProjectCreate, ProjectPatch
from tieline.api.outputs import Capabilities, ProjectDocument, ProjectSettings
from tieline.api.responses import accepted, tagged
from tieline.api.rooms import InRooms
from tieline.core import kinds
from tieline.core.documents import JSON, Project
from tieline.core.errors import Invalid
from tieline.core.ids import new_id
from tieline.integrations.base import Registry
from tieline.integrations.logs import MAX_EXTRA_BYTES
from tieline.store import accounts, activities, environments, organizations, projects
from tieline.store.database import Connection

router = APIRouter(tags=["Project"])

_ONE: Final = "/projects/{project_id}"
_NOT_OFFERED: Final = {"enabled": False}


@router.get("/projects")
@documented(
    answer=list[ProjectDocument], note="In the vendor's internal document and its guides, not in the public document."
)
async def list_projects(request: Request, caller: AnyCaller, rooms: InRooms) -> Response:
    """The projects that the caller may see."""
    async with rooms.lists.take(caller.id), rooms.services.db.connection() as conn:
        is_operator = caller.account.is_operator
        found = await (projects.load_all(conn) if is_operator else projects.load_visible(conn, caller.id))
        roles = await accounts.load_roles(conn, caller.id)
    documents = [rooms.writer.project(each, is_admin=is_operator or roles.get(each.id) == "admin") for each in found]
    return tagged(request, documents)


@router.post("/projects", status_code=201)
@documented(
    accepted=ProjectDocument,
    body=ProjectCreate,
    basis="inferred",
    note="The vendor's internal document names it; that a title is enough is Tieline's choice.",
)
async def create_project(caller: AnyCaller, rooms: InRooms, body: Body) -> Response:
    """Create a project; the caller becomes its admin."""
    given = parse(ProjectCreate, body)
    wanted = Project(
        id=new_id(), owner=caller.id, created_at=rooms.services.now(), updated_at=None, **given.model_dump()
    )
    async with rooms.services.db.transaction() as conn:
        if given.organization is not None:
            wanted = replace(wanted, organization=await _find_organization(conn, caller.id, given.organization))
        project = await projects.create(conn, wanted)
        await accounts.grant(conn, project.id, caller.id, "admin")
        await activities.create(conn, kinds.project_created(project, caller.actor))
    rooms.gate.forget_account(caller.id)
    return accepted(rooms.writer.project(project, is_admin=True), status=HTTPStatus.CREATED)


async def _find_organization(conn: Connection, account_id: str, named: str) -> str:
    found = await organizations.find_to_own(conn, account_id, named)
    if found is None:
        raise Invalid({"organization": f"You belong to no organization {named!r}."})
    return found.id


@router.get(_ONE)
@documented(answer=ProjectDocument)
async def get_project(request: Request, access: Viewer, rooms: InRooms) -> Response:
    """One project."""
    async with rooms.services.db.connection() as conn:
        project = await projects.get(conn, access.project_id)
    return tagged(request, rooms.writer.project(project, is_admin=access.is_admin))


@router.patch(_ONE)
@documented(
    accepted=ProjectDocument,
    body=ProjectPatch,
    basis="observed",
    note="Used by the vendor's clients, and in its internal document.",
)
async def patch_project(access: Admin, rooms: InRooms, body: Body) -> Response:
    """Change a project; only the fields that are sent."""
    given = parse(ProjectPatch, body).model_dump(exclude_unset=True)
    async with rooms.services.db.transaction() as conn:
        present = await projects.get(conn, access.project_id, lock=True)
        before = asdict(present)
        changes = {name: value for name, value in given.items() if before[name] != value}
        if "default_branch" in changes:
            await _make_default(conn, present.id, changes["default_branch"])
        project = await projects.save(conn, present.id, **changes) if changes else present
        for name, value in changes.items():
            record = kinds.project_modified(project, name, access.caller.actor, before[name], value)
            await activities.create(conn, record)
    return accepted(rooms.writer.project(project, is_admin=True))


async def _make_default(conn: Connection, project_id: str, branch: str | None) -> None:
    """Make the branch's environment the production one. Any name will do while there are no environments yet."""
    if branch is None:
        raise Invalid({"default_branch": "A project keeps its default branch; name another one."})
    present = await environments.load_all(conn, project_id)
    chosen = next((each for each in present if each.name == branch and not each.is_pull), None)
    if chosen is not None:
        await environments.make_main(conn, project_id, chosen.id)
    elif present:
        raise Invalid({"default_branch": f"There is no branch {branch!r} in this project."})


@router.get(_ONE + "/settings")
@documented(answer=ProjectSettings)
async def get_project_settings(request: Request, access: Viewer, rooms: InRooms) -> Response:
    """How the project works."""
    return tagged(request, rooms.writer.project_settings(access.project_id))


@router.get(_ONE + "/capabilities")
@documented(answer=Capabilities)
async def get_capabilities(request: Request, _access: Viewer, rooms: InRooms) -> Response:
    """What this server offers to a project: its integration types above all."""
    return tagged(request, render_capabilities(rooms.services.registry))


def render_capabilities(registry: Registry) -> JSON:
    """The vendor's document; what Tieline does not have is there and switched off."""
    config = {each.key: {"enabled": True, "role": "admin"} for each in registry}
    return {
        "integrations": {"enabled": True, "config": config, "allowed_integrations": list(config)},
        "logs_forwarding": {"max_extra_payload_size": MAX_EXTRA_BYTES},
        "metrics": {"max_range": "0h"},
        "tasks": _NOT_OFFERED,
        "guaranteed_resources": {**_NOT_OFFERED, "instance_limit": 0},
        "images": {},
        "instance_limit": 1,
        "build_resources": {**_NOT_OFFERED, "max_cpu": 0, "max_memory": 0},
        "data_retention": _NOT_OFFERED,
        "autoscaling": {**_NOT_OFFERED, "supports_horizontal_scaling_services": False},
        "object_storage": {
            **_NOT_OFFERED,
            "min_storage": 0,
            "max_storage": 0,
            "storage_step": 1,
            "cpu_per_step": 0,
            "memory_per_step": 0,
            "max_cpu": 0,
            "max_memory": 0,
        },
        "custom_domains": {**_NOT_OFFERED, "environments_with_domains_limit": 0},
        "source_operations": _NOT_OFFERED,
        "runtime_operations": _NOT_OFFERED,
        "outbound_firewall": _NOT_OFFERED,
    }
