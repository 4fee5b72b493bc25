"""Activities that succeed, fail, crash, are cancelled, and lose their worker."""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from tests.activities.conftest import World, eventually
from tests.unit.core.samples import ANN, MAIN, PROJECT
from tieline.activities.runner import MOST_ATTEMPTS, Runner
from tieline.activities.signals import Signals
from tieline.core import kinds
from tieline.core.documents import Activity
from tieline.core.errors import Cancelled, DeployFailed, Invalid, Unavailable, Unreachable
from tieline.core.ports import ActivityHandler, Log, Outcome
from tieline.core.redact import Redactor
from tieline.core.remote import BuildState
from tieline.core.secret import Secret
from tieline.store import activities
from tieline.store.database import TROUBLE, Connection
from tieline.store.listener import Listener

CHECKOUT = Path(__file__).parents[2]


class Announced(list[tuple[str, int, BuildState]]):
    """What the outside would be told."""

    async def __call__(self, _conn: Connection, activity: Activity, state: BuildState) -> None:
        self.append((activity.type, activity.attempt, state))


@pytest.fixture
def announced() -> Announced:
    return Announced()


def runner(world: World, handler: ActivityHandler, announced: Announced, *secrets: str) -> Runner:
    async def redactor_of(_activity: Activity) -> Redactor:
        return Redactor([Secret(each) for each in secrets])

    return Runner(world.db, world.signals, {"environment.*": handler}, redactor_of, announced)


def raising(error: Exception) -> ActivityHandler:
    async def handler(_activity: Activity, log: Log) -> Outcome:
        await log.write("trying")
        raise error

    return handler


async def endless(_activity: Activity, log: Log) -> Outcome:
    await log.write("begun")
    await asyncio.Event().wait()
    raise AssertionError("an event that nobody sets was set")


async def succeed(_activity: Activity, log: Log) -> Outcome:
    await log.write("done\nthe password is hunter22\n")
    return Outcome(timings={"build": 2.5}, payload={"deployment": {"urls": []}})


async def test_success(world: World, announced: Announced) -> None:
    push = await world.push()
    await runner(world, succeed, announced, "hunter22").run(push.id)
    done = await world.activity(push)
    assert (done.state, done.result, done.timings["build"]) == ("complete", "success", 2.5)
    assert done.payload["deployment"] == {"urls": []}
    assert await world.text(push) == "done\nthe password is ********\n"
    assert announced == [("environment.push", 1, "running"), ("environment.push", 1, "succeeded")]


async def test_running_it_again_changes_nothing(world: World, announced: Announced) -> None:
    push = await world.push()
    for _ in range(2):
        await runner(world, succeed, announced).run(push.id)
    await runner(world, succeed, announced).run("missing")
    assert (await world.activity(push)).attempt == 1
    assert len(announced) == 2


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unreachable("The host does not answer."), "error"),
        (DeployFailed("The build ended with exit status 3.", 3), "shell"),
        (DeployFailed("The build took too long."), "error"),
    ],
)
async def test_an_error_is_a_sentence_at_the_end_of_the_log(
    world: World, announced: Announced, error: Exception, reason: str
) -> None:
    push = await world.push()
    await runner(world, raising(error), announced).run(push.id)
    done = await world.activity(push)
    assert (done.state, done.result, done.failure_reason) == ("complete", "failure", reason)
    assert await world.text(push) == f"trying\n{error}\n"
    assert announced[-1] == ("environment.push", 1, "failed")


async def test_a_crash_is_failed_with_a_reference_and_logged_in_full(world: World, announced: Announced) -> None:
    push = await world.push()
    with structlog.testing.capture_logs() as captured:
        await runner(world, raising(ZeroDivisionError("inner detail")), announced).run(push.id)
    done = await world.activity(push)
    assert (done.state, done.result, done.failure_reason) == ("complete", "failure", "error")
    last = (await world.log(push))[-1].message
    (entry,) = [each for each in captured if each["event"] == "activity.crashed"]
    assert entry["reference"] in last
    assert "inner detail" not in last


