"""One environment, and what people may do with it."""

from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tieline.api.bodies import Body, parse
from tieline.api.description.documented import documented
from tieline.api.documents import environment_operations, is_deletable
from tieline.api.gate import Access, Admin, Viewer, known_id
from tieline.api.inputs import EnvironmentActivate, EnvironmentPatch, EnvironmentSynchronize, HTTPAccess
from tieline.api.outputs import EnvironmentDocument, EnvironmentSettings
from tieline.api.responses import accepted, tagged
from tieline.api.rooms import InRooms, Rooms
from tieline.core import kinds
from tieline.core.documents import (
    JSON,
    Actor,
    DeploymentOutcome,
    Environment,
    NewActivity,
    Project,
    is_below,
    open_access,
)
from tieline.core.errors import Conflict, Invalid, NotFound
from tieline.store import activities, environments, projects
from tieline.store.database import Connection

router = APIRouter(tags=["Environment"])

_ONE: Final = "/projects/{project_id}/environments/{environment_id}"
_RECORDED: Final = {"http_access": "http_access", "restrict_robots": "restrict_robots", "enable_smtp": "smtp"}

_GOING: Final = "The environment is being deleted."

MakeActivity = Callable[[Project, Environment, Actor], NewActivity]


async def load_environment(conn: Connection, project_id: str, id: str, *, lock: bool = False) -> Environment:
    """One environment by its id. Raises `NotFound`."""
    missing = "Environment not found"
    found = await environments.find(conn, project_id, known_id(id, missing), lock=lock)
    if found is None:
        raise NotFound(missing)
    return found


@router.get(_ONE)
@documented(answer=EnvironmentDocument)
async def get_environment(request: Request, access: Viewer, rooms: InRooms, environment_id: str) -> Response:
    """One environment."""
    async with rooms.services.db.connection() as conn:
        project = await projects.get(conn, access.project_id)
        found = await load_environment(conn, access.project_id, environment_id)
        document = await _render(conn, rooms, access, project, found)
    return tagged(request, document)


async def _render(conn: Connection, rooms: Rooms, access: Access, project: Project, environment: Environment) -> JSON:
    last = await last_deployments(conn, [environment])
    return rooms.writer.environment(environment, project, last.get(environment.id), is_admin=access.is_admin)


async def last_deployments(conn: Connection, found: list[Environment]) -> dict[str, DeploymentOutcome]:
    """How those that run were deployed last."""
    active = [each.id for each in found if each.status == "active"]
    return await activities.last_deployments(conn, found[0].project_id, active) if active else {}


@router.get(_ONE + "/settings")
@documented(answer=EnvironmentSettings, basis="observed", note="Asked for by the vendor's command line.")
async def get_environment_settings(request: Request, access: Viewer, rooms: InRooms, environment_id: str) -> Response:
    """The environment's settings."""
    async with rooms.services.db.connection() as conn:
        found = await load_environment(conn, access.project_id, environment_id)
    return tagged(request, rooms.writer.environment_settings(access.project_id, found.id))


@router.patch(_ONE)
@documented(accepted=EnvironmentDocument, body=EnvironmentPatch)
async def patch_environment(access: Admin, rooms: InRooms, environment_id: str, body: Body) -> Response:
    """Change an environment; only the fields that are sent."""
    given = parse(EnvironmentPatch, body)
    moves = "parent" in given.model_fields_set
    async with rooms.services.db.transaction() as conn:
        # Two that move at once below each other would make a circle.
        project = await projects.get(conn, access.project_id, lock=moves)
        present = await load_environment(conn, access.project_id, environment_id, lock=True)
        others = await environments.load_all(conn, access.project_id) if moves else []
        _refuse_when_going(present)
        changes = plan_changes(present, given, others)
        if changes:
            await environments.save(conn, project.id, present.id, **changes)
        changed = await load_environment(conn, project.id, present.id)
        for name in changes.keys() & _RECORDED.keys():
            record = kinds.environment_updated(_RECORDED[name], project, changed, access.caller.actor)
            await activities.create(conn, record)
        document = await _render(conn, rooms, access, project, changed)
    return accepted(document)


