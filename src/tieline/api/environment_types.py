"""The three types of environments, which are the same in every project."""

from typing import Final, get_args

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tieline.api.description.documented import documented
from tieline.api.gate import Viewer
from tieline.api.outputs import EnvironmentTypeDocument
from tieline.api.responses import tagged
from tieline.api.rooms import InRooms
from tieline.core.documents import EnvironmentType
from tieline.core.errors import NotFound

router = APIRouter(tags=["Environment Type"])

_LISTED: Final = "/projects/{project_id}/environment-types"
_TYPES: Final = get_args(EnvironmentType)


@router.get(_LISTED)
@documented(answer=list[EnvironmentTypeDocument])
async def list_environment_types(request: Request, access: Viewer, rooms: InRooms) -> Response:
    """The types that an environment can be of."""
    return tagged(request, [rooms.writer.environment_type(access.project_id, each) for each in _TYPES])


@router.get(_LISTED + "/{environment_type_id}")
@documented(answer=EnvironmentTypeDocument)
async def get_environment_type(request: Request, access: Viewer, rooms: InRooms, environment_type_id: str) -> Response:
    """One type."""
    if environment_type_id not in _TYPES:
        raise NotFound("Environment type not found")
    return tagged(request, rooms.writer.environment_type(access.project_id, environment_type_id))
