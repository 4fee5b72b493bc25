"""The state of the whole server: written as a file, and in development remembered and brought back."""

from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tieline.api.description.documented import documented
from tieline.api.gate import Operator, known_id
from tieline.api.outputs import Plain
from tieline.api.responses import done
from tieline.api.rooms import InRooms
from tieline.api.services import Development
from tieline.core.errors import NotFound

router = APIRouter(tags=["State"])
development_router = APIRouter(tags=["State"])

YAML_TYPE: Final = "application/yaml"
_SEED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The file.", "content": {YAML_TYPE: {"schema": {"type": "string"}}}}
}
_PROJECTS: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "project",
            "in": "query",
            "description": "The id of a project; may be given again and again. Everything is exported without it.",
            "schema": {"type": "array", "items": {"type": "string"}},
        }
    ]
}


@router.get("/_tieline/export", response_class=Response, responses=_SEED, openapi_extra=_PROJECTS)
@documented(errors=(409,), basis="added", note="What `tieline serve --seed` reads.")
async def export_seed(request: Request, _operator: Operator, rooms: InRooms) -> Response:
    """Users, organizations and projects as a file, in which secrets are references; for operators."""
    ids = [known_id(each, "Project not found") for each in request.query_params.getlist("project")]
    written = await rooms.services.export(ids)
    return Response(written, headers={"Content-Type": YAML_TYPE, "Cache-Control": "no-store"})


@development_router.post("/_tieline/snapshot")
@documented(answer=Plain, basis="added", note="Only with TIELINE_DEVELOPMENT=1.")
async def take_snapshot(_operator: Operator, rooms: InRooms) -> Response:
    """Remember everything as it is now, for resets; for operators."""
    await _development(rooms.services.development).snapshot()
    return done()


@development_router.post("/_tieline/reset")
@documented(answer=Plain, basis="added", note="Only with TIELINE_DEVELOPMENT=1.")
async def reset(_operator: Operator, rooms: InRooms) -> Response:
    """Go back to the last snapshot, or else to the seed that the server started with, or to nothing; for operators."""
    await _development(rooms.services.development).reset()
    rooms.services.listener.forget_all()
    return done()


def _development(found: Development | None) -> Development:
    if found is None:
        raise NotFound("There is no such path here.")
    return found
