"""Where requests come in: the listening socket, and uvicorn on it."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from tieline.core.errors import Unavailable

GRACEFUL_SECONDS: Final = 2


class HTTPServer(uvicorn.Server):
    """uvicorn without its own view of signals: they stop the worker too, so they are handled here."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=GRACEFUL_SECONDS,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections from now on. Raises `Unavailable` for an address that cannot be had."""
    # asyncio turns off Nagle's algorithm only for sockets that say they are TCP; `create_server` makes none such.
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise Unavailable(f"{host}:{port} cannot be listened on: {error.strerror}. Set TIELINE_LISTEN.") from error
    return bound


async def until_started(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    """Wait until `serving` answers requests. Raises what it ended with, or `Unavailable`."""
    while not server.started:
        if serving.done():
            await serving
            raise Unavailable("The HTTP server ended before it had started.")
        await asyncio.sleep(0.005)
