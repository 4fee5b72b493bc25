"""Access tokens for Bitbucket Cloud: from an OAuth2 consumer, or from the installation of a Connect add-on."""

import asyncio
import base64
import hashlib
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import jwt

from tieline.core.clock import now
from tieline.core.documents import Integration
from tieline.core.errors import CredentialsRefused, RateLimited, RemoteBroken, RemoteRejected
from tieline.core.http import HTTPClient, Request, Response
from tieline.core.secret import Secret

RENEW_AT: Final = 0.8
_JWT_SECONDS: Final = 180
_PAUSE_SECONDS: Final = 30
_TOKEN_SECONDS: Final = 3600.0
_SERVER_ERROR: Final = 500
_ADVICE: Final = {
    "app_credentials": "Check key and secret of the OAuth consumer, and that it is private and has a callback URL.",
    "addon_credentials": "Check the add-on's keys and shared secret, and that it is still installed.",
}


@dataclass(frozen=True)
class _Held:
    token: Secret
    until: float


class Authenticator:
    """Access tokens of one integration, shared with every other that uses the same credentials.

    `cache` lives as long as the process; its keys are hashes of credentials. Tokens are used until 80 % of the
    time that Bitbucket gave them, and asked for once however many want one.
    """

    def __init__(self, integration: Integration, http: HTTPClient, endpoint: str, cache: dict[str, Any]) -> None:
        self._http = http
        self._endpoint = endpoint
        self._cache = cache
        self._request = _consumer(integration, endpoint) or _addon(integration, endpoint)
        self.field = field_of(integration)
        self.identity = _identity(integration, endpoint)

    @property
    def is_anonymous(self) -> bool:
        """Whether the integration has no credentials at all: public repositories can be read like that."""
        return self._request is None

    async def token(self, *, refused: Secret | None = None) -> Secret | None:
        """A token to use now, not the one that was `refused`. Raises `CredentialsRefused`."""
        if self._request is None:
            return None
        key = f"bitbucket token {self.identity}"
        async with self._cache.setdefault(f"{key} lock", asyncio.Lock()):
            held: _Held | None = self._cache.get(key)
            if held is None or held.until <= time.monotonic() or held.token == refused:
                held = await self._fetch(self._request)
                self._cache[key] = held
            return held.token

    async def _fetch(self, make: Callable[[], Request]) -> _Held:
        response = await self._http.send(replace(make(), owner=self.identity))
        _check(response, _ADVICE[self.field])
        return _parse_token(response)


def _parse_token(response: Response) -> _Held:
    try:
        document = response.json()
    except RemoteBroken as error:
        raise RemoteBroken(f"Bitbucket's token endpoint gave no access token: {error}") from error
    token = document.get("access_token") if isinstance(document, dict) else None
    if not isinstance(token, str) or not token:
        raise RemoteBroken("Bitbucket's token endpoint gave no access token.")
    return _Held(Secret(token), time.monotonic() + _lifetime(document.get("expires_in")) * RENEW_AT)


def _lifetime(told: object) -> float:
    """Seconds, at least one; an hour where nothing is told."""
    try:
        return max(float(told), 1.0) if isinstance(told, int | float | str) else _TOKEN_SECONDS
    except ValueError:
        return _TOKEN_SECONDS


def field_of(integration: Integration) -> str:
    """The field whose credentials are used: the consumer's go first."""
    is_addon = integration.config.get("addon_credentials") and not integration.config.get("app_credentials")
    return "addon_credentials" if is_addon else "app_credentials"


def _check(response: Response, advice: str) -> None:
    if response.status >= _SERVER_ERROR:
        raise RemoteBroken(f"Bitbucket's token endpoint answered {response.status}.")
    if response.status in (400, 401, 403):
        raise CredentialsRefused(f"Bitbucket refused the credentials. {advice}", 401)
    if response.status == 429:  # noqa: PLR2004
        raise RateLimited("Bitbucket gives no more access tokens just now.", now() + timedelta(seconds=_PAUSE_SECONDS))
    if response.status != 200:  # noqa: PLR2004
        raise RemoteRejected(f"Bitbucket's token endpoint answered {response.status}.", response.status)


def _identity(integration: Integration, endpoint: str) -> str:
    """A hash of the credentials: it names their budget and their token, and tells nothing of them."""
    parts = [endpoint, *(f"{name}={secret.reveal()}" for name, secret in sorted(integration.secrets.items()))]
    parts += [str(integration.config.get(name)) for name in ("app_credentials", "addon_credentials")]
    relevant = [part for part in parts if not part.startswith("hook=")]
    return hashlib.sha256("\0".join(relevant).encode()).hexdigest()[:32]


def _form(endpoint: str, authorization: str, grant: str) -> Request:
    return Request(
        "POST",
        endpoint,
        {"authorization": authorization, "content-type": "application/x-www-form-urlencoded"},
        urlencode({"grant_type": grant}).encode(),
    )


def _consumer(integration: Integration, endpoint: str) -> Callable[[], Request] | None:
    credentials = integration.config.get("app_credentials")
    secret = integration.secrets.get("app_credentials.secret")
    if not credentials or secret is None:
        return None
    pair = base64.b64encode(f"{credentials['key']}:{secret.reveal()}".encode()).decode()
    return lambda: _form(endpoint, f"Basic {pair}", "client_credentials")


def _addon(integration: Integration, endpoint: str) -> Callable[[], Request] | None:
    credentials = integration.config.get("addon_credentials")
    secret = integration.secrets.get("addon_credentials.shared_secret")
    if not credentials or secret is None:
        return None

    def make() -> Request:
        claims = {
            "iss": credentials["addon_key"],
            "sub": credentials["client_key"],
            "iat": int(time.time()),
            "exp": int(time.time()) + _JWT_SECONDS,
            "qsh": query_string_hash("POST", endpoint),
        }
        return _form(endpoint, f"JWT {encode_jwt(claims, secret)}", "urn:bitbucket:oauth2:jwt")

    return make


def encode_jwt(claims: dict[str, object], secret: Secret) -> str:
    """A JSON Web Token signed with HS256, as Connect asks for it. Raises `CredentialsRefused`."""
    try:
        # How long the secret is was decided at Bitbucket.
        with warnings.catch_warnings(action="ignore", category=jwt.InsecureKeyLengthWarning):
            return jwt.encode(claims, secret.reveal(), algorithm="HS256")
    except jwt.InvalidKeyError as error:
        raise CredentialsRefused(
            f"The shared secret is a key of another kind. {_ADVICE['addon_credentials']}"
        ) from error


def query_string_hash(method: str, url: str) -> str:
    """Connect's `qsh`: it ties a token to the method, path and query of one request."""
    parts = urlsplit(url)
    query = parse_qs(parts.query, keep_blank_values=True)
    pairs = sorted(f"{_encode(name)}={','.join(sorted(map(_encode, values)))}" for name, values in query.items())
    return hashlib.sha256(f"{method}&{parts.path or '/'}&{'&'.join(pairs)}".encode()).hexdigest()


def _encode(text: str) -> str:
    return quote(text, safe="~")
