"""Jobs are run, dropped with their worker, and found again; a stop is gentle, then firm."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from tieline.engine.worker import SLOW_JOBS, Engine
from tieline.store.database import Database
from tieline.store.wakeups import LONG, SLOW, wake


async def nothing() -> None:
    """A sweep that finds nothing."""


class Yard:
    """An engine with two tasks that say when they begin and end, and wait where they are told to."""

    def __init__(self, dsn: str, database: Database, sweep: Callable[[], Awaitable[None]] = nothing) -> None:
        self.db = database
        self.said: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.engine = Engine(dsn, {"work": self.work, "fail": self.fail}, sweep, concurrency=1, grace_seconds=0.2)

    async def work(self, name: str) -> None:
        self.said.append(f"{name} begins")
        try:
            if name in self.gates:
                await self.gates[name].wait()
        except asyncio.CancelledError:
            self.said.append(f"{name} is cancelled")
            raise
        self.said.append(f"{name} ends")

    async def fail(self, name: str) -> None:
        self.said.append(f"{name} begins")
        raise ZeroDivisionError(name)

    def hold(self, name: str) -> asyncio.Event:
        self.gates[name] = asyncio.Event()
        return self.gates[name]

    async def wake(self, name: str, *, task: str = "work", lock: str | None = None) -> None:
        async with self.db.transaction() as conn:
            await wake(conn, task, f"{task}:{name}", {"name": name}, lock)

    async def wake_in(self, queue: str, name: str) -> None:
        async with self.db.transaction() as conn:
            await conn.execute(
                "select tieline_wake('work', %s, jsonb_build_object('name', %s::text), null, %s)", [name, name, queue]
            )

    async def jobs(self) -> int:
        async with self.db.connection() as conn:
            cursor = await conn.execute("select count(*) as jobs from procrastinate_jobs")
            row = await cursor.fetchone()
        assert row is not None
        return int(row["jobs"])

    async def until_said(self, *words: str, seconds: float = 10) -> None:
        await self.until(lambda: set(words) <= set(self.said), seconds)

    async def until(self, check: Callable[[], bool], seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < deadline, self.said
            await asyncio.sleep(0.005)

    async def until_no_job_is_left(self, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while await self.jobs():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


@pytest.fixture
async def yards(dsn: str, database: Database) -> AsyncIterator[Callable[..., Awaitable[Yard]]]:
    """Starts engines, and stops them at the end."""
    async with AsyncExitStack() as stack:

        async def start(*, alone: bool = False, sweep: Callable[[], Awaitable[None]] = nothing) -> Yard:
            yard = Yard(dsn, database, sweep)
            stack.push_async_callback(yard.engine.stop)
            await yard.engine.start(alone=alone)
            return yard

        yield start


@pytest.fixture
async def yard(yards: Callable[..., Awaitable[Yard]]) -> Yard:
    return await yards()


async def test_a_job_that_fails_is_forgotten_like_any_other(yard: Yard) -> None:
    await yard.wake("bad", task="fail")
    await yard.wake("good")
    await yard.until_said("bad begins", "good ends")
    await yard.until_no_job_is_left()
    assert yard.said.count("bad begins") == 1


async def test_who_waits_for_a_lock_begins_as_soon_as_it_is_free(yard: Yard) -> None:
    # A worker that looks at that very moment may miss the word of it, and then looks again after two seconds.
    assert min([await seconds_until_the_next(yard, lock) for lock in ("main", "staging", "pr-7")]) < 1


async def seconds_until_the_next(yard: Yard, lock: str) -> float:
    """How long who waits for a lock has to wait once it is free."""
    first, second, third = (f"{name} of {lock}" for name in ("first", "second", "third"))
    gate = yard.hold(first)
    await yard.wake(first, lock=f"environment:{lock}")
    await yard.until_said(f"{first} begins")
    await yard.wake(second, lock=f"environment:{lock}")
    await yard.wake(third, lock=f"environment:other than {lock}")
    await yard.until_said(f"{third} ends")
    assert f"{second} begins" not in yard.said
    gate.set()
    began = time.monotonic()
    await yard.until_said(f"{second} ends")
    return time.monotonic() - began


async def test_long_and_slow_jobs_leave_room_for_short_ones(yard: Yard) -> None:
    fetches = [f"fetch {number}" for number in range(SLOW_JOBS)]
    for name in ("build", *fetches):
        yard.hold(name)
        await yard.wake_in(LONG if name == "build" else SLOW, name)
    await yard.until_said("build begins", *(f"{name} begins" for name in fetches))
    await yard.wake_in(LONG, "another build")
    await yard.wake_in(SLOW, "another fetch")
    await yard.wake("hook")
    await yard.until_said("hook ends")
    assert not {"another build begins", "another fetch begins"} & set(yard.said)


async def test_a_stop_waits_for_what_runs_and_then_cancels_it(yard: Yard) -> None:
    yard.hold("endless")
    gate = yard.hold("nearly done")
    await yard.wake("endless")
    await yard.wake("nearly done")
    await yard.until_said("endless begins", "nearly done begins")
    asyncio.get_running_loop().call_later(0.1, gate.set)
    await yard.engine.stop()
    assert {"nearly done ends", "endless is cancelled"} <= set(yard.said)
    assert await yard.jobs() == 0
    await yard.engine.stop()


async def test_a_stop_may_come_at_any_moment_of_the_start(dsn: str) -> None:
    """Whatever the workers are waiting for just then, a connection among other things."""
    for number in range(60):
        engine = Engine(dsn, {}, nothing, grace_seconds=0.2)
        await engine.start(alone=False)
        await asyncio.sleep(number * 0.0005)
        async with asyncio.timeout(5):
            await engine.stop()


async def test_the_job_of_a_worker_that_is_gone_no_longer_holds_its_lock(yards: Callable[..., Awaitable[Yard]]) -> None:
    yard = await yards()
    await leave_a_dead_job(yard, last_heard="1 minute")
    await yard.wake("next", lock="environment:main")
    await yard.until_said("next ends")


async def test_who_is_alone_need_not_wait_for_the_dead(
    yards: Callable[..., Awaitable[Yard]], database: Database
) -> None:
    yard = Yard("", database)
    await leave_a_dead_job(yard, last_heard="1 second")
    await yard.wake("next", lock="environment:main")
    began = time.monotonic()
    started = await yards(alone=True)
    await started.until_said("next ends")
    assert time.monotonic() - began < 2


async def leave_a_dead_job(yard: Yard, last_heard: str) -> None:
    async with yard.db.transaction() as conn:
        await conn.execute(
            """
            with dead as (
                insert into procrastinate_workers (last_heartbeat) values (now() - %s::interval) returning id
            )
            insert into procrastinate_jobs (queue_name, task_name, lock, status, worker_id, args)
            select 'short', 'work', 'environment:main', 'doing', id, '{"name": "dead"}' from dead
            """,
            [last_heard],
        )


async def test_a_job_whose_end_could_not_be_written_down_is_dropped_later(yard: Yard) -> None:
    async with yard.db.transaction() as conn:
        await conn.execute(
            "create function refuse() returns trigger language plpgsql as $$ begin raise 'not now'; end $$;"
            "create trigger refuse before delete on procrastinate_jobs for each row execute function refuse();"
        )
    await yard.wake("first", lock="environment:main")
    await yard.until_said("first ends")
    async with yard.db.transaction() as conn:
        await conn.execute("drop function refuse cascade")
    await yard.wake("second", lock="environment:main")
    await yard.until_said("second ends")


async def test_a_database_that_went_away_is_worked_for_again(yards: Callable[..., Awaitable[Yard]]) -> None:
    swept: list[float] = []

    async def sweep() -> None:
        swept.append(time.monotonic())

    yard = await yards(sweep=sweep)
    async with yard.db.connection() as conn:
        await conn.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
    before = len(swept)
    await yard.wake("later")
    await yard.until_said("later ends")
    await yard.until(lambda: len(swept) > before)
