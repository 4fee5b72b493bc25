"""What the tests of this folder start with."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tieline_seed() -> Path:
    """Have the server start with these projects, instead of none."""
    return Path(__file__).parents[1] / "seed.yaml"
