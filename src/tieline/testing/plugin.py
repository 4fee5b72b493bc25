"""Fixtures: a server of its own for the whole session, and for each test a project in it that is as good as new."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tieline.testing.server import TielineProject, TielineServer


@pytest.fixture(scope="session")
def tieline_settings() -> Mapping[str, str]:
    """Settings of the server, such as `TIELINE_EGRESS_ALLOW`. Override this in your conftest.py to give some."""
    return {}


@pytest.fixture(scope="session")
def tieline_seed() -> Path | None:
    """The file that the server starts with, and goes back to. Override this in your conftest.py to give one."""
    return None


@pytest.fixture(scope="session")
def tieline_server(tieline_settings: Mapping[str, str], tieline_seed: Path | None) -> "Iterator[TielineServer]":
    """A Tieline that runs until the session ends, with a database and a data folder of its own."""
    from tieline.testing.server import running_server  # noqa: PLC0415 - most sessions use none

    with running_server(tieline_settings, tieline_seed) as server:
        yield server


@pytest.fixture
def tieline_project(tieline_server: "TielineServer") -> "TielineProject":
    """A new project. Before it is made, the server goes back to its snapshot, or to how it started."""
    tieline_server.reset()
    return tieline_server.create_project("Test")
