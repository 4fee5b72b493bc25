import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.folders import copy_data, open_folder
from tests.story import forked
from tests.story.forked import ForkedServer
from tests.story.support import Server, host_settings
from tieline.simulators.bitbucket import BitbucketSimulator

StartServer = Callable[..., Awaitable[Server]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[BitbucketSimulator]:
    async with BitbucketSimulator(tmp_path / "bitbucket") as simulator:
        yield simulator


@pytest.fixture(scope="session", autouse=True)
def loaded() -> None:
    """Most stories are not about how a server loads its program."""
    forked.load()


@pytest.fixture
def new_folder() -> Iterator[Path]:
    """A folder for a server that has never run."""
    with open_folder() as made:
        yield made


@pytest.fixture
def folder(new_folder: Path, data: Path) -> Path:
    """A folder for a server that finds its database there."""
    copy_data(data, new_folder)
    return new_folder


@pytest.fixture
async def start_server(folder: Path, host: BitbucketSimulator) -> AsyncIterator[StartServer]:
    """Start the server against the simulator; stopped at the end of the story."""
    async with AsyncExitStack() as stack:

        async def start(kind: type[Server] = ForkedServer, **settings: str) -> Server:
            return await stack.enter_async_context(kind(folder, host_settings(host, **settings), free_port()))

        yield start
