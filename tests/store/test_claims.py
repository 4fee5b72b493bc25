"""Deliveries go out in order, by whoever takes them, and wait behind no others than those of their key."""

import asyncio
from datetime import UTC, datetime, timedelta

from tests.store.sending import HOOK, ME, Sending, wanted
from tests.unit.core.samples import PROJECT
from tieline.store import attempts, claims, deliveries, history
from tieline.store.attempts import Result
from tieline.store.claims import Delivery
from tieline.store.deliveries import NewDelivery


async def test_what_is_due_is_taken_once_with_what_follows_it(sending: Sending) -> None:
    numbers = await sending.add("main", "main", "pr-7", None, "main")
    assert await sending.claim() == numbers
    assert await sending.claim() == []
    assert await sending.claim("another-sender") == []


async def test_a_run_and_the_lanes_have_an_end(sending: Sending) -> None:
    main = await sending.add(*["main"] * 5)
    await sending.add("pr-1", "pr-2", "pr-3")
    assert await sending.claim(lanes=2, run=3) == [*main[:3], main[-1] + 1]
    assert await sending.claim(lanes=0, run=3) == []
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
        more = await claims.claim_next(conn, ME, [(claimed, 2)])
        assert [each.id for each in more] == numbers[1:3]
        assert [each.id for each in await claims.claim_next(conn, ME, [(more[-1], 2)])] == numbers[3:4]


async def test_who_has_lost_one_gets_nothing_of_what_follows(sending: Sending) -> None:
    await sending.add("main", "main")
    (claimed,) = await sending.take(run=1)
    async with sending.db.connection() as conn:
        assert await claims.claim_next(conn, "another-sender", [(claimed, 32)]) == []
        await sending.end(claimed)
        assert await claims.claim_next(conn, ME, [(claimed, 32)]) == []


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
        assert await claims.claim_next(conn, ME, [(claimed, 32)]) == []
    await sending.end(claimed)
    assert await sending.claim() == []
    assert (await sending.row(waits))["is_first"]
    assert (await sending.row(behind))["state"] == "pending"


async def test_of_two_who_take_at_the_same_moment_one_has_all_of_a_key(sending: Sending) -> None:
    """The second one looks when more of the key is there than the first one, who is about to commit, has seen."""
    (first,) = await sending.add("main")
    async with sending.db.transaction() as one, sending.db.connection() as other:
        (taken,) = await claims.claim(one, "another-sender", [wanted()])
        follower, apart = await sending.add("main", "pr-7")
        late = await asyncio.wait_for(claims.claim(other, ME, [wanted()]), 5)
        assert [each.id for each in late] == [apart]
    assert taken.id == first
    assert await sending.claim() == []
    await sending.end(taken, sender="another-sender")
    assert await sending.claim() == [follower]


async def test_many_who_take_at_the_same_time_share_everything(sending: Sending) -> None:
    numbers = await sending.add(*[f"pr-{number % 8}" for number in range(80)], *[None] * 80)

    async def take_all(sender: str) -> list[Delivery]:
        taken: list[Delivery] = []
        while found := await sending.take(sender, lanes=2, run=3):
            taken += found
            await sending.end(*found, sender=sender)
        return taken

    shares = await asyncio.gather(*[take_all(f"sender-{number}") for number in range(4)])
    taken = [each for share in shares for each in share]
    assert sorted(each.id for each in taken) == numbers
    assert {row["state"] for row in await sending.rows()} == {"delivered"}
    assert {row["tries"] for row in await sending.rows()} == {1}


async def test_several_integrations_are_asked_for_at_once(sending: Sending) -> None:
    await sending.furnish("other")
    (mine,) = await sending.add("main")
    async with sending.db.transaction() as conn:
        await deliveries.add(conn, [NewDelivery(PROJECT.id, "other", "activity", None, "main")])
    async with sending.db.connection() as conn:
        taken = await claims.claim(conn, ME, [wanted(), wanted("other"), wanted("not-there")])
    assert [(each.integration_id, each.id) for each in taken] == [(HOOK, mine), ("other", mine + 1)]


