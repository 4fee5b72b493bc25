"""What the operator's machines ask: alive, ready, figures."""

import asyncio
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any, Final, TypeVar

import structlog
from fastapi import APIRouter
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tieline.api.description.documented import documented
from tieline.api.metrics import CONTENT_TYPE
from tieline.api.outputs import Health
from tieline.api.plain import answer
from tieline.api.responses import JSONResponse
from tieline.api.rooms import InRooms, Rooms
from tieline.api.services import Check
from tieline.core.errors import TielineError, Unavailable
from tieline.store import figures, migrate
from tieline.store.database import TROUBLE

log = structlog.get_logger()
router = APIRouter(tags=["Operations"])
T = TypeVar("T")

PATIENCE: Final = 2


class Alive:
    """The ASGI application behind `GET /healthz`: constant bytes, so a busy process is not taken for a dead one."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, b'{"status":"ok"}')


@router.get("/readyz")
@documented(answer=Health, others={503: Health}, basis="added", note="For whoever watches the server.")
async def readyz(rooms: InRooms) -> Response:
    """Whether the server can do its work: database, migrations, workers, git."""
    said, is_ready = await rooms.flights.share("readiness", lambda: _ask_all(rooms))
    document = {"status": "ok" if is_ready else "not ready", "checks": said}
    return JSONResponse(document, status_code=HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE)


async def _ask_all(rooms: Rooms) -> tuple[dict[str, str], bool]:
    """What each check says, and whether all is well."""
    own: dict[str, Check] = {
        "database": lambda: _check_database(rooms),
        "workers": lambda: _check_workers(rooms),
    }
    checks = {**own, **rooms.services.checks}
    answers = await asyncio.gather(*(_ask(check) for check in checks.values()))
    asked = dict(zip(checks, answers, strict=True))
    return {name: sentence for name, (_, sentence) in asked.items()}, all(well for well, _ in asked.values())


async def _ask(check: Check) -> tuple[bool, str]:
    """Whether all is well, and what the check says."""
    try:
        return True, await _soon(check())
    except TielineError as error:
        return False, str(error)
    except TROUBLE as error:
        log.warning("readiness_check_failed", error=type(error).__name__)
        return False, "The database does not answer."


async def _soon(asked: Awaitable[T]) -> T:
    """What comes within `PATIENCE` seconds. Raises `Unavailable` when nothing does.

    What was asked is left to itself then: a statement that hangs cannot be called back either.
    """
    task = asyncio.ensure_future(asked)
    done, _ = await asyncio.wait({task}, timeout=PATIENCE)
    if not done:
        task.cancel()
        raise Unavailable(f"There was no answer within {PATIENCE} seconds.")
    return task.result()


async def _check_database(rooms: Rooms) -> str:
    async with rooms.services.db.connection() as conn:
        if not await migrate.is_current(conn):
            raise Unavailable("The database is at another version; run `tieline migrate`.")
    async with rooms.services.db.transaction() as conn:
        await figures.check_room(conn)
    return "at this version"


async def _check_workers(rooms: Rooms) -> str:
    async with rooms.services.db.connection() as conn:
        alive = await figures.live_workers(conn)
    if not alive:
        raise Unavailable("No worker has said lately that it is alive.")
    return f"{alive} alive"


_FIGURES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "One figure a line.",
        "content": {
            "text/plain": {
                "schema": {"type": "string"},
                "example": 'tieline_http_requests_total{route="/readyz"} 1.0\n',
            }
        },
    }
}


@router.get("/metrics", response_class=Response, responses=_FIGURES)
@documented(basis="added", note="For whoever watches the server.")
async def metrics(rooms: InRooms) -> Response:
    """Figures in Prometheus' text format; those of the database are left out while it does not answer."""
    try:
        counts = await rooms.flights.share("figures", lambda: _soon(_load_counts(rooms)))
    except (TielineError, *TROUBLE) as error:
        log.warning("figures_missing", error=type(error).__name__)
        counts = None
    body = rooms.metrics.render(rooms.services.db.statistics(), counts)
    return Response(body, headers={"Content-Type": CONTENT_TYPE})


async def _load_counts(rooms: Rooms) -> list[figures.Figure]:
    async with rooms.services.db.connection() as conn:
        return await figures.load_counts(conn)
