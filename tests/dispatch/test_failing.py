"""Receivers that fail: what is tried again, when, and what becomes of the rest."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from tests.dispatch.conftest import Office, take
from tests.unit.core.samples import MAIN
from tieline.core.deliveries import Message, Receipt
from tieline.core.ports import Journal
from tieline.dispatch.channel import LANES_FAILING, MOST_LANES
from tieline.dispatch.recorder import UNWRITTEN, Outcome, Recorder, Subject
from tieline.dispatch.schedule import Schedule
from tieline.simulators.receiver import Arrival, Behaviour
from tieline.store import claims, receivers
from tieline.store.claims import Delivery

GOOD = Behaviour()
BROKEN = Behaviour(500, "no")
PATIENT = Schedule(waits=(300, 300), breaker_failures=100)


def in_turn(*behaviours: Behaviour) -> Callable[[Arrival], Behaviour]:
    """Answer so, one after the other, and well from then on."""
    left = list(behaviours)
    return lambda _: left.pop(0) if left else GOOD


def of_environment(arrivals: Sequence[Arrival], environment: str) -> list[str]:
    return [each.document()["id"] for each in arrivals if each.document()["environments"] == [environment]]


async def test_the_same_is_sent_again_and_only_its_own_environment_waits(office: Office) -> None:
    for name in ("hook", "other"):
        await office.add(name)
    office.receiver.behave("/hook", lambda each: BROKEN if each.number == first_number(office) else GOOD)
    first, second = await office.happen(count=2)
    (elsewhere,) = await office.happen(MAIN)
    async with office.delivering(Schedule(waits=(0.6,), jitter=0)):
        await office.until("waiting", "pending", "delivered")
        (told, _) = await office.activities()
        assert (told["state"], told["result"], told["completed_at"]) == ("in_progress", None, None)
        await office.until("delivered", "delivered", "delivered", integration_id="other")
        row, *_ = await office.until("delivered", "delivered", "delivered")
    arrivals = office.receiver.at("/hook")
    assert of_environment(arrivals, "pr-7") == [first, first, second]
    assert of_environment(arrivals, "main") == [elsewhere]
    again = [each for each in arrivals if each.document()["id"] == first]
    assert len({each.id for each in again}) == len({each.body for each in again}) == 1
    assert again[1].at - again[0].at >= 0.6

    (told,) = [each for each in await office.activities() if each["id"] == told["id"]]
    assert (told["state"], told["result"]) == ("complete", "success")
    assert [(each["number"], each["status"]) for each in await office.attempts(row["id"])] == [(1, 500), (2, 200)]
    lines = (await office.log(told["id"])).splitlines()
    assert lines[0].startswith("Attempt 1 of at most 2: ")
    assert lines[1].startswith("The receiver answered 500: no ")
    assert lines[2] == "The next attempt comes in 1 s."
    assert lines[3].startswith("Attempt 2 of at most 2: ")


def first_number(office: Office) -> int:
    return office.receiver.at("/hook")[0].number


async def test_what_needs_no_order_does_not_wait(office: Office) -> None:
    await office.add(ordered=False)
    office.receiver.behave("/hook", in_turn(BROKEN))
    await office.happen(count=3)
    async with office.delivering(PATIENT):
        await office.wait(lambda: len(office.receiver.at("/hook")) == 3)

        async def states() -> list[str]:
            return sorted([row["state"] for row in await office.rows()])

        await office.wait_for(states, ["delivered", "delivered", "waiting"])


async def test_who_asks_for_time_gets_it(office: Office) -> None:
    await office.add()
    office.receiver.behave("/hook", in_turn(Behaviour(503, retry_after="120")))
    await office.happen()
    async with office.delivering():
        (row,) = await office.until("waiting")
    wait = row["due_at"] - datetime.now(UTC)
    assert timedelta(seconds=110) < wait <= timedelta(seconds=120)
    assert row["planned_seconds"] == 120


async def test_a_redirect_is_a_failure(office: Office) -> None:
    await office.add()
    office.receiver.behave("/hook", Behaviour(302, location=f"{office.receiver.url}/elsewhere"))
    await office.happen()
    async with office.delivering(PATIENT):
        (row,) = await office.until("waiting")
    assert "a redirect, which is not followed" in row["last_error"]
    assert office.receiver.at("/elsewhere") == []


async def test_who_is_gone_is_told_nothing_until_somebody_resumes_it(office: Office) -> None:
    await office.add()
    await office.add("other", events=["integration.webhook.pause"])
    office.receiver.behave("/hook", in_turn(Behaviour(410)))
    causes = await office.happen(count=3)
    async with office.delivering():
        await office.until("held", "held", "held")
        await office.happen(MAIN)
        await office.until("held", "held", "held", "held")
        paused = [each for each in await office.activities() if each["type"] == "integration.webhook.pause"]
        assert len(paused) == 1
        assert "410" in paused[0]["text"]
        (told, _) = await office.activities()
        assert told["state"] == "in_progress"
        assert "kept" in await office.log(told["id"])
        assert await office.heard(1, "/other") == [paused[0]["id"]]

        async with office.db.transaction() as conn:
            await office.resume(conn)
        await office.until("delivered", "delivered", "delivered", "delivered")
    assert of_environment(office.receiver.at("/hook"), "pr-7") == [causes[0], *causes]


async def test_nothing_but_failures_for_too_long_pauses_it(office: Office) -> None:
    await office.add()
    office.receiver.behave("/hook", BROKEN)
    await office.happen(count=2)
    async with office.delivering(Schedule(waits=(0.1,) * 50, pause_seconds=0.5, breaker_failures=100)):
        await office.until("held", "held")
        (told, paused) = await office.activities()
    assert (told["type"], told["state"]) == ("integration.webhook", "in_progress")
    assert (paused["type"], paused["state"], paused["result"]) == ("integration.webhook.pause", "complete", "success")
    assert "Nothing but failures since" in paused["text"]


async def test_it_is_given_up_after_the_last_attempt_and_what_follows_is_sent(office: Office) -> None:
    await office.add()
    office.receiver.behave("/hook", in_turn(*[BROKEN] * 3))
    first, second = await office.happen(count=2)
    async with office.delivering(Schedule(waits=(0.05, 0.05), breaker_failures=100)):
        row, _ = await office.until("failed", "delivered")
    assert of_environment(office.receiver.at("/hook"), "pr-7") == [first, first, first, second]
    assert (row["attempts"], row["last_error"]) == (3, "The receiver answered 500: no")
    told, _ = await office.activities()
    assert (told["state"], told["result"], told["failure_reason"]) == ("complete", "failure", "error")
    assert "Given up." in await office.log(told["id"])


async def test_a_breaker_leaves_a_receiver_alone_and_tries_one_at_a_time(office: Office) -> None:
    await office.add(ordered=False)
    office.receiver.behave("/hook", BROKEN)
    await office.happen_at_once([MAIN], 40)
    await office.spread()
    async with office.delivering(Schedule(waits=(0.01,) * 1000, breaker_failures=3, breaker_seconds=0.4, jitter=0)):
        await office.wait_for(office.is_closed, True)
        before = len(office.receiver.arrivals)
        # All that was on its way when the first ones failed, and no more.
        assert before <= MOST_LANES + LANES_FAILING
        await office.wait(lambda: len(office.receiver.arrivals) > before)
        last, probe = office.receiver.arrivals[before - 1 : before + 1]
        assert probe.at - last.at > 0.3
        office.receiver.behave("/hook")
        await office.until(*["delivered"] * 40)
        assert not await office.is_closed()


async def test_a_bug_in_one_is_no_harm_to_the_others(office: Office) -> None:
    async def crash(_message: Message, _journal: Journal) -> Receipt:
        raise ZeroDivisionError("inner detail")

    await office.add("inner", type="inner")
    await office.add()
    office.sink.do = crash
    await office.happen()
    with structlog.testing.capture_logs() as captured:
        async with office.delivering(PATIENT):
            await office.until("delivered")
            (row,) = await office.until("waiting", integration_id="inner")
    assert [each["event"] for each in captured if each["log_level"] == "error"] == ["delivery.crashed"]
    (attempt,) = await office.attempts(row["id"])
    assert attempt["error"] == "internal"
    (told,) = await office.activities("inner")
    assert "inner detail" not in str(row) + str(attempt) + await office.log(told["id"])


async def test_what_cannot_be_written_is_given_up_and_holds_up_nobody(office: Office) -> None:
    """A sink that says what no database takes, which is a bug of its own."""

    async def say_nonsense(message: Message, journal: Journal) -> Receipt:
        await journal.write("a NUL \0 and half a pair \ud800")
        return Receipt("delivered", "It was taken \0 by half a pair \ud800.", answer=b"\0\xff")

    await office.add("inner", type="inner")
    office.sink.do = say_nonsense
    await office.happen(count=2)
    async with office.delivering():
        await office.until("delivered", "delivered", integration_id="inner")
    (told, _) = await office.activities("inner")
    assert "a NUL" in await office.log(told["id"])


async def test_a_million_characters_of_log_are_enough(office: Office) -> None:
    async def chatter(_message: Message, journal: Journal) -> Receipt:
        for _ in range(200):
            await journal.write("x" * 8000)
        return await take(_message, journal)

    await office.add("inner", type="inner")
    office.sink.do = chatter
    await office.happen()
    async with office.delivering():
        await office.until("delivered", integration_id="inner")
    (told,) = await office.activities("inner")
    log = await office.log(told["id"])
    assert len(log) < 1_100_000
    assert log.splitlines()[-1].startswith("It was taken. (")


@pytest.mark.parametrize("count", [40])
async def test_what_follows_in_order_is_sent_run_after_run(office: Office, count: int) -> None:
    await office.add()
    causes = await office.happen_at_once([MAIN], count)
    async with office.delivering():
        await office.until(*["delivered"] * count)
    assert await office.heard(count) == causes


async def test_what_could_not_be_written_is_given_up_also_where_everything_failed_for_days(office: Office) -> None:
    await office.add()
    await office.happen()
    await office.spread()
    async with office.db.connection() as conn:
        (taken,) = await claims.claim(conn, "me", [office.claim])
    await office.query("update receiver set failing_since = now() - interval '6 days', failures = 50")
    recorder = Recorder(office.db, Schedule(), "me", lambda *_: None)
    written = recorder.put(Outcome(taken, receipt=UNWRITTEN))
    recorder.close()
    await recorder.run()
    assert written.done()
    assert [row["state"] for row in await office.rows()] == ["failed"]


async def two_claimed(office: Office) -> list[Delivery]:
    """A delivery to each of two receivers, which this test has to send."""
    for name in ("hook", "other"):
        await office.add(name)
    await office.happen()
    await office.spread()
    async with office.db.connection() as conn:
        return await claims.claim(
            conn, "me", [replace(office.claim, integration_id=name) for name in ("hook", "other")]
        )


async def test_what_fails_at_one_receiver_keeps_no_other_from_being_written_down(office: Office) -> None:
    well, ill = await two_claimed(office)
    recorder = Recorder(office.db, Schedule(), "me", lambda *_: None)
    receipts = ((well, Receipt("delivered", "It was taken.")), (ill, Receipt("retry", "No.")))
    written = [recorder.put(Outcome(claimed, receipt=receipt)) for claimed, receipt in receipts]
    recorder.close()
    async with office.db.transaction() as conn:
        # Somebody looks at the first receiver, for longer than anybody would wait.
        await receivers.lock(conn, {well.integration_id})
        await asyncio.wait_for(recorder.run(), 5)
    assert all(each.done() for each in written)
    assert [row["state"] for name in ("hook", "other") for row in await office.rows(name)] == ["delivered", "waiting"]


async def test_a_receiver_that_is_well_is_not_kept_waiting_by_the_lock_of_one_that_is_not(office: Office) -> None:
    well, ill = await two_claimed(office)
    recorder = Recorder(office.db, Schedule(), "me", lambda *_: None)
    failed = recorder.put(Outcome(ill, receipt=Receipt("retry", "No.")))
    taken = recorder.put(Outcome(well, receipt=Receipt("delivered", "It was taken.")))
    recorder.close()
    async with office.db.transaction() as conn:
        await receivers.lock(conn, {ill.integration_id})
        running = asyncio.create_task(recorder.run())
        await asyncio.wait_for(taken, 5)
        assert not failed.done()
    await asyncio.wait_for(running, 5)
    assert failed.done()


async def test_a_failure_counts_once_however_often_it_is_written_down(office: Office) -> None:
    integration = await office.add()
    await office.happen()
    await office.spread()
    async with office.db.connection() as conn:
        (claimed,) = await claims.claim(conn, "me", [office.claim])
    subject = Subject(integration, "Webhook", "a place")
    for _ in range(2):
        recorder = Recorder(office.db, Schedule(), "me", lambda *_: None)
        written = recorder.put(Outcome(claimed, subject, receipt=Receipt("retry", "No.")))
        recorder.close()
        await recorder.run()
        assert written.done()
    (receiver,) = await office.query("select failures from receiver")
    assert receiver["failures"] == 1
    assert [row["state"] for row in await office.rows()] == ["waiting"]
