"""Deliveries go out in order, by whoever takes them, and wait behind no others than those of their key."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.activities.conftest import eventually, furnish
from tests.store.sending import HOOK, ME, Sending, is_blocked, wanted
from tieline.store import deliveries, history, receivers, senders
from tieline.store.database import Connection, Database
from tieline.store.deliveries import Delivery, Result


@pytest.fixture
async def sending(database: Database) -> AsyncIterator[Sending]:
    await furnish(database)
    made = Sending(database)
    await made.furnish()
    yield made


async def test_what_is_due_is_taken_once_with_what_follows_it(sending: Sending) -> None:
    numbers = await sending.add("main", "main", "pr-7", None, "main")
    assert await sending.claim() == numbers
    assert await sending.claim() == []
    assert await sending.claim("another-sender") == []


async def test_a_run_and_the_lanes_have_an_end(sending: Sending) -> None:
    main = await sending.add(*["main"] * 5)
    await sending.add("pr-1", "pr-2", "pr-3")
    assert (await sending.claim(lanes=2, run=3))[:3] == main[:3]
    assert len(await sending.claim(lanes=0, run=3)) == 0
    assert len(await sending.claim(lanes=1, run=3)) == 1


async def test_only_the_first_of_a_key_can_be_had_while_the_one_before_it_is_open(sending: Sending) -> None:
    first, second, third = await sending.add(*["main"] * 3)
    (claimed,) = await sending.take(run=1)
    assert (claimed.id, await sending.claim()) == (first, [])
    await sending.end(claimed, state="waiting", wait_seconds=300)
    assert await sending.claim() == []
    await sending.query("update delivery set due_at = now() where id = %s", first)
    (again,) = await sending.take()
    assert (again.id, again.attempts, again.tries) == (first, 2, 2)
    await sending.end(again)
    assert await sending.claim() == [second, third]


async def test_whoever_sends_one_gets_the_next_of_its_key(sending: Sending) -> None:
    numbers = await sending.add(*["main"] * 4, "pr-7")
    (claimed,) = await sending.take(lanes=1, run=1)
    async with sending.db.connection() as conn:
        more = await deliveries.claim_next(conn, ME, claimed, 2)
        assert [each.id for each in more] == numbers[1:3]
        assert [each.id for each in await deliveries.claim_next(conn, ME, more[-1], 2)] == numbers[3:4]


async def test_nothing_goes_past_one_that_waits(sending: Sending) -> None:
    """One that is sent again goes before what waits for another attempt; what is behind that stays there."""
    again, waits, behind = await sending.add(*["main"] * 3)
    (first,) = await sending.take(run=1)
    await sending.end(first)
    (second,) = await sending.take(run=1)
    await sending.end(second, state="waiting", wait_seconds=300)
    async with sending.db.transaction() as conn:
        assert await history.replay(conn, HOOK, [again]) == 1

    (claimed,) = await sending.take()
    assert claimed.id == again
    async with sending.db.connection() as conn:
        assert await deliveries.claim_next(conn, ME, claimed, 32) == []
    await sending.end(claimed)
    assert await sending.claim() == []
    assert (await sending.row(waits))["is_first"]
    assert (await sending.row(behind))["state"] == "pending"


async def test_nothing_goes_past_one_that_another_sender_has(sending: Sending) -> None:
    first, second, _third = await sending.add(*["main"] * 3)
    (mine,) = await sending.take(run=1)
    await sending.end(mine)
    assert await sending.claim("another-sender", run=1) == [second]
    async with sending.db.connection() as conn:
        assert await deliveries.claim_next(conn, ME, mine, 32) == []
    assert first == mine.id


@pytest.mark.parametrize("take_next", [False, True])
async def test_of_two_who_take_at_the_same_moment_one_has_all_of_a_key(sending: Sending, take_next: bool) -> None:
    """The second one looks when more of the key is there than the first one, who is about to commit, has seen."""
    before, *_ = await sending.add("main", "main")
    (last,) = await sending.take(run=1)

    async def second(conn: Connection) -> list[Delivery]:
        if take_next:
            return await deliveries.claim_next(conn, ME, last, 32)
        return await deliveries.claim(conn, ME, [wanted()])

    await sending.end(last)
    async with sending.db.transaction() as one, sending.db.connection() as other:
        (taken,) = await deliveries.claim(one, "another-sender", [wanted()])
        await sending.add("main", "main")
        assert await asyncio.wait_for(second(other), 5) == []
    assert taken.id > before
    assert await sending.claim() == []
    await sending.end(taken, sender="another-sender")
    assert len(await sending.claim()) == 2
