"""What people change counts from then on, whatever is on its way, and what the clock says."""

import asyncio

from tests.activities.conftest import BOX
from tests.dispatch.conftest import Office
from tieline.dispatch.schedule import Schedule
from tieline.simulators.receiver import Arrival, Behaviour
from tieline.store import history, integrations
from tieline.store.snapshots import Snapshots


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


async def test_who_asked_before_the_clock_was_set_back_is_told(office: Office) -> None:
    await office.add()
    await office.query("update integration set created_at = now() + interval '1 hour'")
    async with office.delivering():
        causes = await office.happen()
        assert await office.heard(1) == causes


async def test_what_was_on_its_way_during_a_replay_does_not_overtake_it_later(office: Office) -> None:
    await office.add()
    told: list[str] = []
    answers: dict[str, Behaviour] = {}

    def behave(arrival: Arrival) -> Behaviour:
        told.append(arrival.document()["id"])
        return answers.get(told[-1], Behaviour())

    office.receiver.behave("/hook", behave)
    async with office.delivering(Schedule(waits=(0.2,), breaker_failures=100, jitter=0)):
        first, second = await office.happen(count=2)
        answers |= {first: Behaviour(500), second: Behaviour(500, delay=0.5)}
        await office.wait(lambda: told == [first, first, second])
        answers[first] = Behaviour(503, retry_after="1")
        given_up, _ = await office.rows()
        async with office.db.transaction() as conn:
            await history.replay(conn, "hook", [given_up["id"]])
        await office.wait(lambda: len(told) == 4)
        answers.clear()
        await office.until("delivered", "delivered")
    assert told == [first, first, second, first, first, second]


async def test_what_was_on_its_way_in_a_snapshot_is_sent_again_after_a_reset(office: Office) -> None:
    await office.add()
    office.receiver.behave("/hook", Behaviour(delay=0.5))
    async with office.delivering():
        causes = await office.happen()
        await office.until("delivering")
        snapshots = Snapshots(office.db)
        await snapshots.take()
        await office.until("delivered")
        await snapshots.restore()
        assert await office.heard(2) == causes * 2
        await office.until("delivered")
