"""The receiver as a whole: start it, have it misbehave, look at what came."""

import asyncio
import json
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Self

from pydantic import ValidationError

from tieline.simulators.receiver.arrivals import Arrival
from tieline.simulators.receiver.behaviour import Behaviour
from tieline.simulators.receiver.verify import verify_jws, verify_standard
from tieline.simulators.receiver.wire import CutOff, Received, read_request, write_answer

Manner = Behaviour | Callable[[Arrival], Behaviour]

_SWITCH: Final = "/_simulator/behaviours"
_GOOD: Final = Behaviour()
_LONGEST_LINE: Final = 1024 * 1024


class Receiver:
    """Endpoints at every path of a loopback port. `async with` starts and stops it.

    `key` is what bodies are expected to be signed with. `told` is called with each arrival once it has been answered,
    or given up. `arrivals` is all that came. `tls` may be changed between `close` and `open`.
    """

    def __init__(
        self,
        *,
        key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        told: Callable[[Arrival], None] | None = None,
    ) -> None:
        self.arrivals: list[Arrival] = []
        self.port = port
        self._key = key
        self._host = host
        self.tls = tls
        self._told = told
        self._manners: dict[str, Manner] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self._host}:{self.port}"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Listen; again at the same port, after `close`."""
        self._server = await asyncio.start_server(self._serve, self._host, self.port, ssl=self.tls, limit=_LONGEST_LINE)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuse connections, and break off those there are."""
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def behave(self, path: str, manner: Manner = _GOOD) -> None:
        """Answer what comes to a path in this way, or in the way that a function tells for each arrival."""
        self._manners[path] = manner

    def at(self, path: str) -> list[Arrival]:
        """What came to one path, in order."""
        return [each for each in self.arrivals if each.path == path]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is served by a task")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        try:
            with suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.CancelledError, CutOff):
                while True:
                    await self._answer(await read_request(reader), writer)
        finally:
            writer.transport.abort()

    async def _answer(self, request: Received, writer: asyncio.StreamWriter) -> None:
        if request.path == _SWITCH:
            await write_answer(writer, self._switch(request))
            return
        arrival = self._record(request)
        manner = self._manners.get(request.path, _GOOD)
        behaviour = manner if isinstance(manner, Behaviour) else manner(arrival)
        try:
            await write_answer(writer, behaviour)
            arrival.answered = behaviour.status
        finally:
            if self._told is not None:
                self._told(arrival)

    def _record(self, request: Received) -> Arrival:
        arrival = Arrival(
            len(self.arrivals) + 1, time.time(), request.method, request.path, request.headers, request.body
        )
        if self._key is not None:
            arrival.jws = verify_jws(request.headers, request.body, self._key)
            arrival.standard = verify_standard(request.headers, request.body, self._key)
        self.arrivals.append(arrival)
        return arrival

    def _switch(self, request: Received) -> Behaviour:
        """`POST {"path": "/hook", "status": 503}`; nothing but the path brings back the good one."""
        try:
            document: dict[str, Any] = json.loads(request.body)
            path = document.pop("path")
            self.behave(path, Behaviour(**document))
        except ValidationError as error:
            sentences = [f"{each['loc'][0]}: {each['msg']}" for each in error.errors()]
            return Behaviour(400, json.dumps({"error": "; ".join(sentences)}))
        except (ValueError, KeyError, TypeError, AttributeError):
            return Behaviour(400, json.dumps({"error": 'send JSON like {"path": "/hook", "status": 503}'}))
        return Behaviour(body=json.dumps({"path": path, **document}))
