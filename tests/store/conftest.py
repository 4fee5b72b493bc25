"""A project with an integration that is told of what happens."""

import pytest

from tests.activities.conftest import furnish
from tests.store.sending import Sending
from tieline.store.database import Database


@pytest.fixture
async def sending(database: Database) -> Sending:
    await furnish(database)
    made = Sending(database)
    await made.furnish()
    return made
