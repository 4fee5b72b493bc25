"""A connection that speaks HTTP/1.1: one request and its answer, then the next."""

import asyncio
import select
import ssl
from typing import Final, cast

from tieline.core.errors import RemoteError
from tieline.net.answer import Answer, BrokenOff, NotHTTP
from tieline.net.sockets import SIP

# A TLS record that was read in part, at most as large as a sip, comes with the next sip; and what does not fit is lost
# to asyncio's TLS when the connection ends.
BUFFER_SIZE: Final = 3 * SIP


class Closed(ConnectionError):
    """The other side closed the connection before an answer was complete, or begun."""


class Connection(asyncio.BufferedProtocol):
    """The protocol of one connection. `address` is the one it leads to.

    What is read into the buffer is taken apart before anything else is read: one of `BUFFER_SIZE` is enough for all
    connections of an event loop.
    """

    def __init__(self, buffer: memoryview) -> None:
        self.address = ""
        self._buffer = buffer
        # Beneath TLS, if there is any: what says how things really are.
        self._wire: asyncio.Transport | None = None
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._told: asyncio.Future[None] | None = None
        self._unread = select.poll()

    @property
    def is_open(self) -> bool:
        return self._wire is not None and not self._wire.is_closing()

    @property
    def is_quiet(self) -> bool:
        """Whether it is open, and nothing arrived that is not read yet: an end, or an answer that nobody asked for."""
        return self.is_open and not self._unread.poll(0)

    async def secure(self, context: ssl.SSLContext, name: str) -> None:
        """Speak TLS from now on, with nobody but `name`. Raises OSError."""
        if self._wire is None:
            raise Closed
        # With `create_connection`, a handshake that is cancelled as it begins would go on.
        loop = asyncio.get_running_loop()
        self._transport = await loop.start_tls(self._wire, self, context, server_hostname=name)
        if self._transport is None:
            raise Closed

    async def ask(self, head: bytes, body: bytes, answer: Answer) -> None:
        """Send a request, and receive its answer whole. The connection is closed where another one would not do.

        Raises `Closed`, `BrokenOff`, `NotHTTP`, and what the answer's body raises.
        """
        if self._wire is None or self._transport is None or self._wire.is_closing():
            raise Closed
        self._answer = answer
        self._told = asyncio.get_running_loop().create_future()
        is_reusable = False
        try:
            self._transport.write(head + body)
            await self._told
            is_reusable = not answer.is_last and self._wire.get_write_buffer_size() == 0
        finally:
            self._answer = self._told = None
            answer.close()
            if not is_reusable:
                self.close()

    def close(self) -> None:
        """End it at once; what is not sent yet is dropped."""
        if self._wire is not None:
            self._wire.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = self._transport = cast("asyncio.Transport", transport)
        self._unread.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - there is room for everything
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._answer is None:
            # Nobody has asked anything.
            self.close()
            return
        try:
            self._answer.add(self._buffer[:nbytes])
        except (NotHTTP, RemoteError) as error:
            self._tell(error)
        else:
            if self._answer.is_over:
                self._tell()

    def eof_received(self) -> None:
        self._end(is_clean=self._is_farewell())
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why does not matter
        self._end(is_clean=False)

    def _is_farewell(self) -> bool:
        """Whether the other side ended it. Beneath TLS, anybody on the way can."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        try:
            return tls is None or not tls.read(1)
        except ssl.SSLZeroReturnError:
            return True
        except ssl.SSLError:
            return False

    def _end(self, *, is_clean: bool) -> None:
        if self._answer is None:
            return
        try:
            self._answer.end(is_clean=is_clean)
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