def _refuse_when_going(present: Environment) -> None:
    if present.status == "deleting":
        raise Invalid({"status": _GOING})


def plan_changes(present: Environment, given: EnvironmentPatch, others: list[Environment]) -> dict[str, Any]:
    """The columns to change. Raises `Invalid` for what cannot be."""
    wanted = {name: getattr(given, name) for name in given.model_fields_set if name != "http_access"}
    problems = _refusals(present, wanted, others)
    if problems:
        raise Invalid(problems)
    if given.http_access is not None:
        wanted["http_access"] = {**present.http_access, **_given_access(given.http_access)}
    return {name: value for name, value in wanted.items() if getattr(present, name) != value}


def _given_access(given: HTTPAccess) -> JSON:
    """The parts that were sent. Clients send null for a part that is to be as if nobody had ever set it."""
    sent = given.model_dump(exclude_unset=True)
    return {name: open_access()[name] if value is None else value for name, value in sent.items()}


def _refusals(present: Environment, wanted: dict[str, Any], others: list[Environment]) -> dict[str, str]:
    problems: dict[str, str] = {}
    if wanted.get("name", present.name) != present.name:
        problems["name"] = "The name is that of the branch and follows it; change the title instead."
    if wanted.get("type", present.type) != present.type and "production" in (present.type, wanted["type"]):
        problems["type"] = "The default branch is the production environment; change the project's default_branch."
    if wanted.get("parent", present.parent) != present.parent:
        problems |= _parent_refusal(present, wanted["parent"], {each.id: each for each in others})
    return problems


def _parent_refusal(present: Environment, parent: str | None, others: dict[str, Environment]) -> dict[str, str]:
    if present.is_main:
        return {"parent": "The production environment has no parent."}
    if parent is None:
        return {"parent": "Only the production environment has no parent."}
    if parent not in others:
        return {"parent": f"There is no environment {parent!r} in this project."}
    if is_below(parent, present.id, others):
        return {"parent": f"{parent!r} is below {present.id!r} itself."}
    return {}


@router.post(_ONE + "/activate")
@documented(accepted=EnvironmentDocument, errors=(409,), body=EnvironmentActivate, required=False)
async def activate(access: Admin, rooms: InRooms, environment_id: str, body: Body) -> Response:
    """Build and deploy an inactive environment; for the pull request of a fork, this approves its head commit."""
    given = parse(EnvironmentActivate, body)
    init = given.resources.init if given.resources else None

    async def prepare(conn: Connection, environment: Environment) -> None:
        if given.commit not in (None, environment.head_commit):
            raise Conflict(f"The branch is at {environment.head_commit or 'no commit'} now; look at that commit first.")
        changes: dict[str, object] = {"awaiting_approval": False} if environment.awaiting_approval else {}
        if init:
            changes["init_resources"] = init
        if changes:
            await environments.save(conn, environment.project_id, environment.id, **changes)

    return await _operate(access, rooms, environment_id, "activate", kinds.activate, prepare)


@router.post(_ONE + "/deactivate")
@documented(accepted=EnvironmentDocument, errors=(409,))
async def deactivate(access: Admin, rooms: InRooms, environment_id: str) -> Response:
    """Take down what runs; the code stays."""
    return await _operate(access, rooms, environment_id, "deactivate", kinds.deactivate)


@router.post(_ONE + "/pause")
@documented(accepted=EnvironmentDocument, errors=(409,))
async def pause(access: Admin, rooms: InRooms, environment_id: str) -> Response:
    """Stop what runs; its data stays."""
    return await _operate(access, rooms, environment_id, "pause", kinds.pause)


@router.post(_ONE + "/resume")
@documented(accepted=EnvironmentDocument, errors=(409,))
async def resume(access: Admin, rooms: InRooms, environment_id: str) -> Response:
    """Build and deploy a paused environment again."""
    return await _operate(access, rooms, environment_id, "resume", kinds.resume)


