"""How it stands with those who are told of activities; a person may have that paused and resumed."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tieline.api.bodies import Body, parse
from tieline.api.deliveries.documents import DeliveryWriter
from tieline.api.deliveries.history import load_integration
from tieline.api.deliveries.inputs import IntegrationPause
from tieline.api.deliveries.outputs import ReceiverChanged, ReceiverDocument
from tieline.api.description.documented import documented
from tieline.api.gate import Access, Admin
from tieline.api.responses import accepted, tagged
from tieline.api.rooms import InRooms, Rooms
from tieline.core import kinds
from tieline.core.deliveries import Receiver
from tieline.core.documents import JSON, Activity, Integration, NewActivity
from tieline.core.errors import Invalid, NotFound
from tieline.store import activities, backlog, projects, receivers
from tieline.store.database import Connection

router = APIRouter(tags=["Deliveries"])

_ONE: Final = "/projects/{project_id}/integrations/{integration_id}"


@router.get(_ONE + "/receiver")
@documented(answer=ReceiverDocument, basis="added", note="The vendor does not say how it stands with a receiver.")
async def get_receiver(request: Request, access: Admin, rooms: InRooms, integration_id: str) -> Response:
    """Whether the integration is paused or fails, and how many deliveries are to go out."""
    async with rooms.lists.take(access.caller.id), rooms.services.db.connection() as conn:
        integration = await load_integration(conn, rooms, access, integration_id)
        receiver = await receivers.find(conn, integration.id)
        document = await _render(conn, rooms, integration, receiver)
    return tagged(request, document)


@router.post(_ONE + "/pause")
@documented(
    answer=ReceiverChanged,
    body=IntegrationPause,
    required=False,
    basis="added",
    note="Nothing is lost while a receiver is away.",
)
async def pause_integration(access: Admin, rooms: InRooms, integration_id: str, body: Body) -> Response:
    """Send nothing until the integration is resumed: what happens meanwhile is held. What is being sent is not stopped.

    For types that are told of activities. One that is paused stays as it is.
    """
    given = parse(IntegrationPause, body)
    async with rooms.services.db.transaction() as conn:
        integration, receiver = await _lock(conn, rooms, access, integration_id)
        if receiver.paused_at is not None:
            return await _answer(conn, rooms, integration, receiver, 0, [])
        because = given.reason.strip() or f"{access.caller.actor.display_name} asked for it."
        paused = replace(receiver, paused_at=rooms.services.now(), paused_because=because)
        await receivers.save(conn, paused)
        held = await _count_held(conn, integration)
        told = await _tell(conn, rooms, access, integration, partial(kinds.integration_paused, because=because))
        return await _answer(conn, rooms, integration, paused, held, [told])


@router.post(_ONE + "/resume")
@documented(answer=ReceiverChanged, basis="added", note="Ends a pause, whoever began it.")
async def resume_integration(access: Admin, rooms: InRooms, integration_id: str) -> Response:
    """Send what was held, in its order, and forget earlier failures: the next attempts are made at once.

    For types that are told of activities. One that is not paused forgets its failures too.
    """
    async with rooms.services.db.transaction() as conn:
        integration, receiver = await _lock(conn, rooms, access, integration_id)
        released = await _count_held(conn, integration)
        resumed = Receiver(integration.id, resumed_at=rooms.services.now())
        await receivers.save(conn, resumed)
        await receivers.wake(conn, integration.id)
        if receiver.paused_at is None:
            return await _answer(conn, rooms, integration, resumed, released, [])
        told = await _tell(conn, rooms, access, integration, partial(kinds.integration_resumed, held=released))
        return await _answer(conn, rooms, integration, resumed, released, [told])


async def _lock(conn: Connection, rooms: Rooms, access: Access, integration_id: str) -> tuple[Integration, Receiver]:
    """An integration that is told of activities, and how it stands with it, locked. Raises `NotFound`, `Invalid`."""
    integration = await load_integration(conn, rooms, access, integration_id)
    if rooms.services.registry[integration.type].sink is None:
        sentence = f"An integration of the type {integration.type} is not told of activities, so it cannot be paused."
        raise Invalid({"type": sentence})
    found = await receivers.lock(conn, [integration.id])
    if integration.id not in found:
        raise NotFound("Integration not found")
    return integration, found[integration.id]


async def _count_held(conn: Connection, integration: Integration) -> int:
    """How many deliveries a pause holds; however many there are, `backlog.MOST` at most."""
    return (await backlog.count(conn, integration.id)).counts["held"]


async def _tell(
    conn: Connection,
    rooms: Rooms,
    access: Access,
    integration: Integration,
    write: Callable[..., NewActivity],
) -> Activity:
    """The activity that says what was done."""
    project = await projects.get(conn, access.project_id)
    title = rooms.services.registry[integration.type].title
    return await activities.create(conn, write(project, integration, title, actor=access.caller.actor))


async def _render(conn: Connection, rooms: Rooms, integration: Integration, receiver: Receiver) -> JSON:
    found = await backlog.count(conn, integration.id)
    writer = DeliveryWriter(rooms.services.public_url, integration)
    is_sink = rooms.services.registry[integration.type].sink is not None
    return writer.receiver(receiver, found, rooms.services.now(), is_sink=is_sink)


async def _answer(
    conn: Connection,
    rooms: Rooms,
    integration: Integration,
    receiver: Receiver,
    count: int,
    told: Sequence[Activity],
) -> Response:
    document = await _render(conn, rooms, integration, receiver)
    shown = [rooms.writer.activity(each, is_admin=True) for each in told]
    return accepted(document, shown, more={"deliveries": count})
