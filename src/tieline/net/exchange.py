"""A connection that speaks HTTP/1.1: one request and its answer, then the next."""

import asyncio
from typing import Final, cast

from tieline.core.errors import RemoteError
from tieline.net.answer import Answer, BrokenOff, NotHTTP

# Whoever sends ten thousand chunks of one byte at once is read in sips, between which everybody has a turn.
SIP: Final = 16 * 1024
# What is read is taken apart before anything else is read: one buffer is enough for all connections.
_BUFFER: Final = memoryview(bytearray(SIP))


class Closed(ConnectionError):
    """The other side closed the connection before an answer was complete, or begun."""


class Exchange(asyncio.BufferedProtocol):
    """The protocol of one connection. `address` is the one it leads to."""

    def __init__(self) -> None:
        self.address = ""
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._told: asyncio.Future[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, head: bytes, body: bytes, answer: Answer) -> None:
        """Send a request, and receive its answer whole. The connection is closed where another one would not do.

        Raises `Closed`, `BrokenOff`, `NotHTTP`, and what the answer's body raises.
        """
        if self._transport is None or self._transport.is_closing():
            raise Closed
        self._answer = answer
        self._told = asyncio.get_running_loop().create_future()
        is_reusable = False
        try:
            self._transport.write(head + body)
            await self._told
            is_reusable = not answer.is_last and self._transport.get_write_buffer_size() == 0
        finally:
            self._answer = self._told = None
            if not is_reusable:
                self.close()

    def close(self) -> None:
        """End it at once; what is not sent yet is dropped."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.address = str((transport.get_extra_info("peername") or ("",))[0])

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - a sip is a sip
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        if self._answer is None:
            # Nobody has asked anything.
            self.close()
            return
        try:
            self._answer.add(_BUFFER[:nbytes])
        except (NotHTTP, RemoteError) as error:
            self._tell(error)
        else:
            if self._answer.is_over:
                self._tell()

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)

    def _end(self, cause: Exception | None) -> None:
        if self._answer is None:
            return
        try:
            self._answer.end(is_clean=cause is None)
        except BrokenOff as error:
            self._tell(error)
        else:
            self._tell(None if self._answer.is_over else Closed())

    def _tell(self, error: Exception | None = None) -> None:
        if self._told is None or self._told.done():
            return
        if error is None:
            self._told.set_result(None)
        else:
            self._told.set_exception(error)
