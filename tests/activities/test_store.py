"""The one way of activities through their states, in a real database."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.activities.conftest import World
from tests.unit.core.samples import ANN, INTEGRATION, MAIN, PROJECT, PULL
from tieline.core import kinds
from tieline.core.documents import Activity
from tieline.core.errors import Invalid, NotFound
from tieline.core.ports import Outcome
from tieline.core.remote import Scope
from tieline.store import activities, logs
from tieline.store.activities import ActivityQuery


async def begin(world: World, activity: Activity) -> Activity:
    async with world.db.transaction() as conn:
        begun = await activities.begin(conn, activity.id)
    assert begun is not None
    return begun


async def page(world: World, query: ActivityQuery) -> list[str]:
    async with world.db.connection() as conn:
        return [each.id for each in await activities.page(conn, PROJECT.id, query)]


async def test_a_new_activity_waits_and_wakes_a_worker(world: World) -> None:
    new = await world.push()
    assert (new.state, new.result, new.completion_percent, new.attempt) == ("pending", None, 0, 0)
    assert new.expires_at is not None
    assert new.expires_at - new.created_at == timedelta(days=30)
    (job,) = await world.jobs("run_activity")
    assert job["args"] == {"activity_id": new.id}
    assert job["lock"] == f"environment:{PROJECT.id}/pr-7"


async def test_a_record_is_complete_at_once(world: World) -> None:
    record = await world.create(kinds.project_modified(PROJECT, "title", ANN, "Old", "New"))
    assert (record.state, record.result, record.completion_percent) == ("complete", "success", 100)
    assert record.started_at == record.completed_at == record.created_at
    assert await world.jobs("run_activity") == []


async def test_a_rolled_back_activity_wakes_nobody(world: World) -> None:
    async def create_and_fail() -> None:
        async with world.db.transaction() as conn:
            await activities.create(conn, kinds.activate(PROJECT, PULL, ANN))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await create_and_fail()
    assert await world.jobs("run_activity") == []


async def test_creation_times_differ_even_in_one_transaction(world: World) -> None:
    async with world.db.transaction() as conn:
        created = [await activities.create(conn, kinds.activate(PROJECT, PULL, ANN)) for _ in range(5)]
    assert len({each.created_at for each in created}) == 5
    assert await page(world, ActivityQuery()) == [each.id for each in reversed(created)]


async def test_pages_and_filters(world: World) -> None:
    push = await world.push()
    fetch = await world.create(kinds.fetch(PROJECT, INTEGRATION, "Bitbucket", ANN, {}))
    record = await world.create(kinds.project_created(PROJECT, ANN))
    assert await page(world, ActivityQuery()) == [record.id, fetch.id, push.id]
    assert await page(world, ActivityQuery(count=1)) == [record.id]
    assert await page(world, ActivityQuery(starts_at=fetch.created_at)) == [fetch.id, push.id]
    assert await page(world, ActivityQuery(environment_id="pr-7")) == [push.id]
    assert await page(world, ActivityQuery(integration_id=INTEGRATION.id)) == [fetch.id]
    assert await page(world, ActivityQuery(types=("environment.push", "project.create"))) == [record.id, push.id]
    assert await page(world, ActivityQuery(states=("complete",), results=("success",))) == [record.id]
    assert await page(world, ActivityQuery(results=("failure",))) == []
    async with world.db.connection() as conn:
        assert await activities.page(conn, "another", ActivityQuery()) == []
        with pytest.raises(NotFound):
            await activities.get(conn, "another", push.id)


async def test_only_the_last_attempt_counts(world: World) -> None:
    first = await begin(world, await world.push())
    second = await begin(world, first)
    assert (first.attempt, second.attempt, second.started_at) == (1, 2, first.started_at)
    assert second.timings["wait"] >= 0
    async with world.db.transaction() as conn:
        assert not await activities.is_current(conn, first)
        assert not await activities.finish(conn, first, Outcome("failure", "error"))
        assert not await activities.finish_cancelled(conn, first)
        assert not await logs.append(conn, first, [(first.created_at, "late\n")])
        assert await activities.is_current(conn, second)
        assert await activities.finish(conn, second, Outcome(timings={"build": 1.5}, payload={"deployment": {}}))
        assert not await activities.finish(conn, second, Outcome("failure", "error"))
    done = await world.activity(second)
    assert (done.state, done.result, done.completion_percent) == ("complete", "success", 100)
    assert done.timings.keys() == {"wait", "build", "execute"}
    assert done.payload.keys() >= {"user", "commits", "deployment"}
    async with world.db.transaction() as conn:
        assert await activities.begin(conn, done.id) is None
        assert await activities.is_final(conn, done.id)


async def test_an_activity_begins_only_when_admitted(world: World) -> None:
    first, second = await world.push(), await world.push()
    async with world.db.transaction() as conn:
        assert await activities.begin(conn, second.id) is None
    begun = await begin(world, first)
    async with world.db.transaction() as conn:
        await activities.finish(conn, begun, Outcome())
    assert (await begin(world, second)).attempt == 1


async def test_cancelling_a_pending_one_makes_room(world: World) -> None:
    first, second = await world.push(), await world.push()
    async with world.db.transaction() as conn:
        cancelled = await activities.cancel(conn, PROJECT.id, first.id)
    assert (cancelled.state, cancelled.result, cancelled.completion_percent) == ("cancelled", "failure", 100)
    assert cancelled.cancelled_at is not None
    await begin(world, second)
    async with world.db.transaction() as conn:
        assert not await activities.cancel_pending(conn, first)


async def test_cancelling_a_running_one_asks_its_worker(world: World) -> None:
    running = await begin(world, await world.push())
    async with world.db.transaction() as conn:
        asked = await activities.cancel(conn, PROJECT.id, running.id)
    assert asked.state == "in_progress"
    assert asked.cancel_requested_at is not None
    async with world.db.transaction() as conn:
        assert await activities.finish_cancelled(conn, running)


async def test_what_is_over_cannot_be_cancelled(world: World) -> None:
    record = await world.create(kinds.project_created(PROJECT, ANN))
    removal = await world.create(kinds.delete(PROJECT, PULL, ANN))
    for activity in (record, removal):
        async with world.db.transaction() as conn:
            with pytest.raises(Invalid, match="cannot be cancelled in its current state"):
                await activities.cancel(conn, PROJECT.id, activity.id)


async def test_hints_merge_into_the_fetch_that_waits(world: World) -> None:
    hook = kinds.fetch_parameters(Scope(frozenset({1}), repository=False), "hook")
    fetch = await world.create(kinds.fetch(PROJECT, INTEGRATION, "Bitbucket", ANN, hook))
    more = kinds.fetch_parameters(Scope(frozenset({2}), repository=False), "hook")
    async with world.db.transaction() as conn:
        waiting = await activities.pending_of(conn, kinds.integration_key(INTEGRATION.id), fetch.type)
        assert waiting is not None
        assert await activities.merge_parameters(conn, waiting, lambda old: kinds.merge_fetch_parameters(old, more))
    begun = await begin(world, fetch)
    assert kinds.fetch_scope(begun.parameters).pulls == frozenset({1, 2})
    async with world.db.transaction() as conn:
        assert not await activities.merge_parameters(conn, begun, lambda old: old)
        assert await activities.pending_of(conn, kinds.integration_key(INTEGRATION.id), fetch.type) is None
        assert [each.id for each in await activities.open_of(conn, kinds.integration_key(INTEGRATION.id))] == [fetch.id]


async def test_who_was_ever_built(world: World) -> None:
    push = await world.push()
    async with world.db.transaction() as conn:
        assert not await activities.ever_began(conn, PROJECT.id, "pr-7")
        await activities.begin(conn, push.id)
        assert await activities.ever_began(conn, PROJECT.id, "pr-7")
        assert not await activities.ever_began(conn, PROJECT.id, "main")


async def test_old_ones_expire_with_their_logs(world: World) -> None:
    done, open_still = await begin(world, await world.push()), await world.push(MAIN)
    async with world.db.transaction() as conn:
        assert await logs.append(conn, done, [(done.created_at, "line\n")])
        await activities.finish(conn, done, Outcome())
        await conn.execute("update activity set expires_at = now() - interval '1 second'")
        assert await activities.expire(conn) == 1
        assert await logs.load(conn, done.id) == []
    assert await page(world, ActivityQuery()) == [open_still.id]


async def test_all_that_are_old_expire_however_many(world: World) -> None:
    for environment in (PULL, MAIN):
        done = await begin(world, await world.push(environment))
        async with world.db.transaction() as conn:
            await activities.finish(conn, done, Outcome())
    async with world.db.connection() as conn:
        await conn.execute("update activity set expires_at = now() - interval '1 second'")
        assert await activities.expire(conn, at_once=1) == 2


async def test_two_writers_of_one_log_never_collide(world: World) -> None:
    activity = await begin(world, await world.push())

    async def write(name: str) -> None:
        for number in range(20):
            async with world.db.transaction() as conn:
                assert await logs.append(conn, activity, [(activity.created_at, f"{name} {number}\n")] * 2)

    await asyncio.gather(write("a"), write("b"), write("c"))
    lines = await world.log(activity)
    assert [line.seq for line in lines] == list(range(1, 121))
    async with world.db.connection() as conn:
        assert await logs.load(conn, activity.id, after=118) == lines[118:]
        assert await logs.load(conn, activity.id, after=0, limit=3) == lines[:3]


async def test_many_at_once_never_deadlock(world: World) -> None:
    async def live(number: int) -> None:
        environment = replace(PULL, id=f"e{number % 4}")
        async with world.db.transaction() as conn:
            created = await activities.create(conn, kinds.activate(PROJECT, environment, ANN))
        async with world.db.transaction() as conn:
            await activities.cancel_pending(conn, created)

    await asyncio.gather(*(live(number) for number in range(100)))
    assert len(await page(world, ActivityQuery(states=("cancelled",), count=1000))) == 100
