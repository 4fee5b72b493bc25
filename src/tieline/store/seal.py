"""Secrets at rest: AES-256-GCM, bound to the place they belong to."""

import hashlib
import secrets
from collections.abc import Collection, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tieline.core.errors import Unavailable
from tieline.core.secret import Secret

_NONCE: Final = 12


class SecretBox:
    """Seals with the first key, opens with any. `context` must be the same for both."""

    def __init__(self, keys: Sequence[Secret]) -> None:
        if not keys or not all(keys):
            raise ValueError("at least one key is needed, and none may be empty")
        self._ciphers = {_key_id(key): AESGCM(derive(key, b"tieline secrets at rest")) for key in keys}
        self.current_key_id = _key_id(keys[0])

    @property
    def key_ids(self) -> Collection[str]:
        """The ids of all keys, which tell nothing of the keys."""
        return self._ciphers.keys()

    def seal(self, plain: str, context: str) -> tuple[str, bytes]:
        """The id of the key, and what to store."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._ciphers[self.current_key_id].encrypt(nonce, plain.encode(), context.encode())
        return self.current_key_id, nonce + sealed

    def open(self, key_id: str, sealed: bytes, context: str) -> Secret:
        """Raises `Unavailable` when the key is not among ours or the bytes were moved or changed."""
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise Unavailable(f"A stored secret needs the key {key_id}, which TIELINE_SECRET_KEY does not hold.")
        try:
            plain = cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], context.encode())
        except InvalidTag as error:
            raise Unavailable(f"The stored secret {context} was altered or moved.") from error
        return Secret(plain.decode())


def derive(key: Secret, purpose: bytes) -> bytes:
    """A 256-bit key for one purpose; keys of different purposes tell nothing of each other."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key.reveal().encode())


def _key_id(key: Secret) -> str:
    return hashlib.sha256(b"tieline key id\0" + key.reveal().encode()).hexdigest()[:12]
