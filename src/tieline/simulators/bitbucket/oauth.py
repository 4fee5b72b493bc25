"""Access tokens: `POST /site/oauth2/access_token`, and who comes with which."""

import base64
import hashlib
import hmac
import json
import math
import time
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tieline.simulators.bitbucket.faults import Faults
from tieline.simulators.bitbucket.state import Addon, Host, Token

ALL_SCOPES = frozenset({"account", "repository", "pullrequest", "webhook"})
PATH = "/site/oauth2/access_token"


@dataclass
class OAuth:
    """Gives tokens for `expires_in` seconds to consumers and add-ons."""

    host: Host
    faults: Faults
    expires_in: int = 7200

    async def endpoint(self, request: Request) -> Response:
        """Both grants that integrations use."""
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        kind, _, credentials = request.headers.get("authorization", "").partition(" ")
        grant = form.get("grant_type")
        if self.faults.refuse_credentials:
            return _refuse("invalid_client", "Invalid OAuth client credentials")
        if grant == "client_credentials" and kind == "Basic":
            return self._for_consumer(credentials)
        if grant == "urn:bitbucket:oauth2:jwt" and kind == "JWT":
            return self._for_addon(credentials)
        return _refuse("unsupported_grant_type", f"Unsupported grant type: {grant}")

    def find(self, authorization: str) -> Token | None:
        """The living token of a Bearer or Basic (git) header."""
        kind, _, credentials = authorization.partition(" ")
        if kind == "Bearer":
            value = credentials
        elif kind == "Basic":
            user, _, value = _decode_pair(credentials)
            if user != "x-token-auth":
                return None
        else:
            return None
        if self.faults.expire_tokens_now:
            self.faults.expire_tokens_now = False
            self._end_tokens()
        token = self.host.tokens.get(value)
        return token if token is not None and token.until > time.monotonic() else None

    def _end_tokens(self) -> None:
        """Access tokens that people made for themselves have no end."""
        lasting = {value: token for value, token in self.host.tokens.items() if math.isinf(token.until)}
        self.host.tokens.clear()
        self.host.tokens.update(lasting)

    def _for_consumer(self, credentials: str) -> Response:
        key, _, secret = _decode_pair(credentials)
        consumer = self.host.consumers.get(key)
        if consumer is None or not hmac.compare_digest(consumer.secret.encode(), secret.encode()):
            return _refuse("invalid_client", "Invalid OAuth client credentials")
        return self._grant(consumer.scopes, "client_credentials")

    def _for_addon(self, jwt: str) -> Response:
        if not any(_is_valid_jwt(jwt, addon) for addon in self.host.addons.values()):
            return _refuse("invalid_client", "Invalid JWT")
        return self._grant(ALL_SCOPES, "urn:bitbucket:oauth2:jwt")

    def _grant(self, scopes: frozenset[str], state: str) -> Response:
        if self.faults.one_token:
            self._end_tokens()
        token = Token.mint(scopes, time.monotonic() + self.expires_in)
        self.host.tokens[token.value] = token
        return JSONResponse(
            {
                "access_token": token.value,
                "scopes": " ".join(sorted(scopes)),
                "token_type": "bearer",
                "expires_in": self.expires_in,
                "state": state,
                "refresh_token": token.value[:12],
            }
        )


def _refuse(code: str, description: str) -> Response:
    return JSONResponse({"error": code, "error_description": description}, 400)


def _decode_pair(credentials: str) -> tuple[str, str, str]:
    try:
        return base64.b64decode(credentials).decode().partition(":")
    except ValueError:
        return "", "", ""


def _is_valid_jwt(jwt: str, addon: Addon) -> bool:
    """Signature, issuer, subject, time, and the hash of method, path and query."""
    try:
        head, body, signature = jwt.split(".")
        claims = json.loads(_unpad(body))
        given = _unpad(signature)
    except ValueError:
        return False
    expected = hmac.new(addon.shared_secret.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    qsh = hashlib.sha256(f"POST&{PATH}&".encode()).hexdigest()
    return (
        hmac.compare_digest(given, expected)
        and (claims.get("iss"), claims.get("sub")) == (addon.addon_key, addon.client_key)
        and claims.get("qsh") == qsh
        and claims.get("iat", 0) - 60 <= time.time() < claims.get("exp", 0)
    )


def _unpad(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