async def test_fresh_ones_have_their_share_however_many_are_tried_again(sending: Sending) -> None:
    await sending.add(*[f"old-{number}" for number in range(100)])
    await sending.query("update delivery set state = 'waiting', attempts = 1, due_at = now() - interval '1 day'")
    fresh = await sending.add("new-1", "new-2", "new-3", "new-4", "new-5")
    taken = await sending.claim(lanes=8, run=1)
    assert len(taken) == 8
    assert set(taken) & set(fresh) == set(fresh[:4])


async def test_nothing_is_taken_while_the_receiver_is_paused_or_left_alone(sending: Sending) -> None:
    await sending.add("main")
    moment = datetime.now(UTC)
    for changes in ({"paused_at": moment}, {"closed_until": moment + timedelta(minutes=1), "failures": 20}):
        await sending.receiver(paused_at=None)
        await sending.receiver(**changes)
        assert await sending.claim() == []
        async with sending.db.connection() as conn:
            assert await deliveries.integrations_due(conn) == []
    await sending.receiver(closed_until=moment)
    async with sending.db.connection() as conn:
        assert await deliveries.integrations_due(conn) == [HOOK]
    assert len(await sending.claim()) == 1


async def test_of_a_receiver_that_fails_little_is_taken_at_once(sending: Sending) -> None:
    await sending.add(*[f"pr-{number}" for number in range(10)], *["pr-1"] * 3)
    await sending.receiver(failures=12, closed_until=datetime.now(UTC) - timedelta(seconds=1))
    (probe,) = await sending.take()
    await sending.receiver(failures=3, closed_until=None)
    await sending.give_back(probe)
    few = await sending.take()
    assert len(few) == 4
    assert len({each.order_key for each in few}) == 4


async def test_what_is_due_later_is_not_taken(sending: Sending) -> None:
    await sending.add("main")
    await sending.query("update delivery set due_at = now() + interval '1 minute'")
    assert await sending.claim() == []
    async with sending.db.connection() as conn:
        assert await deliveries.integrations_due(conn) == []


async def test_what_follows_is_first_when_two_end_and_add_at_the_same_moment(sending: Sending) -> None:
    """Neither sees what the other one does; once both have committed, nothing is left behind."""
    await sending.add("main")
    (claimed,) = await sending.take()
    new = [NewDelivery(PROJECT.id, HOOK, "activity", None, "main")]
    async with sending.db.transaction() as ending, sending.db.transaction() as adding:
        await attempts.record(ending, [Result(claimed, "delivered")], ME)
        assert await deliveries.add(adding, new)
    assert await sending.claim() == []
    async with sending.db.connection() as conn:
        await deliveries.advance(conn, new)
    assert len(await sending.claim()) == 1


async def test_what_a_crash_left_behind_is_mended(sending: Sending) -> None:
    first, second, *_, alone, _ = await sending.add("main", "main", "main", "pr-7", None)
    (claimed,) = await sending.take(lanes=1, run=1)
    async with sending.db.transaction() as conn:
        # It dies before it says that the next one is the first.
        await attempts.record(conn, [Result(claimed, "delivered")], ME)
    await sending.query("update delivery set is_first = false where order_key = 'pr-7'")
    async with sending.db.connection() as conn:
        assert await deliveries.mend_order(conn) == 2
        assert await deliveries.mend_order(conn) == 0
    assert claimed.id == first
    assert {second, alone} <= set(await sending.first())


async def test_of_build_statuses_only_the_newest_that_waits_is_sent(sending: Sending) -> None:
    numbers = await sending.add("c/1", "c/1", "c/2", "c/1")
    await sending.query("update delivery set kind = 'commit_status'")
    async with sending.db.connection() as conn:
        await deliveries.supersede(conn, HOOK)
    assert await sending.states() == ["delivered", "delivered", "pending", "pending"]
    assert await sending.claim() == numbers[2:]
    assert "newer" in (await sending.row(numbers[0]))["last_error"]


async def test_a_build_status_that_is_under_way_is_not_overtaken(sending: Sending) -> None:
    first, second, third = await sending.add("c/1", "c/1", "c/1")
    await sending.query("update delivery set kind = 'commit_status'")
    (under_way,) = await sending.take(run=1)
    async with sending.db.connection() as conn:
        await deliveries.supersede(conn, HOOK)
    assert await sending.states() == ["delivering", "delivered", "pending"]
    assert await sending.claim() == []
    await sending.end(under_way)
    assert await sending.claim() == [third]
    assert (under_way.id, second) == (first, first + 1)
