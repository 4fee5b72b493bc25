"""Puts the surface together."""

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import tieline
from tieline.api import (
    activities,
    deployments,
    elsewhere,
    environment_list,
    environment_types,
    environments,
    errors,
    git,
    integrations,
    operations,
    projects,
    state,
    variables,
)
from tieline.api.accounts import directory, oauth, organizations, users
from tieline.api.deliveries import history, receivers
from tieline.api.description import routes as description
from tieline.api.documents import Writer
from tieline.api.flights import Flights
from tieline.api.gate import Gate
from tieline.api.head import Heads
from tieline.api.hooks import HookDoor
from tieline.api.inbox import Inbox
from tieline.api.listings import Listings
from tieline.api.metrics import Metrics
from tieline.api.readers import Readers
from tieline.api.reads import IntegrationReads
from tieline.api.rooms import Rooms
from tieline.api.services import Services
from tieline.api.shelf import Shelves
from tieline.api.turns import Turns

PREFIXES = ("", "/api")
# Git takes a whole processor for each difference, for as long as it may.
COMPARING = 2
_SUMMARY = "Self-hosted project integrations that speak the Upsun API."


def create_app(services: Services) -> FastAPI:
    """The application. It expects the database open and the listener started, or about to be."""
    writer = Writer(services.public_url, services.registry)
    rooms = Rooms(
        services=services,
        writer=writer,
        gate=Gate(services),
        shelves=Shelves(services, writer),
        listings=Listings(writer),
        inbox=Inbox(services.db),
        readers=Readers(),
        turns=Turns(),
        comparing=Turns(COMPARING),
        lists=Turns(),
        flights=Flights(),
        metrics=Metrics(),
    )
    app = bare_app()
    app.state.rooms = rooms
    app.router.routes[:0] = plain_routes(rooms)
    if services.development is not None:
        app.include_router(state.development_router)
    errors.install(app, rooms.metrics)
    app.add_middleware(Heads)
    return app


def bare_app() -> FastAPI:
    """The application's routes without anything to work with, which is enough to describe them."""
    # A slash too many is a wrong path, not a reason to redirect: clients lose their token on the way.
    app = FastAPI(
        title="Tieline", summary=_SUMMARY, version=tieline.__version__, openapi_url=None, redirect_slashes=False
    )
    _include(app)
    return app


class PlainRoute(Route):
    """A route without anything around it, that still says which one it is: the figures are counted by route."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self
        await super().handle(scope, receive, send)


def plain_routes(rooms: Rooms) -> list[PlainRoute]:
    """The paths that must be fast, without anything around them. They are documented in `openapi`."""
    reads = IntegrationReads(rooms.gate, rooms.shelves)
    door = HookDoor(rooms.shelves, rooms.inbox, rooms.metrics)
    listed = "/projects/{project_id}/integrations"
    one = listed + "/{integration_id}"
    served = ((listed, reads, "GET"), (one, reads, "GET"), (one + "/hook", door, "POST"))
    return [
        PlainRoute("/healthz", endpoint=operations.Alive(), methods=["GET"]),
        *(
            PlainRoute(prefix + path, endpoint=endpoint, methods=[method])
            for prefix in PREFIXES
            for path, endpoint, method in served
        ),
    ]


def _include(app: FastAPI) -> None:
    """Clients come with and without `/api`; one of the two is documented."""
    rooms = (
        projects,
        integrations,
        environments,
        environment_list,
        elsewhere,
        deployments,
        environment_types,
        activities,
        git,
        users,
        directory,
        organizations,
        variables,
        history,
        receivers,
    )
    for prefix in PREFIXES:
        for room in rooms:
            app.include_router(room.router, prefix=prefix, include_in_schema=not prefix)
    for router in (oauth.router, operations.router, state.router, description.router):
        app.include_router(router)
