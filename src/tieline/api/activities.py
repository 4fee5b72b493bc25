"""Activities of projects, environments and integrations: one set of documents, seen from three sides."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, cast, get_args

from fastapi import APIRouter, Depends
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tieline.api.description.documented import BasisKind, documented
from tieline.api.environments import load_environment
from tieline.api.gate import Access, Admin, Viewer, authorization_of, known_id
from tieline.api.outputs import ActivityDocument
from tieline.api.queries import parse_count, parse_moment, parse_several
from tieline.api.responses import accepted, tagged
from tieline.api.rooms import InRooms, Rooms
from tieline.core import kinds
from tieline.core.documents import Activity, ActivityResult, ActivityState
from tieline.core.errors import NotFound
from tieline.store import activities, history, integrations
from tieline.store.activities import ActivityQuery
from tieline.store.database import Connection

router = APIRouter(tags=["Activity"])

LOG_TYPE: Final = "application/x-json-stream"
MOST: Final = 100
_PAGE: Final = 25
_MISSING: Final = "Activity not found"
# The vendor knows two more states; nothing here is ever in one of them.
_STATES: Final = (*get_args(ActivityState), "scheduled", "staged")
_RESULTS: Final = get_args(ActivityResult)


@dataclass(frozen=True)
class Side:
    """From where activities are looked at: all of a project's, or those of one thing in it."""

    access: Access
    environment_id: str | None = None
    integration_id: str | None = None

    def shows(self, activity: Activity) -> bool:
        return self.environment_id in (None, activity.environment_id) and self.integration_id in (
            None,
            activity.integration_id,
        )


async def _of_project(access: Viewer) -> Side:
    return Side(access)


async def _of_environment(access: Viewer, rooms: InRooms, environment_id: str) -> Side:
    async with rooms.services.db.connection() as conn:
        found = await load_environment(conn, access.project_id, environment_id)
    return Side(access, environment_id=found.id)


async def _of_integration(access: Admin, rooms: InRooms, integration_id: str) -> Side:
    id = known_id(integration_id, "Integration not found")  # noqa: A001
    async with rooms.services.db.connection() as conn:
        found = await integrations.get(conn, rooms.services.box, access.project_id, id)
    return Side(access, integration_id=found.id)


async def _reading(access: Viewer, rooms: InRooms) -> AsyncIterator[None]:
    """One of the logs that the caller reads, for as long as the answer takes to be sent."""
    with rooms.readers.take(access.caller.id):
        yield


def parse_query(params: QueryParams) -> ActivityQuery:
    """The filters of a list. Raises `Invalid` for what cannot be read; parameters of other names are ignored."""
    return ActivityQuery(
        types=parse_several(params, "type"),
        states=cast("list[ActivityState]", parse_several(params, "state", _STATES)),
        results=cast("list[ActivityResult]", parse_several(params, "result", _RESULTS)),
        starts_at=parse_moment(params["starts_at"], "starts_at") if params.get("starts_at") else None,
        count=parse_count(params, _PAGE, MOST),
    )


async def _list(request: Request, rooms: Rooms, side: Side) -> Response:
    query = replace(
        parse_query(request.query_params), environment_id=side.environment_id, integration_id=side.integration_id
    )
    async with rooms.lists.take(side.access.caller.id), rooms.services.db.connection() as conn:
        found = await activities.page(conn, side.access.project_id, query)
    return tagged(request, [rooms.writer.activity(each, is_admin=side.access.is_admin) for each in found])


async def _load(conn: Connection, side: Side, activity_id: str) -> Activity:
    found = await activities.get_any(conn, known_id(activity_id, _MISSING))
    if found is None or found.project_id != side.access.project_id or not side.shows(found):
        raise NotFound(_MISSING)
    return found


async def _get(request: Request, rooms: Rooms, side: Side, activity_id: str) -> Response:
    async with rooms.services.db.connection() as conn:
        found = await _load(conn, side, activity_id)
    return tagged(request, rooms.writer.activity(found, is_admin=side.access.is_admin))


async def _cancel(rooms: Rooms, side: Side, activity_id: str) -> Response:
    async with rooms.services.db.transaction() as conn:
        found = await _load(conn, side, activity_id)
        changed = await _end(conn, side.access, found)
    if (delivery := kinds.delivery_of(found)) is not None:
        async with rooms.services.db.connection() as conn:
            await history.go_on(conn, delivery)
    return accepted(rooms.writer.activity(changed, is_admin=side.access.is_admin))


async def _end(conn: Connection, access: Access, activity: Activity) -> Activity:
    """Cancel an activity; what is a delivery is given up."""
    delivery = kinds.delivery_of(activity)
    if delivery is None:
        return await activities.cancel(conn, activity.project_id, activity.id)
    return await history.give_up(conn, activity, delivery, f"{access.caller.actor.display_name} gave it up.")


async def _log(request: Request, rooms: Rooms, side: Side, activity_id: str) -> Response:
    async with rooms.services.db.connection() as conn:
        found = await _load(conn, side, activity_id)
    params = request.query_params
    lines = rooms.services.read_log(
        found.id,
        start_at=_number(params.get("start_at"), 0),
        max_items=_number(params.get("max_items"), 0),
        max_delay=_delay(params.get("max_delay")),
    )
    headers = {"Content-Type": LOG_TYPE, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_while_admitted(request, rooms, side.access, lines), headers=headers)


