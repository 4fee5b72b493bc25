"""Processes that deliver: several on one database, and those that stop, die, or lose it."""

import asyncio
import time
from collections import Counter
from dataclasses import replace

import psycopg
import pytest
import structlog

from tests.conftest import END_OTHERS
from tests.dispatch.conftest import BRISK, QUICK, Office, take
from tests.unit.core.samples import MAIN, PULL
from tieline.core.deliveries import Message, Receipt
from tieline.core.ports import Journal
from tieline.dispatch.dispatcher import Pace
from tieline.dispatch.schedule import Schedule
from tieline.simulators.receiver import Arrival, Behaviour
from tieline.store import claims, receivers, senders

STEADY = Pace()
END_BLOCKED = """
    select pg_terminate_backend(pid, 5000) as ended from pg_stat_activity
    where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0
"""


def ids(arrivals: list[Arrival], environment: str) -> list[str]:
    return [each.document()["id"] for each in arrivals if each.document()["environments"] == [environment]]


async def test_two_share_the_work_keep_the_order_and_send_nothing_twice(office: Office) -> None:
    environments = [MAIN, PULL]
    names = ["hook", "other", "third"]
    for name in names:
        await office.add(name)
    for _ in range(2):
        await office.dispatcher()
    causes: dict[str, list[str]] = {"main": [], "pr-7": []}
    for _ in range(10):
        made = await office.happen_at_once(environments, 4)
        causes["main"] += made[::2]
        causes["pr-7"] += made[1::2]
        await asyncio.sleep(0)
    for name in names:
        await office.until(*["delivered"] * 80, integration_id=name)
        for environment in environments:
            assert ids(office.receiver.at(f"/{name}"), environment.id) == causes[environment.id]
    told = await office.query("select state, result from activity where type = 'integration.webhook'")
    assert Counter((each["state"], each["result"]) for each in told) == {("complete", "success"): 240}


async def test_two_keep_the_order_while_a_receiver_fails_now_and_then(office: Office) -> None:
    await office.add()
    office.receiver.behave("/hook", lambda each: Behaviour(500) if each.number % 7 == 3 else Behaviour())
    for _ in range(2):
        await office.dispatcher(Schedule(waits=(0.02,) * 50, breaker_failures=1000))
    causes = []
    for _ in range(10):
        causes += await office.happen_at_once([MAIN], 4)
    await office.until(*["delivered"] * 40)
    accepted = [each for each in office.receiver.at("/hook") if each.accepted]
    assert ids(accepted, "main") == causes


async def test_one_that_stops_lets_arrive_what_is_on_its_way(office: Office) -> None:
    await office.add()
    office.receiver.behave("/hook", Behaviour(delay=0.3))
    causes = await office.happen(count=3)
    async with office.delivering():
        await office.heard(1)
    assert [row["state"] for row in await office.rows()] == ["delivered", "pending", "pending"]
    assert await office.query("select * from sender") == []
    office.receiver.behave("/hook")
    async with office.delivering():
        await office.until("delivered", "delivered", "delivered")
    assert await office.heard(3) == causes


async def test_one_that_stops_gives_back_what_does_not_arrive_in_time(office: Office) -> None:
    await office.add()
    office.receiver.behave("/hook", Behaviour(hang=True))
    await office.happen(count=3)
    one = await office.dispatcher()
    await office.heard(1)
    began = time.monotonic()
    await one.stop(0.1)
    assert time.monotonic() - began < 2
    rows = await office.rows()
    assert [(row["state"], row["attempts"], row["tries"], row["claimed_by"]) for row in rows] == [
        ("pending", 0, 0, None)
    ] * 3
    assert {row["crashes"] for row in rows} == {0}


async def test_one_that_stops_in_the_middle_of_a_claim_does_not_take_longer(office: Office) -> None:
    await office.add()
    await office.happen()
    await office.spread()
    async with office.db.transaction() as conn:
        await receivers.lock(conn, ["hook"])
        one = await office.dispatcher(pace=STEADY)

        async def is_asking() -> bool:
            query = "select 1 from pg_stat_activity where cardinality(pg_blocking_pids(pid)) > 0"
            return bool(await office.query(query))

        await office.wait_for(is_asking, True)
        stopping = asyncio.create_task(one.stop(20))
        await asyncio.sleep(0)
    await asyncio.wait_for(stopping, 5)
    assert [row["state"] for row in await office.rows()] in (["pending"], ["delivered"])


