"""What happened is kept with the change that made it so, until those who want to know have been found."""

import asyncio
from dataclasses import replace
from typing import LiteralString

import pytest

from tests.store.sending import HOOK, Sending
from tests.unit.core.samples import ANN, INTEGRATION, MAIN, PROJECT, PULL
from tieline.core import kinds
from tieline.core.documents import Activity
from tieline.core.ports import Outcome
from tieline.store import activities, integrations, outbox
from tieline.store.database import Connection
from tieline.store.deliveries import NewDelivery

SETTING = kinds.environment_updated("smtp", PROJECT, PULL, ANN)
PUSH = kinds.push(PROJECT, MAIN, [], 0, ANN)


async def events(sending: Sending) -> list[tuple[str, str]]:
    """The activities that are told of, with their states, in order."""
    rows = await sending.query("select activity from activity_event where activity is not null order by id")
    return [(row["activity"]["id"], row["activity"]["state"]) for row in rows]


async def create(sending: Sending) -> Activity:
    async with sending.db.transaction() as conn:
        return await activities.create(conn, SETTING)


async def test_each_new_state_is_an_event_and_another_start_is_none(sending: Sending) -> None:
    async with sending.db.transaction() as conn:
        pushed = await activities.create(conn, PUSH)
    for _ in range(2):
        async with sending.db.transaction() as conn:
            begun = await activities.begin(conn, pushed.id)
    assert begun is not None
    async with sending.db.transaction() as conn:
        assert await activities.request_cancel(conn, begun)
    async with sending.db.transaction() as conn:
        assert await activities.finish(conn, begun, Outcome())
        assert not await activities.finish(conn, begun, Outcome())
    states = ["pending", "in_progress", "complete"]
    assert await events(sending) == [(pushed.id, state) for state in states]


async def test_one_that_is_cancelled_is_told_of(sending: Sending) -> None:
    async with sending.db.transaction() as conn:
        pushed = await activities.create(conn, PUSH)
    async with sending.db.transaction() as conn:
        assert await activities.cancel_pending(conn, pushed)
    assert await events(sending) == [(pushed.id, "pending"), (pushed.id, "cancelled")]


async def test_what_is_rolled_back_has_not_happened(sending: Sending) -> None:
    with pytest.raises(ZeroDivisionError):
        async with sending.db.transaction() as conn:
            await activities.create(conn, SETTING)
            raise ZeroDivisionError
    assert await events(sending) == []


async def test_nothing_is_kept_that_nobody_wants(sending: Sending) -> None:
    async with sending.db.transaction() as conn:
        await integrations.mark_deleted(conn, replace(INTEGRATION, id=HOOK))
    await create(sending)
    assert await events(sending) == []


async def test_an_event_is_the_activity_as_it_was_then(sending: Sending) -> None:
    made = await create(sending)
    await sending.query("update activity set text = 'Something else.'")
    async with sending.db.transaction() as conn:
        (event,) = await outbox.take(conn, PROJECT.id, 10)
    assert event.activity == made
    assert event.at >= made.created_at


async def test_events_are_seen_in_the_order_of_their_numbers(sending: Sending) -> None:
    """Many write them at the same time; whoever looks meanwhile misses none that comes before what is seen."""
    seen: list[int] = []
    writing = asyncio.gather(*[create(sending) for _ in range(30)])
    while not writing.done():
        async with sending.db.transaction() as conn:
            seen += [event.id for event in await outbox.take(conn, PROJECT.id, 3)]
    await writing
    async with sending.db.transaction() as conn:
        seen += [event.id for event in await outbox.take(conn, PROJECT.id, 100)]
    assert len(seen) == 30
    assert seen == sorted(seen)


async def test_one_after_the_other_takes_the_events_of_a_project(sending: Sending) -> None:
    made = [await create(sending) for _ in range(3)]
    async with sending.db.connection() as conn:
        assert await outbox.waiting_projects(conn) == [PROJECT.id]
    async with sending.db.transaction() as first, sending.db.transaction() as second:
        taken = await outbox.take(first, PROJECT.id, 2)
        assert [event.activity.id for event in taken if event.activity] == [each.id for each in made[:2]]
        assert await outbox.take(second, PROJECT.id, 2) == []
    assert await events(sending) == [(made[2].id, "complete")]


async def test_who_looks_and_dies_has_changed_nothing(sending: Sending) -> None:
    made = await create(sending)
    with pytest.raises(ZeroDivisionError):
        async with sending.db.transaction() as conn:
            assert len(await outbox.take(conn, PROJECT.id, 10)) == 1
            raise ZeroDivisionError
    assert await events(sending) == [(made.id, "complete")]


async def test_what_is_to_be_delivered_is_kept_among_the_events(sending: Sending) -> None:
    new = NewDelivery(PROJECT.id, INTEGRATION.id, "commit_status", "cause", "key", payload={"state": "running"})
    async with sending.db.transaction() as conn:
        await activities.lock(conn, PROJECT.id)
        await outbox.deliver(conn, new)
    async with sending.db.transaction() as conn:
        (event,) = await outbox.take(conn, PROJECT.id, 10)
    assert (event.activity, event.delivery) == (None, new)


async def test_whoever_creates_activities_and_whoever_records_deliveries_never_meet(sending: Sending) -> None:
    """Creation times differ within a project, and neither side waits for the other."""

    async def read(conn: Connection, query: LiteralString) -> int:
        row = await (await conn.execute(query, [PROJECT.id])).fetchone()
        assert row is not None
        return int(row["at"].microsecond) % 2

    async with sending.db.transaction() as one, sending.db.transaction() as other:
        assert await read(one, "select tieline_activity_time(%s) as at") == 0
        assert await asyncio.wait_for(read(other, "select tieline_delivery_time(%s) as at"), 5) == 1


async def test_creation_times_differ_however_many_write(sending: Sending) -> None:
    count = 20
    await sending.add(*[None] * count)

    async def deliver() -> None:
        for _ in range(count // 4):
            taken = await sending.take(lanes=2)
            await sending.end_with_activity(*taken)

    await asyncio.gather(*[create(sending) for _ in range(count)], deliver(), deliver())
    await sending.end_with_activity(*await sending.take(lanes=count))
    rows = await sending.query("select created_at, integration_id from activity")
    assert len({row["created_at"] for row in rows}) == len(rows) == 2 * count
    assert {row["created_at"].microsecond % 2 for row in rows if row["integration_id"] is None} == {0}
    assert {row["created_at"].microsecond % 2 for row in rows if row["integration_id"] is not None} == {1}