async def test_a_type_that_nobody_runs_fails(world: World, announced: Announced) -> None:
    push = await world.push()
    await Runner(world.db, world.signals, {}, announce=announced).run(push.id)
    assert (await world.activity(push)).result == "failure"
    assert "environment.push" in await world.text(push)


async def test_a_running_one_is_cancelled_at_once(world: World, announced: Announced) -> None:
    push = await world.push()
    running = asyncio.create_task(runner(world, endless, announced).run(push.id))
    await world.wait_for_text(push, "begun\n")
    async with world.db.transaction() as conn:
        await activities.cancel(conn, PROJECT.id, push.id)
    async with asyncio.timeout(3):
        await running
    done = await world.activity(push)
    assert (done.state, done.result, done.completion_percent) == ("cancelled", "failure", 100)
    assert await world.text(push) == "begun\nCancelled.\n"
    assert announced[-1] == ("environment.push", 1, "stopped")
    async with world.db.transaction() as conn:
        with pytest.raises(Invalid):
            await activities.cancel(conn, PROJECT.id, push.id)


async def test_a_pending_one_that_is_cancelled_never_runs_and_tells_nobody(world: World, announced: Announced) -> None:
    push = await world.push()
    async with world.db.transaction() as conn:
        await activities.cancel(conn, PROJECT.id, push.id)
    await runner(world, succeed, announced).run(push.id)
    assert (await world.activity(push)).state == "cancelled"
    assert (await world.text(push), announced) == ("", [])


async def test_a_handler_may_find_that_it_is_not_wanted(world: World, announced: Announced) -> None:
    push = await world.push()
    await runner(world, raising(Cancelled("The environment is inactive.")), announced).run(push.id)
    assert (await world.activity(push)).state == "cancelled"
    assert (await world.text(push)).endswith("The environment is inactive.\n")