async def test_what_one_had_that_died_is_sent_by_the_others_under_the_same_id(office: Office) -> None:
    await office.add()
    causes = await office.happen(count=2)
    await office.spread()
    async with office.db.connection() as conn:
        await senders.beat(conn, "dead")
        claimed = await claims.claim(conn, "dead", [office.claim])
        assert len(claimed) == 2
        await conn.execute("update sender set seen_at = seen_at - interval '1 second'")
    began = time.monotonic()
    await office.dispatcher(pace=replace(BRISK, beat=0.1, silent=1.5))
    await office.until("delivered", "delivered")
    assert time.monotonic() - began > 0.3
    assert await office.heard(2) == causes
    assert {row["crashes"] for row in await office.rows()} == {1}
    assert {row["attempts"] for row in await office.rows()} == {1}


async def test_who_is_alone_need_not_wait_for_the_dead(office: Office) -> None:
    await office.add()
    await office.happen()
    await office.spread()
    async with office.db.connection() as conn:
        await senders.beat(conn, "dead")
        assert len(await claims.claim(conn, "dead", [office.claim])) == 1
    await office.dispatcher(pace=STEADY, alone=True)
    await office.until("delivered")


async def test_a_process_that_was_silent_for_too_long_writes_nothing_of_what_others_have_now(office: Office) -> None:
    """It sleeps in the middle of an attempt, as a machine does whose lid was closed."""
    await office.add("inner", type="inner")
    asleep, awake = asyncio.Event(), asyncio.Event()

    async def sleep_first(message: Message, journal: Journal) -> Receipt:
        if len(office.sink.told) == 1:
            asleep.set()
            await awake.wait()
            return Receipt("refused", "This is too late.")
        return await take(message, journal)

    office.sink.do = sleep_first
    await office.happen()
    # Its own signs of life are so rare that the other one takes it for dead.
    slow = replace(STEADY, beat=60)
    first = await office.dispatcher(pace=slow)
    await asleep.wait()
    await office.query("update sender set seen_at = seen_at - interval '1 minute'")
    await office.dispatcher(pace=replace(STEADY, beat=0.05))
    await office.until("delivered", integration_id="inner")
    awake.set()
    await first.stop(2)
    (row,) = await office.rows("inner")
    assert (row["state"], len(await office.attempts(row["id"]))) == ("delivered", 1)
    assert len(set(office.sink.told)) == 1
    assert len(await office.activities("inner")) == 1


async def test_who_could_not_say_for_long_that_he_lives_takes_nothing(office: Office) -> None:
    await office.add()
    await office.pause()
    await office.dispatcher(pace=Pace(beat=60, trusted=0.05))
    await office.happen()
    await office.until("held")
    await asyncio.sleep(0.05)
    async with office.db.transaction() as conn:
        await office.resume(conn)
    (before,) = await office.query("select xmin::text, ctid::text from delivery")
    for _ in range(5):
        async with office.db.connection() as conn:
            await receivers.wake(conn, "hook")
        await asyncio.sleep(0.02)
    assert await office.query("select xmin::text, ctid::text from delivery") == [before]
    await office.dispatcher()
    await office.until("delivered")


async def test_nothing_is_lost_while_the_database_is_away_for_a_moment(office: Office) -> None:
    await office.add()
    await office.dispatcher()
    causes = []
    for _ in range(2):
        causes += await office.happen_at_once([MAIN, PULL], 12)
        async with await psycopg.AsyncConnection.connect(office.dsn, autocommit=True) as admin:
            await admin.execute(END_OTHERS)
        await office.works_again()
    await office.until(*["delivered"] * 48)
    arrivals = office.receiver.at("/hook")
    for environment, mine in (("main", causes[::2]), ("pr-7", causes[1::2])):
        assert list(dict.fromkeys(ids(arrivals, environment))) == mine
    told = await office.query("select state from activity where type = 'integration.webhook'")
    assert [each["state"] for each in told] == ["complete"] * 48


