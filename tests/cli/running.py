"""A Bitbucket and a Tieline, as programs that run, for the tests of every client to share."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.programs import ADMIN_TOKEN, Bitbucket, Server, free_port, running, wait_until_answered
from tests.folders import copy_data, open_folder


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    with open_folder() as made:
        yield made


@pytest.fixture(scope="session")
def bitbucket(folder: Path) -> Iterator[Bitbucket]:
    """Nobody changes its repository, which tests of several modules follow."""
    with simulated_bitbucket(folder) as host:
        yield host


@contextmanager
def simulated_bitbucket(folder: Path) -> Iterator[Bitbucket]:
    """One with a sample repository of its own."""
    port, log = free_port(), folder / "bitbucket.log"
    with running(log, "simulate", "bitbucket", "--listen", f"127.0.0.1:{port}"):
        yield Bitbucket(f"http://127.0.0.1:{port}", log)


@pytest.fixture(scope="session")
def server(folder: Path, bitbucket: Bitbucket, data: Path) -> Iterator[Server]:
    copy_data(data, folder)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {
        **bitbucket.settings,
        "TIELINE_LISTEN": f"127.0.0.1:{port}",
        "TIELINE_DATA": str(folder / "data"),
        "TIELINE_ADMIN_TOKEN": ADMIN_TOKEN,
        "TIELINE_DEPLOYER": f"command:{_deployer(folder)}",
    }
    with running(folder / "server.log", "serve", **settings):
        bitbucket.wait_until_described()
        wait_until_answered(f"{url}/readyz")
        yield Server(url, folder, settings)


def _deployer(folder: Path) -> Path:
    path = folder / "deployer" / "deploy"
    path.parent.mkdir()
    shutil.copy(Path(__file__).with_name("deployer.sh"), path)
    path.chmod(0o755)
    return path
