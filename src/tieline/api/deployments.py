"""What runs of an environment now, which clients ask for its addresses."""

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tieline.api.description.documented import documented
from tieline.api.environments import load_environment
from tieline.api.gate import Access, Viewer
from tieline.api.outputs import DeploymentDocument
from tieline.api.responses import tagged
from tieline.api.rooms import InRooms, Rooms
from tieline.core.deployments import CURRENT
from tieline.core.documents import JSON
from tieline.core.errors import NotFound
from tieline.store import projects

router = APIRouter(tags=["Deployment"])

_LISTED: Final = "/projects/{project_id}/environments/{environment_id}/deployments"


@router.get(_LISTED)
@documented(answer=list[DeploymentDocument])
async def list_deployments(request: Request, access: Viewer, rooms: InRooms, environment_id: str) -> Response:
    """What runs now, if anything does: former deployments are not kept."""
    found = await _load(rooms, access, environment_id)
    return tagged(request, [] if found is None else [found])


@router.get(_LISTED + "/{deployment_id}")
@documented(answer=DeploymentDocument)
async def get_deployment(
    request: Request, access: Viewer, rooms: InRooms, environment_id: str, deployment_id: str
) -> Response:
    """What runs now, by the id `current`."""
    found = await _load(rooms, access, environment_id)
    if found is None or deployment_id != CURRENT:
        raise NotFound("Deployment not found")
    return tagged(request, found)


async def _load(rooms: Rooms, access: Access, environment_id: str) -> JSON | None:
    async with rooms.services.db.connection() as conn:
        project = await projects.get(conn, access.project_id)
        environment = await load_environment(conn, access.project_id, environment_id)
    return rooms.writer.deployment(environment, project, is_admin=access.is_admin)
