"""What is changed of an integration counts from then on, however much there is to send."""

import asyncio

from tests.activities.conftest import BOX
from tests.dispatch.conftest import Office
from tieline.simulators.receiver import Behaviour
from tieline.store import integrations


async def test_who_is_told_without_a_pause_is_told_at_a_new_url_at_once(office: Office) -> None:
    made = await office.add()
    office.receiver.behave("/hook", Behaviour(delay=0.02))

    async def happen_all_the_time() -> None:
        for _ in range(100):
            await office.happen()

    async with office.delivering():
        happening = asyncio.create_task(happen_all_the_time())
        await office.heard(10)
        async with office.db.transaction() as conn:
            elsewhere = {**made.config, "url": f"{office.receiver.url}/elsewhere"}
            await integrations.update(conn, BOX, made, config=elsewhere)
        told = len(office.receiver.at("/hook"))
        await office.heard(3, "/elsewhere")
        await happening
    assert len(office.receiver.at("/hook")) <= told + 2
