"""Access tokens: JSON Web Tokens (HS256) that say which account, from which API token, until when."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from tieline.core.secret import Secret

LIFETIME: Final = 900
_HEADER: Final = b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"  # {"alg":"HS256","typ":"JWT"}; no other one is accepted
_PURPOSE: Final = b"tieline access tokens"


@dataclass(frozen=True)
class AccessToken:
    """What an access token says. `expires` is seconds since the epoch."""

    account_id: str
    token_id: str
    expires: int


class TokenMint:
    """Issues and reads access tokens. The first key signs; any key verifies, so keys can be changed."""

    def __init__(self, keys: Sequence[Secret]) -> None:
        if not keys:
            raise ValueError("access tokens need a key")
        # The keys also seal secrets; a derived key keeps the two uses apart.
        self._keys = [hmac.digest(key.reveal().encode(), _PURPOSE, hashlib.sha256) for key in keys]

    def issue(self, token: AccessToken) -> Secret:
        """The token as clients send it."""
        claims = {"sub": token.account_id, "jti": token.token_id, "exp": token.expires}
        signed = _HEADER + b"." + _encode(orjson.dumps(claims))
        signature = hmac.digest(self._keys[0], signed, hashlib.sha256)
        return Secret((signed + b"." + _encode(signature)).decode())

    def read(self, text: bytes, now: float) -> AccessToken | None:
        """What a token says; None when it is none of ours, was changed, or has expired."""
        signed, _, signature = text.rpartition(b".")
        header, _, claims = signed.partition(b".")
        if header != _HEADER or not self._is_signed(signed, signature):
            return None
        stated = orjson.loads(_decode(claims))
        token = AccessToken(stated["sub"], stated["jti"], stated["exp"])
        return token if token.expires > now else None

    def _is_signed(self, signed: bytes, signature: bytes) -> bool:
        try:
            given = _decode(signature)
        except (binascii.Error, ValueError):
            return False
        return any(hmac.compare_digest(hmac.digest(key, signed, hashlib.sha256), given) for key in self._keys)


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    return base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
