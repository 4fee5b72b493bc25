from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.programs import CommandLine
from tieline.testing.server import TielineServer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tieline_settings() -> Mapping[str, str]:
    return {"TIELINE_EGRESS_ALLOW": "127.0.0.0/8"}


@pytest.fixture(scope="session")
def tieline_seed() -> Path:
    return ROOT / "examples" / "seed.yaml"


@pytest.fixture
def tieline(tieline_server: TielineServer, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line of the administrator."""
    tieline_server.reset()
    return CommandLine(monkeypatch, {"TIELINE_SERVER": tieline_server.url, "TIELINE_TOKEN": tieline_server.token})