async def test_what_is_on_its_way_when_the_database_goes_away_may_arrive(office: Office) -> None:
    await office.add("inner", type="inner")
    begun, end = asyncio.Event(), asyncio.Event()

    async def wait(message: Message, journal: Journal) -> Receipt:
        begun.set()
        await end.wait()
        return await take(message, journal)

    office.sink.do = wait
    await office.happen()
    one = await office.dispatcher(pace=STEADY)
    await begun.wait()
    with structlog.testing.capture_logs() as captured:
        async with office.db.transaction() as conn:
            await receivers.lock(conn, ["inner"])
            async with office.db.connection() as other:
                # It looks for more, and does not come back from that.
                await receivers.wake(other, "inner")
            await office.wait_for(lambda: office.query(END_BLOCKED), [{"ended": True}])
            await office.wait(lambda: "deliveries.lost_database" in [each["event"] for each in captured])
    stopping = asyncio.create_task(one.stop(5))
    await asyncio.sleep(0)
    end.set()
    await stopping
    (row,) = await office.rows("inner")
    assert (row["state"], row["attempts"], row["crashes"], len(office.sink.told)) == ("delivered", 1, 0, 1)


async def test_what_was_claimed_by_a_statement_whose_answer_was_lost_is_sent(office: Office) -> None:
    await office.add()
    await office.pause()
    await office.happen()
    await office.dispatcher(pace=replace(STEADY, beat=0.05, mend=0.05))
    await office.until("held")
    (sender,) = await office.query("select id from sender")
    async with office.db.transaction() as conn:
        await office.resume(conn)
        assert len(await claims.claim(conn, sender["id"], [office.claim])) == 1
    await office.until("delivered")


async def cut_off(office: Office, *, after_effect: bool) -> list[dict[str, object]]:
    """A process ends in the middle of what a sink does; what another one makes of that."""
    await office.add("inner", type="inner")
    begun, end = asyncio.Event(), asyncio.Event()

    async def work(_message: Message, journal: Journal) -> Receipt:
        if after_effect:
            await journal.before_effect()
        begun.set()
        await end.wait()
        return Receipt("delivered", "It was taken.")

    office.sink.do = work
    await office.happen(count=2)
    one = await office.dispatcher()
    await begun.wait()
    await one.stop(0.05)
    office.sink.do = take
    await office.dispatcher(pace=replace(STEADY, beat=0.05, mend=0.05))
    return await office.until("failed" if after_effect else "delivered", "delivered", integration_id="inner")


async def test_what_was_cut_off_after_it_had_begun_to_act_is_not_done_again(office: Office) -> None:
    interrupted, _ = await cut_off(office, after_effect=True)
    assert len(office.sink.told) == 2
    assert len(set(office.sink.told)) == 2
    assert "not tried again by itself" in str(interrupted["last_error"])
    told, follower = await office.activities("inner")
    assert (told["state"], told["result"]) == ("complete", "failure")
    assert (follower["state"], follower["result"]) == ("complete", "success")
    log = await office.log(told["id"])
    assert "The server stopped in the middle." in log
    assert "Given up." in log


async def test_what_was_cut_off_before_it_had_begun_to_act_is_done_again(office: Office) -> None:
    await cut_off(office, after_effect=False)
    assert len(office.sink.told) == 3
    assert len(set(office.sink.told)) == 2


async def test_what_acts_is_let_go_of_when_somebody_else_has_it(office: Office) -> None:
    """It was thought dead while it prepared, and so does nothing."""
    await office.add("inner", type="inner")
    done: list[str] = []

    async def lose_it(message: Message, journal: Journal) -> Receipt:
        if len(office.sink.told) == 1:
            await office.query("update delivery set state = 'pending', claimed_by = null, attempts = 0")
        await journal.before_effect()
        done.append(message.id)
        return Receipt("delivered", "It was taken.")

    office.sink.do = lose_it
    await office.happen()
    await office.dispatcher(pace=replace(STEADY, beat=0.05))
    await office.until("delivered", integration_id="inner")
    assert (len(office.sink.told), len(done)) == (2, 1)


@pytest.mark.parametrize("when", ["before the start", "while it lives"])
async def test_waits_are_as_planned_though_the_clock_was_set_back(office: Office, when: str) -> None:
    await office.add()
    office.receiver.behave("/hook", lambda each: Behaviour(500) if each.number == 1 else Behaviour())
    await office.happen()
    one = await office.dispatcher(Schedule(waits=(60,)))
    await office.until("waiting")
    await office.query("update delivery set due_at = due_at + interval '1 day', planned_seconds = 0.1")
    if when == "before the start":
        await one.stop(1)
        await office.dispatcher(QUICK)
    else:
        async with office.db.transaction() as conn:
            await senders.reset_waits(conn)
    await office.until("delivered")
