"""What became of deliveries: written by whoever still has them, replayed, held, and forgotten in the end."""

from datetime import timedelta

import pytest

from tests.store.sending import HOOK, ME, Sending
from tests.unit.core.samples import NOW, PROJECT
from tieline.core.clock import now
from tieline.store import claims, deliveries, history, receivers, senders

LEFT = """
    select id from activity union all select activity_id from activity_log
    union all select id::text from delivery union all select delivery_id::text from delivery_attempt
    union all select integration_id from receiver union all select id::text from message
"""


async def test_a_record_is_the_delivery_its_attempt_its_activity_and_its_log(sending: Sending) -> None:
    await sending.add("main")
    (claimed,) = await sending.take()
    assert await sending.end_with_activity(claimed) == {claimed.id}
    row = await sending.row(claimed.id)
    assert (row["state"], row["claimed_by"], row["tries"], row["attempts"]) == ("delivered", None, 1, 1)
    assert row["finished_at"] is not None
    (attempt,) = await sending.query("select * from delivery_attempt")
    assert (attempt["delivery_id"], attempt["number"], attempt["answer"]) == (claimed.id, 1, b"ok")
    assert (attempt["started_at"], attempt["seconds"], attempt["request"]) == (NOW, 0.25, None)
    (activity,) = await sending.query("select * from activity where id = %s", row["activity_id"])
    assert (activity["state"], activity["result"], activity["integration_id"]) == ("complete", "success", HOOK)
    (line,) = await sending.query("select * from activity_log where activity_id = %s", activity["id"])
    assert (line["seq"], line["message"]) == (1, "It was taken.\n")


async def test_further_attempts_go_on_with_the_same_activity(sending: Sending) -> None:
    await sending.add("main")
    for state in ("waiting", "delivered"):
        (claimed,) = await sending.take()
        await sending.end_with_activity(claimed, state=state)
    (activity,) = await sending.query("select * from activity where integration_id = %s", HOOK)
    assert (activity["state"], activity["result"], activity["completion_percent"]) == ("complete", "success", 100)
    log = await sending.query("select seq, message from activity_log where activity_id = %s", activity["id"])
    assert [line["seq"] for line in log] == [1, 2]
    assert len(await sending.query("select * from delivery_attempt")) == 2


async def test_who_has_lost_a_delivery_writes_nothing(sending: Sending) -> None:
    await sending.add("main", "main")
    (late,) = await sending.take("dead", run=1)
    async with sending.db.connection() as conn:
        assert await senders.bury(conn, 12) == 1
    (claimed,) = await sending.take(run=1)
    assert claimed.id == late.id
    assert await sending.end_with_activity(late, sender="dead") == set()
    assert (await sending.row(late.id))["state"] == "delivering"
    assert await sending.query("select * from delivery_attempt") == []
    assert await sending.query("select * from activity where integration_id = %s", HOOK) == []
    assert await sending.end_with_activity(claimed) == {claimed.id}


async def test_an_earlier_attempt_of_the_same_sender_writes_nothing_either(sending: Sending) -> None:
    await sending.add("main")
    (late,) = await sending.take()
    await sending.query("update delivery set state = 'waiting', claimed_by = null")
    await sending.take()
    assert await sending.end(late) == set()


async def test_what_is_given_back_is_as_if_it_had_not_been_taken(sending: Sending) -> None:
    await sending.add("main")
    (claimed,) = await sending.take()
    assert await sending.give_back(claimed) == {claimed.id}
    row = await sending.row(claimed.id)
    assert (row["state"], row["attempts"], row["tries"], row["claimed_by"]) == ("pending", 0, 0, None)
    assert len(await sending.claim()) == 1


async def test_an_attempt_that_does_not_count_leaves_the_schedule_where_it_is(sending: Sending) -> None:
    await sending.add("main")
    (claimed,) = await sending.take()
    await sending.end(claimed, state="waiting", counted=False)
    (again,) = await sending.take()
    assert (again.attempts, again.tries) == (1, 2)


async def test_the_dead_are_buried_and_the_living_keep_what_they_have(sending: Sending) -> None:
    first, second = await sending.add("main", "pr-7")
    await sending.take("dead", lanes=1, run=1)
    await sending.take("alive", lanes=1, run=1)
    async with sending.db.connection() as conn:
        await senders.beat(conn, "dead")
        await senders.beat(conn, "alive")
        await conn.execute("update sender set seen_at = now() - interval '13 seconds' where id = 'dead'")
        assert await senders.bury(conn, 12) == 1
    freed, kept = await sending.row(first), await sending.row(second)
    assert (freed["state"], freed["attempts"], freed["crashes"]) == ("pending", 0, 1)
    assert (kept["state"], kept["claimed_by"]) == ("delivering", "alive")


@pytest.mark.parametrize("begun", [False, True])
async def test_only_what_may_be_done_again_is_free_again(sending: Sending, *, begun: bool) -> None:
    await sending.add("main")
    (claimed,) = await sending.take("dead")
    async with sending.db.connection() as conn:
        if begun:
            assert await claims.begin_effects(conn, claimed, "dead")
        await senders.bury(conn, 12)
        assert not await claims.begin_effects(conn, claimed, "dead")
        adopted = await claims.adopt_interrupted(conn, ME)
    assert [each.id for each in adopted] == ([claimed.id] if begun else [])
    assert len(await sending.claim()) == (0 if begun else 1)
    if begun:
        assert await sending.end(*adopted, state="failed") == {claimed.id}
        row = await sending.row(claimed.id)
        assert (row["state"], row["has_effects"], row["attempts"]) == ("failed", False, 1)


