"""Build statuses reach the Git host in order, by the same way as all that is told."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.dispatch.conftest import COMMIT, Office
from tests.unit.core.samples import INTEGRATION
from tieline.core.errors import RateLimited, RemoteError, RemoteNotFound, RemoteRejected, Unreachable
from tieline.dispatch.channel import LANES_FAILING, MOST_LANES
from tieline.dispatch.schedule import Schedule
from tieline.store import integrations

HOST = INTEGRATION.id
PATIENT = Schedule(waits=(300, 300))


async def until(office: Office, *states: str) -> list[dict[str, Any]]:
    return await office.until(*states, integration_id=HOST)


async def test_one_that_was_overtaken_is_not_sent(office: Office) -> None:
    await office.report("running")
    await office.report("succeeded")
    await office.report("running", "d" * 40)
    await office.spread()
    async with office.delivering():
        older, newer, _ = await until(office, "delivered", "delivered", "delivered")
    assert office.host.states() == ["succeeded"]
    assert office.host.states("d" * 40) == ["running"]
    assert "a newer state came first" in older["last_error"]
    assert await office.attempts(older["id"]) == []
    (attempt,) = await office.attempts(newer["id"])
    assert attempt["sentence"] == "The host took the build status."
    assert await office.activities(HOST) == []


async def test_one_follows_another_that_is_under_way(office: Office) -> None:
    office.host.slow = asyncio.Event()
    await office.report("running")
    async with office.delivering():
        await office.wait(lambda: office.host.at_once == 1)
        await office.report("succeeded")
        await until(office, "delivering", "pending")
        office.host.slow.set()
        await until(office, "delivered", "delivered")
    assert office.host.states() == ["running", "succeeded"]


async def test_one_that_fails_is_tried_again_and_nothing_overtakes_it(office: Office) -> None:
    office.host.errors = [Unreachable("The host does not answer.")]
    await office.report("running")
    async with office.delivering(PATIENT):
        (row,) = await until(office, "waiting")
    assert (row["attempts"], row["last_error"]) == (1, "The host does not answer.")
    (attempt,) = await office.attempts(row["id"])
    assert (attempt["verdict"], attempt["error"]) == ("retry", "connection")


@pytest.mark.parametrize("error", [RemoteNotFound("There is no such commit."), RemoteRejected("No.", 422)])
async def test_what_will_never_be_accepted_is_given_up_at_once(office: Office, error: RemoteError) -> None:
    office.host.errors = [error]
    await office.report("running")
    async with office.delivering(PATIENT):
        (row,) = await until(office, "failed")
        # The host is there for the next one.
        await office.report("succeeded")
        await until(office, "failed", "delivered")
    assert row["last_error"] == str(error)


async def test_a_rate_limit_is_waited_for_and_costs_no_attempt(office: Office) -> None:
    until_then = datetime.now(UTC) + timedelta(minutes=40)
    office.host.errors = [RateLimited("Slow down.", until_then)]
    await office.report("running")
    async with office.delivering(PATIENT):
        (row,) = await until(office, "waiting")
    assert (row["attempts"], row["tries"]) == (0, 1)
    assert abs(row["due_at"] - until_then) < timedelta(seconds=10)
    assert (await office.query("select failures from receiver"))[0]["failures"] == 0


async def test_many_go_out_side_by_side_and_each_commit_in_turn(office: Office) -> None:
    commits = [f"{number:040x}" for number in range(60)]
    for commit in commits:
        await office.report("running", commit)
    async with office.delivering():
        await until(office, *["delivered"] * 60)
    assert sorted(status.commit for status in office.host.statuses) == commits


async def test_a_host_that_is_down_is_asked_a_few_times_and_not_for_each_of_them(office: Office) -> None:
    for number in range(100):
        await office.report("running", f"{number:040x}")
    await office.spread()
    office.host.errors = [Unreachable("The host does not answer.") for _ in range(200)]
    async with office.delivering(Schedule(waits=(300,), breaker_failures=10, breaker_seconds=300)):

        async def is_closed() -> bool:
            return await office.is_closed(HOST)

        await office.wait_for(is_closed, True)
    assert 200 - len(office.host.errors) <= MOST_LANES + LANES_FAILING * 3
    rows = await office.rows(HOST)
    assert {row["state"] for row in rows} == {"waiting", "pending"}
    assert {row["attempts"] for row in rows} == {0, 1}
    assert await office.query("select 1 from receiver where paused_at is not null") == []


async def given_up(office: Office) -> str:
    async with office.delivering():
        (row,) = await until(office, "failed")
    return str(row["last_error"])


async def test_one_of_a_deleted_integration_is_given_up(office: Office) -> None:
    await office.report("running")
    async with office.db.transaction() as conn:
        await integrations.mark_deleted(conn, INTEGRATION)
    assert "wants to be told nothing any more" in await given_up(office)
    assert office.host.statuses == []


async def test_one_of_a_type_that_reports_nothing_any_more_is_given_up(office: Office) -> None:
    await office.report("running")
    await office.query("update integration set type = 'inner' where id = %s", HOST)
    assert "wants to be told nothing any more" in await given_up(office)


async def test_what_kills_everybody_who_tries_is_given_up(office: Office) -> None:
    await office.report("running")
    await office.spread()
    await office.query("update delivery set crashes = 51")
    assert "every server that tried this stopped" in await given_up(office)
    assert office.host.states(COMMIT) == []
