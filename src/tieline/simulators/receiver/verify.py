"""Whether a signature is right, written from the specifications and from nothing of the sender's. Pure."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Final, Literal

Verdict = Literal["valid", "wrong", "missing"]

JWS_HEADER: Final = "x-jws-signature"


def verify_jws(headers: Mapping[str, str], body: bytes, key: str) -> Verdict:
    """`X-JWS-Signature`: RFC 7515, detached and unencoded after RFC 7797, by HS256 only."""
    if JWS_HEADER not in headers:
        return "missing"
    protected, _, rest = headers[JWS_HEADER].partition(".")
    payload, _, signature = rest.partition(".")
    try:
        announced = json.loads(_decode(protected))
        given = _decode(signature)
    except ValueError:
        return "wrong"
    if payload or announced != {"alg": "HS256", "b64": False, "crit": ["b64"]}:
        return "wrong"
    expected = hmac.digest(key.encode(), protected.encode() + b"." + body, hashlib.sha256)
    return "valid" if hmac.compare_digest(given, expected) else "wrong"


def verify_standard(headers: Mapping[str, str], body: bytes, key: str) -> Verdict:
    """The headers of Standard Webhooks; one right signature among several is enough. Times are not judged."""
    if "webhook-signature" not in headers:
        return "missing"
    content = f"{headers.get('webhook-id', '')}.{headers.get('webhook-timestamp', '')}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.digest(_standard_key(key), content, hashlib.sha256))
    given = headers["webhook-signature"].encode().split()
    return "valid" if any(hmac.compare_digest(each, expected) for each in given) else "wrong"


def _standard_key(key: str) -> bytes:
    """As the libraries of Standard Webhooks read it; a key in no spelling of theirs is its own bytes."""
    if not key.startswith("whsec_"):
        return key.encode()
    return base64.b64decode(key.removeprefix("whsec_"))


def _decode(text: str) -> bytes:
    """Base64 for URLs, without padding. Raises `ValueError`."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
