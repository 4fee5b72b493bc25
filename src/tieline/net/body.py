"""Collect the body of an answer under a cap, also when a few compressed bytes stand for many."""

import zlib
from collections.abc import Iterator
from typing import Final

from tieline.core.errors import RemoteBroken

# Accepts both gzip and zlib wrappers, telling them apart by their first bytes.
_ANY_WRAPPER: Final = zlib.MAX_WBITS | 32
ACCEPTED_ENCODINGS: Final = "gzip"


class CappedBody:
    """Takes chunks as they arrive. Raises `RemoteBroken` at the first byte above `max_bytes`, decompressed."""

    is_cut = False

    def __init__(self, max_bytes: int, encoding: str = "") -> None:
        self._max_bytes = max_bytes
        self._body = bytearray()
        self._is_empty = True
        self._unzip = zlib.decompressobj(_ANY_WRAPPER) if _is_compressed(encoding) else None

    def add(self, chunk: bytes) -> None:
        self._is_empty = self._is_empty and not chunk
        for part in self._plain(chunk):
            if len(self._body) + len(part) > self._max_bytes:
                raise RemoteBroken(f"The answer is larger than {self._max_bytes} bytes.")
            self._body += part

    def finish(self) -> bytes:
        """The whole body. Raises `RemoteBroken` when its compression ends too early."""
        if self._unzip is not None and not self._is_empty and not self._unzip.eof:
            raise RemoteBroken("The compressed answer ends too early.")
        return bytes(self._body)

    def _plain(self, chunk: bytes) -> Iterator[bytes]:
        while chunk and self._unzip is not None:
            yield self._inflate(self._unzip, chunk)
            chunk = self._next_member(self._unzip)
        if chunk:
            yield chunk

    def _inflate(self, unzip: "zlib._Decompress", chunk: bytes) -> bytes:
        try:
            return unzip.decompress(chunk, max_length=self._max_bytes - len(self._body) + 1)
        except zlib.error as error:
            raise RemoteBroken("The answer is not compressed the way its headers say.") from error

    def _next_member(self, unzip: "zlib._Decompress") -> bytes:
        """What of the chunk is not read yet; a gzip stream may be several members end to end."""
        if unzip.eof and unzip.unused_data:
            self._unzip = zlib.decompressobj(_ANY_WRAPPER)
            return unzip.unused_data
        return unzip.unconsumed_tail


class CutBody:
    """Takes chunks as they arrive and keeps the first `max_bytes`, as they came. `is_cut` says that there were more."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept = bytearray()
        self.is_cut = False

    def add(self, chunk: bytes) -> None:
        room = self._max_bytes - len(self._kept)
        self._kept += chunk[:room]
        self.is_cut = len(chunk) > room

    def finish(self) -> bytes:
        """What was kept."""
        return bytes(self._kept)


def _is_compressed(encoding: str) -> bool:
    wanted = encoding.strip().lower()
    if wanted in ("", "identity"):
        return False
    if wanted in ("gzip", "x-gzip", "deflate"):
        return True
    raise RemoteBroken(f"The answer is encoded as {wanted[:40]!r}, which was not asked for.")
