"""A seed as a person writes it, read here."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

from tests.api.conftest import no_toolbox
from tieline.integrations import ALL
from tieline.integrations.base import Registry
from tieline.seeds.read import read_seed
from tieline.seeds.references import look_up_in
from tieline.seeds.seed import Seed

MOMENT = datetime(2026, 11, 24, 10, tzinfo=UTC)
REGISTRY = Registry(ALL, no_toolbox())


def read(text: str, environment: Mapping[str, str] | None = None, folder: Path = Path()) -> Seed:
    return read_seed(dedent(text).encode(), REGISTRY, look_up_in(folder, environment or {}), MOMENT)
