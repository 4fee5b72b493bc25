"""Signed messages as receivers get them, whole and with one byte changed, and what there is to say of each."""

import string
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

_BASE64: Final = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
_BASE64URL: Final = _BASE64.replace("+/", "-_")


@dataclass(frozen=True)
class Received:
    """What came, and the key and time that it is verified with. `webhook` and `jws` say which signature is right."""

    headers: Mapping[str, str]
    body: bytes
    key: str
    now: int
    webhook: bool
    jws: bool

    def written(self) -> dict[str, Any]:
        """For a program of another language."""
        body = b64encode(self.body).decode()
        return {"headers": dict(self.headers), "body": body, "key": self.key, "now": self.now}


def of_vector(vector: Mapping[str, Any], body: bytes) -> Iterator[Received]:
    """What is received by those who have one of a vector's keys, and by one who has another."""
    headers = {name.lower(): value for name, value in vector["headers"].items()}
    now = int(headers["webhook-timestamp"])
    for place, key in enumerate(vector["keys"]):
        yield Received(headers, body, key, now, webhook=True, jws=place == 0)
    yield Received(headers, body, "another key that nothing here was signed with", now, webhook=False, jws=False)


def late(received: Received) -> Iterator[Received]:
    """It again, at the edges of what is fresh; only Standard Webhooks has a time."""
    for seconds in (-301, -300, 300, 301):
        yield replace(received, now=received.now + seconds, webhook=abs(seconds) <= 300)


def tampered(received: Received) -> Iterator[Received]:
    """It, with each byte that counts changed by itself."""
    for place, byte in enumerate(received.body):
        yield with_byte(received, place, byte ^ 1)
    jws = received.headers["x-jws-signature"]
    for place, character in enumerate(jws):
        yield _with_header(received, "x-jws-signature", jws, place, _other(_BASE64URL, character))
    signature = received.headers["webhook-signature"]
    for place, character in enumerate(signature):
        yield _with_header(received, "webhook-signature", signature, place, _other(_BASE64, character))
    for name in ("webhook-id", "webhook-timestamp"):
        value = received.headers[name]
        for place, character in enumerate(value):
            yield _with_header(received, name, value, place, chr(ord(character) ^ 1))


def with_byte(received: Received, place: int, byte: int) -> Received:
    """It, with another byte in its body."""
    body = received.body[:place] + bytes([byte]) + received.body[place + 1 :]
    return replace(received, body=body, webhook=False, jws=False)


def _with_header(received: Received, name: str, value: str, place: int, character: str) -> Received:
    headers = {**received.headers, name: value[:place] + character + value[place + 1 :]}
    is_jws = name == "x-jws-signature"
    return replace(received, headers=headers, webhook=is_jws, jws=not is_jws)


def _other(alphabet: str, character: str) -> str:
    """A character that stands for other bits; the last one of a signature has some that mean nothing."""
    return alphabet[alphabet.index(character) ^ 32] if character in alphabet else "A"
