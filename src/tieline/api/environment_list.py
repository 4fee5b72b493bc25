"""The list of a project's environments."""

from dataclasses import dataclass
from typing import Any, Final, get_args

from fastapi import APIRouter
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from tieline.api.description.documented import documented
from tieline.api.gate import Viewer
from tieline.api.outputs import EnvironmentDocument
from tieline.api.responses import Rendered, tagged_bytes
from tieline.api.rooms import InRooms
from tieline.core.documents import Environment, EnvironmentType
from tieline.core.errors import Invalid
from tieline.store import projects

router = APIRouter(tags=["Environment"])

_LISTED: Final = "/projects/{project_id}/environments"
_TYPES: Final = get_args(EnvironmentType)
_BOOLEANS: Final = {"": None, "true": True, "1": True, "false": False, "0": False}
_FILTERS: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "type",
            "in": "query",
            "description": "Only those of this type, or of one of these.",
            "schema": {"type": "array", "items": {"enum": list(_TYPES)}},
        },
        {
            "name": "active",
            "in": "query",
            "description": "Only those that are active, or only those that are not.",
            "schema": {"type": "boolean"},
        },
    ]
}


@dataclass(frozen=True)
class EnvironmentQuery:
    """Which environments to list: all, but for what is given."""

    types: frozenset[str] = frozenset()
    is_active: bool | None = None

    def takes(self, environment: Environment) -> bool:
        is_active = environment.status == "active"
        return (not self.types or environment.type in self.types) and self.is_active in (None, is_active)


def parse_query(params: QueryParams) -> EnvironmentQuery:
    """The filters of a list. Raises `Invalid` for what cannot be read; parameters of other names are ignored."""
    types = frozenset(params.getlist("type")) - {""}
    active = params.get("active", "").lower()
    if unknown := types.difference(_TYPES):
        raise Invalid({"type": f"{min(unknown)[:50]!r} is none of {', '.join(_TYPES)}."})
    if active not in _BOOLEANS:
        raise Invalid({"active": f"{active[:50]!r} is neither true nor false."})
    return EnvironmentQuery(types, _BOOLEANS[active])


@router.get(_LISTED, openapi_extra=_FILTERS)
@documented(answer=list[EnvironmentDocument])
async def list_environments(request: Request, access: Viewer, rooms: InRooms) -> Response:
    """Every environment of the project."""
    query = parse_query(request.query_params)
    async with rooms.listings.turn(access.project_id), rooms.services.db.snapshot() as conn:
        project = await projects.get(conn, access.project_id)
        body = await rooms.listings.load(conn, project, query.takes, is_admin=access.is_admin)
    return tagged_bytes(request, Rendered.of_body(body))
