"""Requests and answers as bytes on a connection: low enough to break every rule of HTTP on purpose."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tieline.simulators.receiver.behaviour import Behaviour

_CHUNK: Final = bytes(1024 * 1024)


@dataclass(frozen=True)
class Received:
    """A request, with its header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class CutOff(Exception):
    """The connection ends here, on purpose."""


async def read_request(reader: asyncio.StreamReader) -> Received:
    """The next request of a connection; bodies have a Content-Length.

    Raises `IncompleteReadError` at its end, `CutOff` when it does not speak HTTP.
    """
    begin = await reader.readexactly(1)
    if not begin.isalpha():
        raise CutOff
    first, *lines = (begin + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    pairs = [line.partition(":") for line in lines if line]
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, body)


async def write_answer(writer: asyncio.StreamWriter, behaviour: Behaviour) -> None:
    """Answer in this way. Raises `CutOff` where the connection is to be broken off."""
    await asyncio.sleep(behaviour.delay)
    if behaviour.hang:
        await asyncio.Event().wait()
    if behaviour.close == "before-headers":
        raise CutOff
    if behaviour.close == "after-headers":
        writer.write(behaviour.head())
        await writer.drain()
        raise CutOff
    if behaviour.size or behaviour.drip:
        await _write_slowly(writer, behaviour)
    else:
        writer.write(behaviour.head() + behaviour.body.encode())
        await writer.drain()


async def _write_slowly(writer: asyncio.StreamWriter, behaviour: Behaviour) -> None:
    writer.write(behaviour.head())
    if behaviour.size:
        # Whoever has read enough may hang up.
        with suppress(ConnectionError):
            for start in range(0, behaviour.size, len(_CHUNK)):
                writer.write(_CHUNK[: behaviour.size - start])
                await writer.drain()
    else:
        for byte in behaviour.body.encode():
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(behaviour.drip)