async def test_what_had_begun_to_act_is_not_given_back(sending: Sending) -> None:
    await sending.add("main")
    (claimed,) = await sending.take()
    async with sending.db.connection() as conn:
        assert await claims.begin_effects(conn, claimed, ME)
    await sending.give_back(claimed)
    row = await sending.row(claimed.id)
    assert (row["state"], row["claimed_by"], row["has_effects"]) == ("delivering", None, True)


async def test_what_ended_is_replayed_before_what_waits_in_its_order(sending: Sending) -> None:
    numbers = await sending.add(*["main"] * 4)
    taken = await sending.take(run=3)
    await sending.end_with_activity(*taken[:2])
    await sending.end(taken[2], state="failed")
    async with sending.db.transaction() as conn:
        assert await history.replay(conn, HOOK, [numbers[0], numbers[2], numbers[3]]) == 2
    again = await sending.take()
    assert [each.id for each in again] == [numbers[0], numbers[2], numbers[3]]
    assert [each.attempts for each in again] == [1, 1, 1]
    assert again[0].activity_id is None


async def test_what_was_given_up_is_replayed_since_a_time(sending: Sending) -> None:
    numbers = await sending.add("main", "main", "pr-7", None)
    await sending.end(*await sending.take(), state="failed")
    await sending.query("update delivery set created_at = now() - interval '2 days' where id = %s", numbers[0])
    async with sending.db.transaction() as conn:
        assert await history.replay_failed(conn, HOOK, now() - timedelta(days=1)) == 3
    assert await sending.claim() == numbers[1:]


async def test_what_is_replayed_while_it_is_paused_waits_for_its_end(sending: Sending) -> None:
    (number,) = await sending.add("main")
    await sending.end(*await sending.take(), state="failed")
    await sending.receiver(paused_at=now())
    async with sending.db.transaction() as conn:
        assert await history.replay(conn, HOOK, [number]) == 1
    assert await sending.claim() == []
    await sending.receiver(paused_at=None, resumed_at=now())
    assert await sending.claim() == [number]


async def test_what_is_held_is_released_in_order_and_from_the_beginning(sending: Sending) -> None:
    numbers = await sending.add("main", "main", "pr-7", None)
    (failed,) = [each for each in await sending.take(run=1) if each.order_key == "main"]
    await sending.end(failed, state="waiting", wait_seconds=3600)
    await sending.receiver(paused_at=now())
    # What was under way when it was paused may still arrive.
    assert await sending.states() == ["waiting", "pending", "delivering", "delivering"]
    assert await sending.claim() == []
    async with sending.db.connection() as conn:
        assert await deliveries.integrations_due(conn) == []
    await sending.receiver(paused_at=None, resumed_at=now())
    async with sending.db.connection() as conn:
        assert await deliveries.integrations_due(conn) == [HOOK]
    (again,) = await sending.take(run=1)
    assert (again.id, again.attempts) == (numbers[0], 1)
    # What fails after that waits as planned.
    await sending.end(again, state="waiting", wait_seconds=3600)
    assert await sending.claim() == []


async def test_waits_that_a_clock_made_longer_are_as_planned_again(sending: Sending) -> None:
    late, right = await sending.add("main", "pr-7")
    await sending.query("update delivery set state = 'waiting', planned_seconds = 300")
    await sending.query("update delivery set due_at = now() + interval '1 day' where id = %s", late)
    await sending.query("update delivery set due_at = now() + interval '1 minute' where id = %s", right)
    await sending.receiver(closed_until=now() + timedelta(days=1))
    async with sending.db.connection() as conn:
        await senders.reset_waits(conn)
        assert (await receivers.find(conn, HOOK)).closed_until is None
    waits = [(row["due_at"] - now()).total_seconds() for row in await sending.rows()]
    assert waits == pytest.approx([300, 60], abs=10)


async def test_what_ended_long_ago_is_forgotten_with_all_that_belongs_to_it(sending: Sending) -> None:
    for body in (b"old", b"held", b"new", b"open"):
        await sending.tell(body, body.decode())
    old, held, new, also_held = await sending.take()
    await sending.end_with_activity(old, new)
    await sending.end_with_activity(held, state="waiting", wait_seconds=3600)
    await sending.end_with_activity(also_held, state="waiting", wait_seconds=3600)
    await sending.query("update delivery set created_at = now() - interval '100 days' where id <> 3")
    await sending.query("update message set created_at = now() - interval '100 days' where id <> 3")
    await sending.query("update delivery set finished_at = now() - interval '100 days' where id = %s", old.id)
    async with sending.db.connection() as conn:
        await deliveries.expire(conn, 30, 90)
    assert [row["id"] for row in await sending.rows()] == [held.id, new.id, also_held.id]
    await sending.receiver(paused_at=now())
    async with sending.db.connection() as conn:
        await deliveries.expire(conn, 30, 90)
        await deliveries.expire(conn, 30, 90)
    left = [new.id]
    assert [row["id"] for row in await sending.rows()] == left
    assert [row["delivery_id"] for row in await sending.query("select * from delivery_attempt order by 1")] == left
    assert [row["body"] for row in await sending.query("select body from message order by id")] == [b"new"]
    told = await sending.query("select state from activity where integration_id = %s order by created_at", HOOK)
    assert [row["state"] for row in told] == ["complete", "complete", "cancelled", "cancelled"]


async def test_logs_and_attempts_go_with_what_they_belong_to(sending: Sending) -> None:
    await sending.add("main", None)
    await sending.end_with_activity(*await sending.take())
    assert len(await sending.query("select * from activity_log")) == 2
    async with sending.db.transaction() as conn:
        await conn.execute("delete from activity where id = (select min(id) from activity)")
    assert len(await sending.query("select * from activity_log")) == 1
    await sending.query("delete from project where id = %s", PROJECT.id)
    assert await sending.query(LEFT) == []
