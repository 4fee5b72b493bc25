"""`/oauth2/...`: an API token for a short-lived access token, in all the shapes that clients use."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tieline.api.bodies import parse_object, read_bytes
from tieline.api.description.documented import documented
from tieline.api.inputs import RevocationRequest, TokenRequest
from tieline.api.outputs import AccessToken as AccessTokenDocument
from tieline.api.outputs import Nothing, OAuthError
from tieline.api.responses import JSONResponse
from tieline.api.rooms import InRooms, Rooms
from tieline.api.tokens import LIFETIME, AccessToken
from tieline.core.documents import JSON
from tieline.core.errors import Invalid, TielineError
from tieline.core.ids import new_id
from tieline.core.secret import Secret
from tieline.store import accounts, oauth_tokens
from tieline.store.accounts import Bearer
from tieline.store.database import Connection
from tieline.store.oauth_tokens import RefreshToken

router = APIRouter(tags=["Authentication"])

OFFLINE: Final = "offline_access"
REFRESH_LIFETIME: Final = timedelta(days=30)
_SECRET_BYTES: Final = 32
_MOST_FIELDS: Final = 20
_MOST_BYTES: Final = 64 * 1024
_NO_STORE: Final = {"Cache-Control": "no-store"}
Fields = Mapping[str, object]


class Refused(TielineError):
    """A request that RFC 6749 has a code for."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@router.post("/oauth2/token")
@documented(
    answer=AccessTokenDocument,
    others={400: OAuthError},
    body=TokenRequest,
    form=True,
    basis="observed",
    note="In the shapes that the clients send.",
)
async def exchange(request: Request, rooms: InRooms) -> Response:
    """Exchange an API token or a refresh token for an access token.

    The client's own id, in the form or by Basic authentication, is not looked at. A refresh token is given along with
    the scope `offline_access` only: an API token can be exchanged again as well.
    """
    try:
        document = await _grant(rooms, await _read_fields(request))
    except Refused as refused:
        return _refusal(refused)
    return JSONResponse(document, headers=_NO_STORE)


@router.post("/oauth2/revoke")
@documented(
    answer=Nothing,
    others={400: OAuthError},
    body=RevocationRequest,
    form=True,
    basis="observed",
    note="RFC 7009, which the command line follows when it logs out.",
)
async def revoke(request: Request, rooms: InRooms) -> Response:
    """End an access token, or a refresh token with every access token that came from it.

    Unknown tokens are answered alike. API tokens are revoked at `/users/me/api-tokens`.
    """
    try:
        token = _text(await _read_fields(request), "token")
    except Refused as refused:
        return _refusal(refused)
    ended = await _end(rooms, token)
    if ended is not None:
        rooms.gate.forget_token(ended)
    return JSONResponse({}, headers=_NO_STORE)


async def _grant(rooms: Rooms, fields: Fields) -> JSON:
    if fields.get("grant_type") == "api_token":
        return await _exchange_api_token(rooms, fields)
    if fields.get("grant_type") == "refresh_token":
        return await _exchange_refresh_token(rooms, fields)
    raise Refused("unsupported_grant_type", "The grant_type must be api_token or refresh_token.")


async def _exchange_api_token(rooms: Rooms, fields: Fields) -> JSON:
    value = Secret(_text(fields, "api_token"))
    async with rooms.services.db.transaction() as conn:
        found = await accounts.find_bearer(conn, value)
        if found is None:
            raise Refused("invalid_grant", "The API token is invalid.")
        await accounts.touch_token(conn, found.token_id)
        if OFFLINE not in str(fields.get("scope", "")).split():
            return _access(rooms, found)
        refresh, secret = await _create_refresh_token(conn, rooms, found)
    return {**_access(rooms, found, refresh.id), "scope": OFFLINE, "refresh_token": secret.reveal()}


async def _create_refresh_token(conn: Connection, rooms: Rooms, found: Bearer) -> tuple[RefreshToken, Secret]:
    ends = rooms.services.now() + REFRESH_LIFETIME
    token = RefreshToken(new_id(), found.token_id, found.account.id, min(ends, found.expires_at or ends))
    value = Secret(secrets.token_urlsafe(_SECRET_BYTES))
    await oauth_tokens.create_refresh(conn, token, value)
    return token, value


async def _exchange_refresh_token(rooms: Rooms, fields: Fields) -> JSON:
    """The refresh token stays the same: two programs that share it must not shut each other out."""
    value = Secret(_text(fields, "refresh_token"))
    async with rooms.services.db.transaction() as conn:
        token = await oauth_tokens.find_refresh(conn, value)
        if token is None:
            raise _invalid_refresh_token()
        found = await accounts.find_bearer_of(conn, token.api_token_id, token.account_id)
        if found is None:
            raise _invalid_refresh_token()
        await accounts.touch_token(conn, found.token_id)
    return {**_access(rooms, found, token.id), "scope": OFFLINE, "refresh_token": value.reveal()}


def _invalid_refresh_token() -> Refused:
    # The vendor's command line knows this sentence, and asks for a new login.
    return Refused("invalid_grant", "Invalid refresh token")


def _access(rooms: Rooms, found: Bearer, refresh_id: str | None = None) -> JSON:
    """An access token as it is answered; it ends with the API token at the latest."""
    begins = int(rooms.services.now().timestamp())
    ends = begins + LIFETIME
    if found.expires_at is not None:
        ends = min(ends, int(found.expires_at.timestamp()))
    issued = rooms.gate.mint.issue(AccessToken(new_id(), found.account.id, found.token_id, ends, refresh_id))
    return {"access_token": issued.reveal(), "expires_in": ends - begins, "token_type": "bearer", "scope": ""}


async def _end(rooms: Rooms, token: str) -> str | None:
    """End whatever token this is; returns its id if it was one."""
    access = rooms.gate.mint.read(token.encode("utf-8", "surrogateescape"), rooms.services.now().timestamp())
    async with rooms.services.db.transaction() as conn:
        if access is None:
            return await oauth_tokens.revoke_refresh(conn, Secret(token))
        await oauth_tokens.revoke_access(conn, access.id, datetime.fromtimestamp(access.expires, UTC))
        return access.id


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Refused("invalid_request", f"The field {name} is missing.")
    return value.strip()


async def _read_fields(request: Request) -> Fields:
    body = await read_bytes(request, _MOST_BYTES)
    try:
        if "json" in request.headers.get("content-type", ""):
            return parse_object(body)
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except Invalid as error:
        raise Refused("invalid_request", next(iter(error.detail.values()))) from error
    except ValueError as error:
        raise Refused("invalid_request", "The body is neither a form nor JSON.") from error
    return {name: values[0] for name, values in fields.items()}


def _refusal(refused: Refused) -> Response:
    document = {"error": refused.code, "error_description": str(refused)}
    return JSONResponse(document, status_code=HTTPStatus.BAD_REQUEST, headers=_NO_STORE)
