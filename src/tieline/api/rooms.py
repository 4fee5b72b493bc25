"""What one application's routes share, and how they document themselves."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Depends
from pydantic import BaseModel
from starlette.requests import Request

from tieline.api.documents import Writer
from tieline.api.flights import Flights
from tieline.api.gate import Gate
from tieline.api.inbox import Inbox
from tieline.api.metrics import Metrics
from tieline.api.outputs import Error
from tieline.api.readers import Readers
from tieline.api.services import Services
from tieline.api.shelf import Shelves
from tieline.core.documents import JSON

ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": Error, "description": HTTPStatus(status).phrase} for status in (400, 401, 403, 404)
}
CONFLICT: Final[dict[int | str, dict[str, Any]]] = {409: {"model": Error, "description": HTTPStatus.CONFLICT.phrase}}
REFERENCE: Final = "#/components/schemas/{model}"


@dataclass(frozen=True)
class Rooms:
    """One application's parts."""

    services: Services
    writer: Writer
    gate: Gate
    shelves: Shelves
    inbox: Inbox
    readers: Readers
    flights: Flights
    metrics: Metrics


def _rooms(request: Request) -> Rooms:
    rooms = request.app.state.rooms
    assert isinstance(rooms, Rooms)  # noqa: S101 - application.py puts it there
    return rooms


InRooms = Annotated[Rooms, Depends(_rooms)]


def body_of(model: type[BaseModel], *, many: bool = False, required: bool = True, form: bool = False) -> JSON:
    """The documentation of a JSON body, or one that may be a form too, as `openapi_extra` takes it."""
    schema: JSON = model.model_json_schema(ref_template=REFERENCE)
    shown = {"type": "array", "items": schema} if many else schema
    types = ["application/json", *(["application/x-www-form-urlencoded"] if form else [])]
    return {"requestBody": {"required": required, "content": {each: {"schema": shown} for each in types}}}
