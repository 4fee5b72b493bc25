"""The deliveries of an integration: what was sent, what came of it, and what is sent again."""

from typing import Any, Final, cast, get_args

from fastapi import APIRouter
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from tieline.api.bodies import Body, parse
from tieline.api.deliveries.documents import ENDED, DeliveryWriter
from tieline.api.deliveries.inputs import DeliveriesReplay
from tieline.api.deliveries.outputs import DeliveryDocument, DeliveryInFull, Replayed
from tieline.api.description.documented import documented
from tieline.api.gate import Access, Admin, known_id
from tieline.api.queries import is_number, parse_count, parse_moment, parse_several, parse_text
from tieline.api.responses import accepted, done, tagged
from tieline.api.rooms import InRooms, Rooms
from tieline.core.deliveries import DeliveryState
from tieline.core.documents import Integration
from tieline.core.errors import Invalid, NotFound
from tieline.store import history, integrations
from tieline.store.database import Connection
from tieline.store.history import DeliveryQuery, PastDelivery

router = APIRouter(tags=["Deliveries"])

_LISTED: Final = "/projects/{project_id}/integrations/{integration_id}/deliveries"
_ONE: Final = _LISTED + "/{delivery_id}"
_MISSING: Final = "Delivery not found"
_NOTE: Final = "The vendor shows deliveries as activities only."
_PAGE: Final = 25
_MOST: Final = 100
_STATES: Final = get_args(DeliveryState)
_LARGEST: Final = 2**63 - 1
_DIGITS: Final = len(str(_LARGEST))

_FILTERS: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "state",
            "in": "query",
            "description": "Only deliveries in this state; may be given several times.",
            "schema": {"type": "array", "items": {"enum": list(_STATES)}},
        },
        {
            "name": "type",
            "in": "query",
            "description": "Only deliveries that tell of activities of this type; may be given several times.",
            "schema": {"type": "array", "items": {"type": "string"}},
        },
        {
            "name": "environment",
            "in": "query",
            "description": "Only deliveries that tell of what happened in this environment.",
            "schema": {"type": "string"},
        },
        {
            "name": "activity",
            "in": "query",
            "description": "Only deliveries that tell of this activity.",
            "schema": {"type": "string"},
        },
        {
            "name": "since",
            "in": "query",
            "description": "The oldest `created_at` to return.",
            "schema": {"type": "string", "format": "date-time"},
        },
        {
            "name": "before",
            "in": "query",
            "description": "The id of a delivery; only older ones are returned. For the next page, the last one seen.",
            "schema": {"type": "string"},
        },
        {
            "name": "count",
            "in": "query",
            "description": "How many to return at most.",
            "schema": {"type": "integer", "minimum": 1, "maximum": _MOST, "default": _PAGE},
        },
    ]
}


def parse_query(params: QueryParams) -> DeliveryQuery:
    """The filters of a list. Raises `Invalid` for what cannot be read; parameters of other names are ignored."""
    before = params.get("before")
    if before and not _is_delivery(before):
        raise Invalid({"before": f"{before[:50]!r} is not the id of a delivery."})
    return DeliveryQuery(
        states=cast("list[DeliveryState]", parse_several(params, "state", _STATES)),
        types=parse_several(params, "type"),
        environment_id=parse_text(params, "environment"),
        cause_id=parse_text(params, "activity"),
        since=parse_moment(params["since"], "since") if params.get("since") else None,
        before=int(before) if before else None,
        count=parse_count(params, _PAGE, _MOST),
    )


def _is_delivery(text: str) -> bool:
    """Whether this can be the id of a delivery: what cannot be never reaches the database."""
    return is_number(text) and len(text) <= _DIGITS and 0 < int(text) <= _LARGEST


def _known_delivery(text: str) -> int:
    """The number. Raises `NotFound` for what cannot be one."""
    if not _is_delivery(text):
        raise NotFound(_MISSING)
    return int(text)


async def load_integration(conn: Connection, rooms: Rooms, access: Access, integration_id: str) -> Integration:
    """An integration of the project. Raises `NotFound`."""
    wanted = known_id(integration_id, "Integration not found")
    return await integrations.get(conn, rooms.services.box, access.project_id, wanted)


def _writer(rooms: Rooms, integration: Integration) -> DeliveryWriter:
    return DeliveryWriter(rooms.services.public_url, integration)


@router.get(_LISTED, openapi_extra=_FILTERS)
@documented(answer=list[DeliveryDocument], basis="added", note=_NOTE)
async def list_deliveries(request: Request, access: Admin, rooms: InRooms, integration_id: str) -> Response:
    """The newest deliveries of an integration first."""
    query = parse_query(request.query_params)
    async with rooms.lists.take(access.caller.id), rooms.services.db.connection() as conn:
        integration = await load_integration(conn, rooms, access, integration_id)
        found = await history.page(conn, integration.id, query)
    writer = _writer(rooms, integration)
    return tagged(request, [writer.delivery(each) for each in found])


@router.get(_ONE)
@documented(answer=DeliveryInFull, basis="added", note=_NOTE)
async def get_delivery(
    request: Request, access: Admin, rooms: InRooms, integration_id: str, delivery_id: str
) -> Response:
    """One delivery, with its attempts and what is sent."""
    async with rooms.services.db.connection() as conn:
        integration = await load_integration(conn, rooms, access, integration_id)
        found = await history.get(conn, integration.id, _known_delivery(delivery_id))
        attempts = await history.attempts(conn, found.id)
        body = None if found.message_id is None else await history.body(conn, found.message_id)
    return tagged(request, _writer(rooms, integration).delivery_in_full(found, attempts, body))


@router.post(_LISTED + "/replay")
@documented(answer=Replayed, body=DeliveriesReplay, basis="added", note="What was given up is sent again in one step.")
async def replay_failed_deliveries(access: Admin, rooms: InRooms, integration_id: str, body: Body) -> Response:
    """Send everything again that was given up and was added since a moment, in its order.

    While the integration is paused, it is held. Build statuses that a newer one has overtaken are left out.
    """
    given = parse(DeliveriesReplay, body)
    async with rooms.services.db.transaction() as conn:
        integration = await load_integration(conn, rooms, access, integration_id)
        count = await history.replay_failed(conn, integration.id, given.since)
    return done({"deliveries": count})


@router.post(_ONE + "/replay")
@documented(accepted=DeliveryDocument, basis="added", note="The receiver gets the same message again, with its id.")
async def replay_delivery(access: Admin, rooms: InRooms, integration_id: str, delivery_id: str) -> Response:
    """Send a delivery again that was delivered or given up; while the integration is paused, it is held."""
    async with rooms.services.db.transaction() as conn:
        integration = await load_integration(conn, rooms, access, integration_id)
        found = await history.get(conn, integration.id, _known_delivery(delivery_id))
        if not await history.replay(conn, integration.id, [found.id]):
            raise Invalid({"": _why_not(await history.get(conn, integration.id, found.id))})
        again = await history.get(conn, integration.id, found.id)
    return accepted(_writer(rooms, integration).delivery(again))


def _why_not(past: PastDelivery) -> str:
    """Why a delivery is not sent again."""
    if past.state in ENDED:
        return "A newer build status of the same commit was sent after this one, which would hide it."
    return f"This delivery has not ended: its state is {past.state}. It is sent without being replayed."