async def _while_admitted(
    request: Request, rooms: Rooms, access: Access, lines: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    """The lines until the reader may see no more of them: a log can go on for hours."""
    authorization = authorization_of(request)
    async for each in lines:
        if not await rooms.gate.still_admits(authorization, access):
            return
        yield each


def _number(text: str | None, default: int) -> int:
    """A count that somebody may have left on a copied URL: what makes no sense is ignored."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else default  # noqa: PLR2004


def _delay(text: str | None) -> float | None:
    known = re.fullmatch(r"-?[0-9]{1,6}(\.[0-9]{1,6})?", text or "")
    return float(known[0]) if known else None


_FILTERS: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "type",
            "in": "query",
            "description": "Only activities of this type; may be given several times.",
            "schema": {"type": "array", "items": {"type": "string"}},
        },
        {
            "name": "state",
            "in": "query",
            "description": "Only activities in this state; may be given several times.",
            "schema": {"type": "array", "items": {"enum": list(_STATES)}},
        },
        {
            "name": "result",
            "in": "query",
            "description": "Only activities with this result; may be given several times.",
            "schema": {"type": "array", "items": {"enum": list(_RESULTS)}},
        },
        {
            "name": "starts_at",
            "in": "query",
            "description": "The newest `created_at` to return; for the next page, that of the last one seen.",
            "schema": {"type": "string", "format": "date-time"},
        },
        {
            "name": "count",
            "in": "query",
            "description": "How many to return at most.",
            "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": _PAGE},
        },
    ]
}

_WINDOW: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "start_at",
            "in": "query",
            "description": "How many lines to leave out at the beginning.",
            "schema": {"type": "integer", "minimum": 0, "default": 0},
        },
        {
            "name": "max_items",
            "in": "query",
            "description": "How many lines to send at most; 0 is no limit.",
            "schema": {"type": "integer", "minimum": 0, "default": 0},
        },
        {
            "name": "max_delay",
            "in": "query",
            "description": "How many seconds to wait for the end of the log: a negative number sends what there is at "
            "once; without a number, or with 0, the answer ends with the log.",
            "schema": {"type": "number"},
        },
    ]
}

_LINES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The log, one JSON document a line; the last one is the seal.",
        "content": {
            LOG_TYPE: {
                "schema": {"type": "string"},
                "example": '{"_id": 1, "data": {"timestamp": "2026-11-23T10:00:00.000000+00:00", '
                '"message": "Building main\\n"}}\n{"_id": 2, "seal": true}\n',
            }
        },
    }
}


_OF_INTEGRATIONS: Final[tuple[BasisKind, str]] = (
    "observed",
    "Used by the vendor's clients, and in its internal document.",
)
_OF_LOGS: Final[tuple[BasisKind, str]] = (
    "observed",
    "Linked from every activity, and streamed by the vendor's clients.",
)
_OF_OTHER_LOGS: Final[tuple[BasisKind, str]] = ("inferred", "As for the activities of a project.")
_OF_OTHERS: Final[tuple[BasisKind, str]] = ("documented", "")


def _add_side(path: str, name: str, look: Callable[..., Awaitable[Side]]) -> None:
    """Add the four routes of one side."""
    one = path + "/activities/{activity_id}"
    basis, note = _OF_INTEGRATIONS if name == "integration" else _OF_OTHERS
    log_basis, log_note = _OF_OTHER_LOGS if name == "integration" else _OF_LOGS

    @router.get(path + "/activities", name=f"list_{name}_activities", openapi_extra=_FILTERS)
    @documented(answer=list[ActivityDocument], basis=basis, note=note)
    async def list_activities(request: Request, rooms: InRooms, side: Annotated[Side, Depends(look)]) -> Response:
        """The newest activities first."""
        return await _list(request, rooms, side)

    @router.get(one, name=f"get_{name}_activity")
    @documented(answer=ActivityDocument, basis=basis, note=note)
    async def get_activity(
        request: Request, rooms: InRooms, side: Annotated[Side, Depends(look)], activity_id: str
    ) -> Response:
        """One activity."""
        return await _get(request, rooms, side, activity_id)

    @router.post(one + "/cancel", name=f"cancel_{name}_activity")
    @documented(accepted=ActivityDocument, basis=basis, note=note)
    async def cancel_activity(
        rooms: InRooms, _admin: Admin, side: Annotated[Side, Depends(look)], activity_id: str
    ) -> Response:
        """End an activity that waits or runs."""
        return await _cancel(rooms, side, activity_id)

    @router.get(
        one + "/log",
        name=f"get_{name}_activity_log",
        responses=_LINES,
        response_class=StreamingResponse,
        openapi_extra=_WINDOW,
        dependencies=[Depends(_reading)],
    )
    @documented(basis=log_basis, note=log_note)
    async def get_log(
        request: Request, rooms: InRooms, side: Annotated[Side, Depends(look)], activity_id: str
    ) -> Response:
        """The log, line by line as it is written, until it is sealed."""
        return await _log(request, rooms, side, activity_id)


_add_side("/projects/{project_id}", "project", _of_project)
_add_side("/projects/{project_id}/environments/{environment_id}", "environment", _of_environment)
_add_side("/projects/{project_id}/integrations/{integration_id}", "integration", _of_integration)
