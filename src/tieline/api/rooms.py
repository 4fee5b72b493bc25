"""What one application's routes share."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from tieline.api.documents import Writer
from tieline.api.flights import Flights
from tieline.api.gate import Gate
from tieline.api.inbox import Inbox
from tieline.api.listings import Listings
from tieline.api.metrics import Metrics
from tieline.api.readers import Readers
from tieline.api.services import Services
from tieline.api.shelf import Shelves
from tieline.api.turns import Turns


@dataclass(frozen=True)
class Rooms:
    """One application's parts."""

    services: Services
    writer: Writer
    gate: Gate
    shelves: Shelves
    listings: Listings
    inbox: Inbox
    readers: Readers
    turns: Turns
    """Of each account with answers out of repositories, until they are sent."""

    comparing: Turns
    """Of everybody together with what git takes a processor for."""

    lists: Turns
    """Of each account with lists of what may be thousands, while they are read."""

    flights: Flights
    metrics: Metrics


def _rooms(request: Request) -> Rooms:
    rooms = request.app.state.rooms
    assert isinstance(rooms, Rooms)  # noqa: S101 - application.py puts it there
    return rooms


InRooms = Annotated[Rooms, Depends(_rooms)]
