"""`POST /oauth2/token`: an API token for a short-lived access token, in all the shapes that clients use."""

from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tieline.api.bodies import parse_object, read_bytes
from tieline.api.documented import documented
from tieline.api.inputs import TokenRequest
from tieline.api.outputs import AccessToken as AccessTokenDocument
from tieline.api.outputs import OAuthError
from tieline.api.responses import JSONResponse
from tieline.api.rooms import InRooms, Rooms
from tieline.api.tokens import LIFETIME, AccessToken
from tieline.core.errors import Invalid
from tieline.core.secret import Secret
from tieline.store import accounts

router = APIRouter(tags=["Authentication"])

_GRANT: Final = "api_token"
_MOST_FIELDS: Final = 20
_MOST_BYTES: Final = 64 * 1024
_NO_STORE: Final = {"Cache-Control": "no-store"}


@router.post("/oauth2/token")
@documented(answer=AccessTokenDocument, others={400: OAuthError}, body=TokenRequest, form=True)
async def exchange(request: Request, rooms: InRooms) -> Response:
    """Exchange an API token. The client's own id, in the form or by Basic authentication, is not looked at."""
    try:
        fields = await _read_fields(request)
    except Invalid as error:
        return _refused("invalid_request", next(iter(error.detail.values())))
    if fields.get("grant_type") != _GRANT:
        return _refused("unsupported_grant_type", f"The grant_type must be {_GRANT}.")
    token = fields.get("api_token")
    if not isinstance(token, str) or not token:
        return _refused("invalid_request", "The field api_token is missing.")
    issued = await _issue(rooms, Secret(token.strip()))
    if issued is None:
        return _refused("invalid_grant", "The API token is invalid.")
    document = {"access_token": issued.reveal(), "expires_in": LIFETIME, "token_type": "bearer", "scope": ""}
    return JSONResponse(document, headers=_NO_STORE)


async def _issue(rooms: Rooms, api_token: Secret) -> Secret | None:
    async with rooms.services.db.transaction() as conn:
        found = await accounts.find_bearer(conn, api_token)
        if found is None:
            return None
        await accounts.touch_token(conn, found.token_id)
    expires = int(rooms.services.now().timestamp()) + LIFETIME
    return rooms.gate.mint.issue(AccessToken(found.account.id, found.token_id, expires))


async def _read_fields(request: Request) -> dict[str, object]:
    body = await read_bytes(request, _MOST_BYTES)
    if "json" in request.headers.get("content-type", ""):
        return parse_object(body)
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise Invalid({"body": "The body is neither a form nor JSON."}) from error
    return {name: values[0] for name, values in fields.items()}


def _refused(error: str, description: str) -> Response:
    document = {"error": error, "error_description": description}
    return JSONResponse(document, status_code=HTTPStatus.BAD_REQUEST, headers=_NO_STORE)