@router.post(_ONE + "/redeploy")
@documented(accepted=EnvironmentDocument, errors=(409,))
async def redeploy(access: Admin, rooms: InRooms, environment_id: str) -> Response:
    """Deploy again what is deployed."""
    return await _operate(access, rooms, environment_id, "redeploy", kinds.redeploy)


@router.post(_ONE + "/synchronize")
@documented(accepted=EnvironmentDocument, errors=(409,), body=EnvironmentSynchronize)
async def synchronize(access: Admin, rooms: InRooms, environment_id: str, body: Body) -> Response:
    """Copy the parent's data into the environment."""
    given = parse(EnvironmentSynchronize, body)
    if given.synchronize_code or given.rebase:
        sentence = "Code follows the branch at the Git host; merge or rebase there."
        raise Invalid({"synchronize_code" if given.synchronize_code else "rebase": sentence})
    if not given.synchronize_data:
        raise Invalid({"synchronize_data": "There is nothing to do unless this is true."})
    return await _operate(access, rooms, environment_id, "synchronize", kinds.synchronize)


@router.delete(_ONE)
@documented(accepted=EnvironmentDocument)
async def delete_environment(access: Admin, rooms: InRooms, environment_id: str) -> Response:
    """Remove an inactive environment. A branch that is still there comes back with the next reconcile."""
    async with rooms.services.db.transaction() as conn:
        project = await projects.get(conn, access.project_id)
        present = await load_environment(conn, access.project_id, environment_id, lock=True)
        if not is_deletable(present):
            raise Invalid({"status": _undeletable(present)})
        await environments.set_status(conn, project.id, present.id, "deleting")
        for waiting in await activities.open_of(conn, kinds.environment_key(project.id, present.id)):
            if not await activities.cancel_pending(conn, waiting):
                await activities.request_cancel(conn, waiting)
        activity = await activities.create(conn, kinds.delete(project, present, access.caller.actor))
        changed = await load_environment(conn, project.id, present.id)
        document = await _render(conn, rooms, access, project, changed)
    return accepted(document, [rooms.writer.activity(activity, is_admin=access.is_admin)])


def _undeletable(environment: Environment) -> str:
    if environment.is_main:
        return "The production environment cannot be deleted."
    if environment.status == "deleting":
        return _GOING
    return "The environment is active; deactivate it first."


async def _nothing(_conn: Connection, _environment: Environment) -> None:
    """Prepare nothing."""


async def _operate(
    access: Access,
    rooms: Rooms,
    environment_id: str,
    operation: str,
    make: MakeActivity,
    prepare: Callable[[Connection, Environment], Any] = _nothing,
) -> Response:
    """Create the activity of an operation that is allowed now; one that waits will do. Raises `Invalid`, `Conflict`."""
    async with rooms.services.db.transaction() as conn:
        project = await projects.get(conn, access.project_id)
        present = await load_environment(conn, access.project_id, environment_id, lock=True)
        if operation not in environment_operations(present):
            raise Invalid({"status": _refusal(operation, present)})
        new = make(project, present, access.caller.actor)
        waiting = await activities.pending_of(conn, kinds.environment_key(project.id, present.id), new.type)
        if waiting is not None and waiting.parameters != new.parameters:
            raise Conflict(
                f"The environment is about to {operation} already, as it was then; wait for that, or cancel it."
            )
        await prepare(conn, present)
        activity = waiting or await activities.create(conn, new)
        changed = await load_environment(conn, project.id, present.id)
        document = await _render(conn, rooms, access, project, changed)
    return accepted(document, [rooms.writer.activity(activity, is_admin=access.is_admin)])


def _refusal(operation: str, environment: Environment) -> str:
    if environment.is_main and operation in ("deactivate", "pause"):
        return "The production environment can be neither deactivated nor paused."
    if environment.status == "active" and operation == "synchronize":
        return "The production environment has no parent to copy from."
    if environment.status == "active" and operation in ("redeploy", "pause"):
        return "The environment has not been deployed yet; push to its branch."
    return f"The environment is {environment.status}; it cannot {operation} now."
