import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

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


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for the server that PostgreSQL's own account can reach."""
    made = Path(tempfile.mkdtemp(prefix="tieline-story-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
async def start_server(folder: Path, host: BitbucketSimulator) -> AsyncIterator[StartServer]:
    """Start the real server against the simulator; stopped at the end of the story."""
    async with AsyncExitStack() as stack:

        async def start(**settings: str) -> Server:
            return await stack.enter_async_context(Server(folder, host_settings(host, **settings), free_port()))

        yield start
