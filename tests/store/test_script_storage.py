"""What scripts keep, while others change what it belongs to."""

import asyncio

import pytest

from tests.activities.conftest import BOX, eventually, furnish
from tests.unit.core.samples import INTEGRATION
from tieline.core.errors import Invalid
from tieline.store import integrations
from tieline.store.database import Database
from tieline.store.script_storage import PostgresScriptStore


async def test_a_script_whose_integration_goes_meanwhile_is_told_so(database: Database) -> None:
    await furnish(database)
    store = PostgresScriptStore(database, BOX)
    await store.set(INTEGRATION.id, "before", "1")
    async with database.transaction() as conn:
        await integrations.remove(conn, INTEGRATION.id)
        keeping = asyncio.create_task(store.set(INTEGRATION.id, "after", "2"))
        await _until_somebody_waits(database)
    with pytest.raises(Invalid) as refused:
        await keeping
    assert "gone" in refused.value.detail["key"]


async def _until_somebody_waits(database: Database) -> None:
    statement = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"

    async def somebody_waits() -> bool:
        async with database.connection() as conn:
            return await (await conn.execute(statement)).fetchone() is not None

    await eventually(somebody_waits, 8)
