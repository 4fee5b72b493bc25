"""How a message is signed, so that its receiver knows who sent it and that nobody changed it. Pure.

Two schemes side by side: the vendor's `X-JWS-Signature` (RFC 7515, unencoded and detached after RFC 7797), and the
headers of Standard Webhooks 1.0.0, which add an id, a time, and more than one key while a key is replaced.
"""

import hmac
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from tieline.core.deliveries import Message
from tieline.core.documents import Integration
from tieline.core.secret import Secret

PROTECTED_HEADER: Final = b'{"alg":"HS256","b64":false,"crit":["b64"]}'
STANDARD_PREFIX: Final = "whsec_"
# RFC 7518 section 3.2 asks for keys as long as the hash, and some libraries insist.
LEAST_KEY: Final = 32

_BETTER: Final = 'Please use another one, for example from: echo "whsec_$(openssl rand -base64 32)"'
_PROTECTED: Final = urlsafe_b64encode(PROTECTED_HEADER).rstrip(b"=")
_JWS_INPUT: Final = _PROTECTED + b"."
_JWS_START: Final = _PROTECTED.decode() + ".."


class SigningKey:
    """A key made ready. To be kept: with OpenSSL 3 that costs more than the signature of a message."""

    def __init__(self, secret: Secret) -> None:
        self.secret = secret
        written = secret.reveal()
        self._jws = hmac.new(written.encode(), _JWS_INPUT, "sha256")
        self._standard = hmac.new(_standard_key(written), digestmod="sha256")

    @classmethod
    def all_of(cls, secrets: Iterable[Secret]) -> "list[SigningKey]":
        """Each of them, in the same order."""
        return [cls(secret) for secret in secrets]

    def jws(self, body: bytes) -> bytes:
        """HMAC-SHA256 as `X-JWS-Signature` wants it, with the UTF-8 bytes of the key."""
        return _digest(self._jws, body)

    def standard(self, begin: bytes, body: bytes) -> bytes:
        """HMAC-SHA256 as Standard Webhooks want it, over a body with `begin` before it."""
        return _digest(self._standard, begin, body)


def _digest(prepared: hmac.HMAC, *parts: bytes) -> bytes:
    mac = prepared.copy()
    for part in parts:
        mac.update(part)
    return mac.digest()


def signed_headers(message: Message, moment: datetime, keys: Sequence[SigningKey]) -> dict[str, str]:
    """What goes out with a message at `moment`, the time of the attempt. `keys` has the newest first.

    The vendor's header has room for one signature only: it is the newest key's.
    """
    headers = {"Content-Type": "application/json"}
    if keys:
        headers["X-JWS-Signature"] = jws_signature(message.body, keys[0])
    return headers | webhook_headers(message.id, moment, message.body, keys)


def jws_signature(body: bytes, key: SigningKey) -> str:
    """The value of `X-JWS-Signature`: HS256 over the raw body."""
    return _JWS_START + urlsafe_b64encode(key.jws(body)).rstrip(b"=").decode()


def webhook_headers(message_id: str, moment: datetime, body: bytes, keys: Sequence[SigningKey]) -> dict[str, str]:
    """The headers of Standard Webhooks. Without a key there is nothing to sign with: id and time alone."""
    timestamp = str(int(moment.timestamp()))
    headers = {"webhook-id": message_id, "webhook-timestamp": timestamp}
    if keys:
        begin = f"{message_id}.{timestamp}.".encode()
        headers["webhook-signature"] = " ".join(_standard_signature(begin, body, key) for key in keys)
    return headers


def weak_key(key: Secret) -> str | None:
    """What to tell whoever chose a key that some receivers cannot verify with; it never quotes the key."""
    written = key.reveal()
    length = len(written.encode())
    if length < LEAST_KEY:
        short = f"The key is shorter than {LEAST_KEY} bytes (it has {length})"
        return f"{short}, and some libraries refuse to verify with such a key. {_BETTER}"
    if written.startswith(STANDARD_PREFIX) and _decoded(written) is None:
        return f"The key begins with {STANDARD_PREFIX}, but what follows is not base64. {_BETTER}"
    return None


def warn_of_weak_key(integration: Integration) -> dict[str, str]:
    """The warning about the `shared_key` of an integration, by field; empty where there is none or it will do."""
    key = integration.secrets.get("shared_key")
    sentence = weak_key(key) if key is not None else None
    return {} if sentence is None else {"shared_key": sentence}


def _standard_signature(begin: bytes, body: bytes, key: SigningKey) -> str:
    return "v1," + b64encode(key.standard(begin, body)).decode()


def _standard_key(written: str) -> bytes:
    """The bytes that the libraries of Standard Webhooks make of a key in their spelling; else those of its text.

    What only looks like that spelling is text too: its libraries refuse it, so nobody can use it as such.
    """
    decoded = _decoded(written) if written.startswith(STANDARD_PREFIX) else None
    return written.encode() if decoded is None else decoded


def _decoded(written: str) -> bytes | None:
    """What the base64 after the prefix stands for; None when it is none."""
    encoded = written.removeprefix(STANDARD_PREFIX)
    try:
        return b64decode(encoded + "=" * (-len(encoded) % 4), validate=True) or None
    except ValueError:
        return None
