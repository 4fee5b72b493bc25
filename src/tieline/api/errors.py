"""One table from errors to answers, and the boundary that nothing gets past."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tieline.api.metrics import Metrics, route_path
from tieline.api.responses import JSONResponse
from tieline.core import errors
from tieline.core.documents import JSON
from tieline.core.ids import new_id
from tieline.store.database import DISK_FULL, TROUBLE
from tieline.store.figures import NO_ROOM

log = structlog.get_logger()

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
RETRY_SECONDS: Final = 5
_INVALID: Final = "Invalid input"
_STATUS: Final[tuple[tuple[type[errors.TielineError], HTTPStatus], ...]] = (
    (errors.Invalid, HTTPStatus.BAD_REQUEST),
    (errors.Unauthenticated, HTTPStatus.UNAUTHORIZED),
    (errors.Forbidden, HTTPStatus.FORBIDDEN),
    (errors.NotFound, HTTPStatus.NOT_FOUND),
    (errors.Conflict, HTTPStatus.CONFLICT),
    (errors.TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (errors.Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.RemoteError, HTTPStatus.BAD_GATEWAY),
)


@dataclass(frozen=True)
class Problem:
    """An error as it is answered."""

    status: HTTPStatus
    message: str
    detail: Mapping[str, str] | str = field(default_factory=dict)
    more: JSON = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> JSON:
        """The body that all of the vendor's clients can read something from."""
        phrase = self.status.phrase
        return {
            "status": _INVALID if self.status == HTTPStatus.BAD_REQUEST else phrase,
            "code": int(self.status),
            "title": phrase,
            "message": self.message,
            "detail": self.detail,
            **self.more,
        }

    def answer(self) -> JSONResponse:
        """The whole answer."""
        return JSONResponse(self.document(), status_code=self.status, headers=dict(self.headers))


def problem(error: errors.TielineError) -> Problem:
    """The answer to an error that was raised on purpose."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    message = str(error)
    if isinstance(error, errors.Invalid):
        # The vendor's command line takes a 400 with an empty detail for success.
        return Problem(status, message, error.detail or {"": message})
    if isinstance(error, errors.Unauthenticated):
        return unauthenticated(message)
    if isinstance(error, errors.Forbidden):
        return Problem(status, message, message)
    if isinstance(error, errors.Unavailable):
        return Problem(status, message, headers={"Retry-After": str(RETRY_SECONDS)})
    return Problem(status, message)


def unauthenticated(message: str) -> Problem:
    """401 in the one form that makes clients fetch a new access token and try again."""
    more = {"error": "invalid_token", "error_description": message}
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    return Problem(HTTPStatus.UNAUTHORIZED, message, {}, more, headers)


def install(app: FastAPI, metrics: Metrics) -> None:
    """Have every error of `app` answered from this table."""
    app.add_exception_handler(errors.TielineError, _on_ours)
    for trouble in TROUBLE:
        app.add_exception_handler(trouble, _on_database_trouble)
    app.add_exception_handler(DISK_FULL, _on_full_disk)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_middleware(Boundary, metrics=metrics)


async def _on_ours(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.TielineError)  # noqa: S101 - registered for these only
    return problem(error).answer()


async def _on_database_trouble(_request: Request, error: Exception) -> JSONResponse:
    log.warning("database_trouble", error=type(error).__name__)
    return problem(errors.Unavailable("The database does not answer; please try again.")).answer()


async def _on_full_disk(_request: Request, _error: Exception) -> JSONResponse:
    log.warning("database_disk_full")
    return problem(errors.Unavailable(f"{NO_ROOM} Nothing was changed; please try again when there is.")).answer()


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for these only
    status = HTTPStatus(error.status_code)
    if status == HTTPStatus.NOT_FOUND:
        return Problem(status, "There is no such path here.").answer()
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = allowed_methods(request)
        message = f"This path takes {', '.join(allowed)}, not {request.method}."
        return Problem(status, message, headers={"Allow": ", ".join(allowed)}).answer()
    return Problem(status, str(error.detail), headers=error.headers or {}).answer()


def allowed_methods(request: Request) -> list[str]:
    """What the path takes, over all routes that share it."""
    routes = request.app.router.routes

    def takes(method: str) -> bool:
        scope = {**request.scope, "method": "GET" if method == "HEAD" else method}
        return any(route.matches(scope)[0] is Match.FULL for route in routes)

    return [method for method in METHODS if takes(method)]


async def _on_validation(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for these only
    detail = {".".join(str(part) for part in each["loc"][1:]): f"{each['msg']}." for each in error.errors()}
    return problem(errors.Invalid(detail)).answer()


class Boundary:
    """Counts requests, and answers what nobody expected with a reference that is found in the log, and no more."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 - the request boundary
            reference = _report(scope, error)
            if status == 0:
                status = int(HTTPStatus.INTERNAL_SERVER_ERROR)
                await _unexpected(reference).answer()(scope, receive, send)
        self._metrics.count_request(scope, status)


def _report(scope: Scope, error: Exception) -> str:
    """Log what happened, and where: no values of variables, which may be secrets, and little of the message."""
    reference = new_id()
    log.error(
        "request_failed",
        reference=reference,
        method=scope["method"],
        route=route_path(scope),
        error=type(error).__name__,
        message=str(error).partition("\n")[0][:300],
        trace="".join(traceback.format_tb(error.__traceback__, limit=-8)),
    )
    return reference


def _unexpected(reference: str) -> Problem:
    message = f"Something went wrong inside Tieline. Its log says more at reference {reference}."
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, message, more={"reference": reference})