async def test_a_handler_that_finishes_in_spite_of_the_request_is_complete(world: World, announced: Announced) -> None:
    async def stubborn(_activity: Activity, log: Log) -> Outcome:
        await log.write("begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await log.write("too late")
        return Outcome()

    push = await world.push()
    running = asyncio.create_task(runner(world, stubborn, announced).run(push.id))
    await world.wait_for_text(push, "begun\n")
    async with world.db.transaction() as conn:
        await activities.cancel(conn, PROJECT.id, push.id)
    await running
    assert (await world.activity(push)).state == "complete"


async def test_a_worker_that_stops_leaves_it_for_the_next(world: World, announced: Announced) -> None:
    push = await world.push()
    running = asyncio.create_task(runner(world, endless, announced).run(push.id))
    await world.wait_for_text(push, "begun\n")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    left = await world.activity(push)
    assert (left.state, left.attempt) == ("in_progress", 1)
    await runner(world, succeed, announced).run(push.id)
    done = await world.activity(push)
    assert (done.state, done.attempt) == ("complete", 2)
    first, stopping, again, *_ = (await world.text(push)).splitlines()
    assert first == "begun"
    assert "stopping" in stopping
    assert "attempt 2" in again
    assert [state for _, _, state in announced] == ["running", "succeeded"]


async def test_an_activity_that_no_worker_survives_is_given_up(world: World, announced: Announced) -> None:
    push = await world.push()
    async with world.db.transaction() as conn:
        await activities.begin(conn, push.id)
        await conn.execute("update activity set attempt = %s", [MOST_ATTEMPTS])
    await runner(world, succeed, announced).run(push.id)
    assert (await world.activity(push)).result == "failure"
    assert "Given up" in await world.text(push)


async def test_secrets_that_cannot_be_read_fail_it(world: World, announced: Announced) -> None:
    async def redactor_of(_activity: Activity) -> Redactor:
        raise Unavailable("A stored secret needs another key.")

    push = await world.push()
    await Runner(world.db, world.signals, {"*": succeed}, redactor_of, announced).run(push.id)
    assert (await world.activity(push)).result == "failure"
    assert await world.text(push) == "A stored secret needs another key.\n"


async def test_a_cancel_that_no_worker_heard_ends_the_next_attempt(world: World, announced: Announced) -> None:
    push = await world.push()
    async with world.db.transaction() as conn:
        await activities.begin(conn, push.id)
        await activities.cancel(conn, PROJECT.id, push.id)
    await runner(world, succeed, announced).run(push.id)
    assert (await world.activity(push)).state == "cancelled"
    assert await world.text(push) == ""


async def test_a_database_that_goes_away_in_the_middle_is_no_failure(world: World, announced: Announced) -> None:
    async def cut_off(_activity: Activity, log: Log) -> Outcome:
        await log.write("begun")
        async with world.db.transaction() as conn:
            await conn.execute("select pg_terminate_backend(pg_backend_pid())")
        raise AssertionError("the database answered once more")

    push = await world.push()
    with pytest.raises(TROUBLE):
        await runner(world, cut_off, announced).run(push.id)
    assert (await world.activity(push)).state == "in_progress"
    await runner(world, succeed, announced).run(push.id)
    done = await world.activity(push)
    assert (done.state, done.result, done.attempt) == ("complete", "success", 2)
    assert [state for _, _, state in announced] == ["running", "succeeded"]


async def test_a_second_attempt_shuts_out_a_first_that_is_not_dead(world: World, announced: Announced) -> None:
    push = await world.push()
    first = asyncio.create_task(runner(world, endless, announced).run(push.id))
    await world.wait_for_text(push, "begun\n")
    await runner(world, succeed, announced).run(push.id)
    async with asyncio.timeout(3):
        await first
    done = await world.activity(push)
    assert (done.state, done.result, done.attempt) == ("complete", "success", 2)
    assert "Cancelled" not in await world.text(push)
    assert announced.count(("environment.push", 1, "stopped")) == 0


WORKER = """
import asyncio, sys
from tieline.activities.runner import MOST_ATTEMPTS, Runner
from tieline.activities.signals import Signals
from tieline.activities.signals import Signals
from tieline.store.database import Database
from tieline.store.listener import Listener

async def work(activity, log):
    await log.write("the first worker is at it")
    await asyncio.sleep(600)

async def main(dsn, activity_id):
    async with Database(dsn) as db:
        await Runner(db, Signals(Listener(dsn)), {"*": work}).run(activity_id)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_killed_worker_is_replaced(world: World, announced: Announced, dsn: str) -> None:
    push = await world.push()
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, dsn, push.id, cwd=CHECKOUT)
    await world.wait_for_text(push, "the first worker is at it\n")
    os.kill(worker.pid, signal.SIGKILL)
    await worker.wait()
    await runner(world, succeed, announced).run(push.id)
    done = await world.activity(push)
    assert (done.state, done.attempt) == ("complete", 2)
    assert "the first worker is at it\nThe worker that ran this activity is gone." in await world.text(push)


async def test_the_end_of_one_lets_the_next_start(world: World, announced: Announced) -> None:
    first, second = await world.push(), await world.push()
    await runner(world, raising(Unreachable("no")), announced).run(first.id)
    assert [job["args"] for job in await world.jobs("run_activity")][-1] == {"activity_id": second.id}
    await runner(world, succeed, announced).run(second.id)
    assert (await world.activity(second)).result == "success"


async def test_a_noticeable_wait_is_told(world: World, announced: Announced) -> None:
    push = await world.create(kinds.activate(PROJECT, MAIN, ANN))
    async with world.db.transaction() as conn:
        await conn.execute("update activity set created_at = created_at - interval '30 seconds'")
    await runner(world, succeed, announced).run(push.id)
    assert (await world.text(push)).startswith("Waiting for other activities to complete (took 30 s)\n")


async def test_a_lost_notification_only_delays_the_cancel(world: World, announced: Announced, dsn: str) -> None:
    listener = Listener(dsn)
    world = replace(world, signals=Signals(listener, poll_seconds=0.3))
    await listener.start()
    push = await world.push()
    running = asyncio.create_task(runner(world, endless, announced).run(push.id))
    await world.wait_for_text(push, "begun\n")
    async with world.db.connection() as conn:
        await conn.execute("update activity set cancel_requested_at = now() where id = %s", [push.id])

    async def is_over() -> bool:
        return running.done()

    await eventually(is_over)
    await listener.close()
    assert (await world.activity(push)).state == "cancelled"
