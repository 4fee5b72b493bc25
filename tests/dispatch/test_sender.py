"""Deliveries go out in order, are tried again, and are never lost."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from tests.activities.conftest import BOX, eventually
from tests.dispatch.conftest import Host, Post, registry_of
from tests.unit.core.samples import INTEGRATION
from tieline.core.errors import RateLimited, RemoteNotFound, Unreachable
from tieline.dispatch.sender import AT_ONCE, Sender
from tieline.store import deliveries, integrations


async def test_what_is_due_goes_out(post: Post) -> None:
    number = await post.add("running")
    async with post.db.connection() as conn:
        assert await deliveries.integrations_due(conn) == [INTEGRATION.id]
    await post.send()
    assert post.host.states() == ["running"]
    row = await post.row(number)
    assert (row["state"], row["attempts"], row["last_error"]) == ("delivered", 1, None)
    await post.send()
    assert post.host.states() == ["running"]
    async with post.db.connection() as conn:
        assert await deliveries.integrations_due(conn) == []


async def test_adding_wakes_one_sender(post: Post) -> None:
    for _ in range(3):
        await post.add("running")
    async with post.db.connection() as conn:
        cursor = await conn.execute("select args, lock from procrastinate_jobs where task_name = 'send_deliveries'")
        jobs = await cursor.fetchall()
    assert jobs == [{"args": {"integration_id": INTEGRATION.id}, "lock": f"deliveries:{INTEGRATION.id}"}]


async def test_a_state_that_was_overtaken_is_not_sent(post: Post) -> None:
    older = await post.add("running")
    await post.add("succeeded")
    await post.add("running", "d" * 40)
    await post.send()
    assert post.host.states() == ["succeeded"]
    assert post.host.states("d" * 40) == ["running"]
    assert "newer" in str((await post.row(older))["last_error"])


async def test_a_failure_is_tried_again_later_and_nothing_overtakes_it(post: Post) -> None:
    number = await post.add("running")
    post.host.errors = [Unreachable("The host does not answer.")]
    await post.send()
    row = await post.row(number)
    assert (row["state"], row["attempts"], row["last_error"]) == ("pending", 1, "The host does not answer.")
    assert timedelta(seconds=3) < await post.wait_of(number) <= timedelta(seconds=5)
    await post.send()
    assert post.host.statuses == []
    await post.make_due()
    await post.send()
    assert post.host.states() == ["running"]
    assert (await post.row(number))["attempts"] == 2


async def test_it_is_given_up_after_the_last_try(post: Post) -> None:
    number = await post.add("running")
    post.host.errors = [Unreachable("no")] * 10
    for _ in range(7):
        await post.make_due()
        await post.send()
    row = await post.row(number)
    assert (row["state"], row["attempts"]) == ("failed", 7)
    assert len(post.host.errors) == 3


async def test_a_commit_that_is_gone_is_given_up_at_once(post: Post) -> None:
    number = await post.add("running")
    post.host.errors = [RemoteNotFound("no such commit")]
    await post.send()
    row = await post.row(number)
    assert (row["state"], row["last_error"]) == ("failed", "no such commit")


async def test_a_rate_limit_is_waited_for(post: Post) -> None:
    number = await post.add("running")
    until = datetime.now(UTC) + timedelta(minutes=40)
    post.host.errors = [RateLimited("slow down", until)]
    await post.send()
    row = await post.row(number)
    assert (row["state"], row["attempts"], row["next_attempt_at"]) == ("pending", 0, until)
    await post.make_due()
    await post.send()
    assert (await post.row(number))["state"] == "delivered"


async def test_many_go_out_side_by_side_and_each_commit_in_turn(post: Post) -> None:
    commits = [f"{number:040x}" for number in range(120)]
    for commit in commits:
        await post.add("running", commit)
    await post.send()
    assert sorted(status.commit for status in post.host.statuses) == commits
    assert post.host.most_at_once == AT_ONCE


async def test_two_senders_never_send_one_thing_twice_or_out_of_order(post: Post) -> None:
    await post.add("running")
    post.host.slow = asyncio.Event()
    first = asyncio.create_task(post.send())

    async def is_sending() -> bool:
        return post.host.at_once == 1

    await eventually(is_sending)
    await post.add("succeeded")
    await post.send()
    assert post.host.statuses == []
    post.host.slow.set()
    await first
    assert post.host.states() == ["running", "succeeded"]


async def test_a_host_that_is_down_is_asked_once_and_not_for_each_of_them(post: Post) -> None:
    numbers = [await post.add("running", f"{number:040x}") for number in range(3 * AT_ONCE)]
    post.host.errors = [Unreachable("The host does not answer.")] * 100
    await post.send()
    assert len(post.host.errors) >= 100 - AT_ONCE
    rows = [await post.row(number) for number in numbers]
    assert {(row["state"], row["attempts"]) for row in rows} == {("pending", 1)}


async def test_a_bug_in_one_is_no_harm_to_the_others(post: Post) -> None:
    first = await post.add("running", "a" * 40)
    for commit in "bcdef":
        await post.add("running", commit * 40)
    post.host.errors = [ZeroDivisionError("inner detail")]
    with structlog.testing.capture_logs() as captured:
        await post.send()
    assert [entry["event"] for entry in captured if entry["log_level"] == "error"] == ["delivery.crashed"]
    assert len(post.host.statuses) == 5
    row = await post.row(first)
    assert (row["state"], row["attempts"]) == ("pending", 1)
    assert "inner detail" not in str(row["last_error"])


async def test_a_worker_that_stops_gives_back_what_it_was_sending_or_about_to(post: Post) -> None:
    numbers = [await post.add("running", f"{number:040x}") for number in range(AT_ONCE + 2)]
    post.host.slow = asyncio.Event()
    sending = asyncio.create_task(post.send())

    async def is_sending() -> bool:
        return post.host.at_once == AT_ONCE

    await eventually(is_sending)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert [(await post.row(number))["attempts"] for number in numbers] == [0] * len(numbers)
    post.host.slow = None
    await post.send()
    assert len(post.host.statuses) == len(numbers)


async def test_what_a_killed_worker_was_sending_is_sent_when_its_lease_is_over(post: Post) -> None:
    await post.add("running")
    async with post.db.transaction() as conn:
        assert len(await deliveries.due(conn, INTEGRATION.id)) == 1
    await post.send()
    assert post.host.statuses == []
    await post.make_due()
    await post.send()
    assert post.host.states() == ["running"]


async def test_who_is_alone_need_not_wait_for_the_lease_of_the_dead(post: Post) -> None:
    await post.add("running")
    async with post.db.transaction() as conn:
        assert len(await deliveries.due(conn, INTEGRATION.id)) == 1
        await deliveries.release(conn)
    await post.send()
    assert post.host.states() == ["running"]


async def test_what_kills_every_sender_is_given_up(post: Post) -> None:
    number = await post.add("running")
    for _ in range(7):
        await post.make_due()
        async with post.db.transaction() as conn:
            assert len(await deliveries.due(conn, INTEGRATION.id)) == 1
    await post.make_due()
    await post.send()
    assert (await post.row(number))["state"] == "failed"
    assert post.host.statuses == []


async def test_a_late_result_of_a_lost_lease_changes_nothing(post: Post) -> None:
    number = await post.add("running")
    async with post.db.transaction() as conn:
        (late,) = await deliveries.due(conn, INTEGRATION.id)
    await post.make_due()
    post.host.errors = [Unreachable("no")]
    await post.send()
    async with post.db.transaction() as conn:
        await deliveries.delivered(conn, late)
    assert (await post.row(number))["state"] == "pending"


async def test_a_type_that_reports_nothing_gives_up(post: Post) -> None:
    number = await post.add("running")
    await Sender(post.db, registry_of(Host(), reports=False), BOX).send_deliveries(INTEGRATION.id)
    assert (await post.row(number))["state"] == "failed"


async def test_a_deleted_integration_gives_up(post: Post) -> None:
    number = await post.add("running")
    async with post.db.transaction() as conn:
        await integrations.mark_deleted(conn, INTEGRATION)
    await post.send()
    assert (await post.row(number))["state"] == "failed"
    assert post.host.statuses == []


async def test_old_results_are_forgotten(post: Post) -> None:
    await post.add("running")
    await post.send()
    waiting = await post.add("running")
    async with post.db.transaction() as conn:
        await conn.execute("update delivery set finished_at = now() - interval '8 days' where state = 'delivered'")
        assert await deliveries.expire(conn) == 1
    assert (await post.row(waiting))["state"] == "pending"
