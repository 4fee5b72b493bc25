"""Access tokens: JSON Web Tokens (HS256) that say which account, from which API token, until when."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import jwt
from jwt.types import Options

from tieline.core.secret import Secret

LIFETIME: Final = 900
_ALGORITHM: Final = "HS256"
_PURPOSE: Final = b"tieline access tokens"
_API_TOKEN: Final = "api_token"  # noqa: S105 - the name of a claim
_REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105 - the name of a claim
# The end is compared with the caller's clock, which is the one that set it.
_RULES: Final[Options] = {"require": ["sub", "jti", "exp", _API_TOKEN], "verify_exp": False}


@dataclass(frozen=True)
class AccessToken:
    """What an access token says. `expires` is seconds since the epoch.

    It ends with the API token that it came from, and with the refresh token if it came from one.
    """

    id: str
    account_id: str
    api_token_id: str
    expires: int
    refresh_token_id: str | None = None


class TokenMint:
    """Issues and reads access tokens. The first key signs; any key verifies, so keys can be changed."""

    def __init__(self, keys: Sequence[Secret]) -> None:
        if not keys:
            raise ValueError("access tokens need a key")
        # The keys also seal secrets; a derived key keeps the two uses apart.
        self._keys = [hmac.digest(key.reveal().encode(), _PURPOSE, hashlib.sha256) for key in keys]

    def issue(self, token: AccessToken) -> Secret:
        """The token as clients send it."""
        claims = {"sub": token.account_id, "jti": token.id, "exp": token.expires, _API_TOKEN: token.api_token_id}
        if token.refresh_token_id is not None:
            claims[_REFRESH_TOKEN] = token.refresh_token_id
        return Secret(jwt.encode(claims, self._keys[0], algorithm=_ALGORITHM))

    def read(self, text: bytes, now: float) -> AccessToken | None:
        """What a token says; None when it is none of ours, was changed, or has expired."""
        for key in self._keys:
            try:
                claims = jwt.decode(text, key, algorithms=[_ALGORITHM], options=_RULES)
            except jwt.InvalidTokenError:
                continue
            token = AccessToken(
                claims["jti"], claims["sub"], claims[_API_TOKEN], claims["exp"], claims.get(_REFRESH_TOKEN)
            )
            return token if token.expires > now else None
        return None
