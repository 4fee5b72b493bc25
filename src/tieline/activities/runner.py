"""Takes an activity from its start to its end. The handler of the task `run_activity`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import structlog

from tieline.activities.log import LogWriter, Superseded
from tieline.activities.signals import Signals, Waiter
from tieline.core.documents import Activity
from tieline.core.errors import Cancelled, DeployFailed, NotFound, TielineError, Unavailable
from tieline.core.ids import new_id
from tieline.core.ports import ActivityHandler, Log, Outcome
from tieline.core.redact import Redactor
from tieline.core.remote import BuildState
from tieline.store import activities
from tieline.store.database import TROUBLE, Connection, Database

log = structlog.get_logger()

NOTICED_WAIT: Final = 1.0
NOTHING_TO_CLEAN: Final = 0.1
TIME_TO_CLEAN: Final = 15.0
MOST_ATTEMPTS: Final = 50
Announce = Callable[[Connection, Activity, BuildState], Awaitable[None]]
RedactorOf = Callable[[Activity], Awaitable[Redactor]]


async def announce_nothing(_conn: Connection, _activity: Activity, _state: BuildState) -> None:
    """For a server without integrations that report build statuses."""


async def redact_urls_only(_activity: Activity) -> Redactor:
    """For activities that know no secrets."""
    return Redactor()


class Runner:
    """Runs activities with the handlers of their types, whose names may be patterns (`integration.*.fetch`).

    `redactor_of` gives what masks the secrets that an activity may come across. `announce` is called in the
    transaction of each change of state that the outside may want to know.
    """

    def __init__(
        self,
        db: Database,
        signals: Signals,
        handlers: Mapping[str, ActivityHandler],
        redactor_of: RedactorOf = redact_urls_only,
        announce: Announce = announce_nothing,
    ) -> None:
        self._db = db
        self._signals = signals
        self._handlers = handlers
        self._redactor_of = redactor_of
        self._announce = announce

    async def run(self, activity_id: str) -> None:
        """Run an admitted activity to its end; harmless when there is nothing to run.

        When this task itself is cancelled (the worker stops), the activity stays in progress and its log says so;
        whoever runs it next starts from the beginning as another attempt. So it is when the database goes away.
        """
        with self._signals.waiter(activity_id, "activity") as waiter:
            activity = await self._begin(activity_id)
            if activity is None:
                return
            try:
                await self._run(activity, waiter)
            except Superseded:
                log.info("activity.superseded", activity=activity_id, attempt=activity.attempt)

    async def _begin(self, activity_id: str) -> Activity | None:
        async with self._db.transaction() as conn:
            activity = await activities.begin(conn, activity_id)
            if activity is not None and activity.attempt == 1:
                await self._announce(conn, activity, "running")
        return activity

    async def _run(self, activity: Activity, waiter: Waiter) -> None:
        writer = LogWriter(self._db, activity)
        storing = asyncio.create_task(writer.run())
        try:
            outcome = await self._attempt(activity, writer, waiter, storing)
            await writer.close()
            await storing
        except asyncio.CancelledError:
            await asyncio.shield(_say_last(writer, storing, "The worker is stopping. The activity will start again."))
            raise
        finally:
            storing.cancel()
        await self._end(activity, outcome)

    async def _attempt(
        self, activity: Activity, writer: LogWriter, waiter: Waiter, storing: asyncio.Task[None]
    ) -> Outcome | None:
        """The outcome; None when it was cancelled on request. Raises `Superseded`."""
        if activity.cancel_requested_at is not None:
            return None
        working = asyncio.create_task(self._work(activity, writer))
        watching = asyncio.create_task(self._watch(activity, waiter))
        try:
            await asyncio.wait({working, watching, storing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(watching, NOTHING_TO_CLEAN)
            await _cancel(working, TIME_TO_CLEAN)
        _raise_failure(storing)
        if not working.cancelled():
            return working.result()
        _raise_failure(watching)
        await writer.write("Cancelled.")
        return None

    async def _watch(self, activity: Activity, waiter: Waiter) -> None:
        """Return when a person asks for the end. Raises `Superseded`."""
        while True:
            async with self._db.connection() as conn:
                current = await activities.get_any(conn, activity.id)
            if current is None or current.attempt != activity.attempt or current.state != "in_progress":
                raise Superseded("Another attempt runs this activity now, or it has ended.")
            if current.cancel_requested_at is not None:
                return
            await waiter.wait()

    async def _work(self, activity: Activity, writer: LogWriter) -> Outcome | None:
        """What the handler makes of it; None when the handler itself finds that it is not wanted any more."""
        try:
            await _say_first(activity, writer)
            writer.mask(await self._redactor_of(activity))
            return await self._handler(activity.type)(activity, writer)
        except (Superseded, *TROUBLE):
            # The database says nothing of this activity's worth: it stays in progress and starts again.
            raise
        except Cancelled as error:
            await writer.write(str(error))
            return None
        except TielineError as error:
            await writer.write(str(error))
            return Outcome("failure", failure_reason_of(error))
        except Exception:
            reference = new_id()
            log.exception("activity.crashed", activity=activity.id, type=activity.type, reference=reference)
            await writer.write(f"Something went wrong inside Tieline. The server's log has more under {reference}.")
            return Outcome("failure", "error")

    def _handler(self, activity_type: str) -> ActivityHandler:
        for pattern, handler in self._handlers.items():
            if fnmatchcase(activity_type, pattern):
                return handler
        raise NotFound(f"This server does not know how to run {activity_type}.")

    async def _end(self, activity: Activity, outcome: Outcome | None) -> None:
        async with self._db.transaction() as conn:
            if outcome is None:
                has_ended = await activities.finish_cancelled(conn, activity)
            else:
                has_ended = await activities.finish(conn, activity, outcome)
            if has_ended:
                await self._announce(conn, activity, build_state_of(outcome))


def failure_reason_of(error: TielineError) -> Literal["error", "shell"]:
    """`shell` for a command that ended with an exit status, as the vendor has it."""
    return "shell" if isinstance(error, DeployFailed) and error.exit_status is not None else "error"


def build_state_of(outcome: Outcome | None) -> BuildState:
    """What the end of an activity means to the Git host; None is a cancelled one."""
    if outcome is None:
        return "stopped"
    return "succeeded" if outcome.result == "success" else "failed"


async def _say_first(activity: Activity, writer: Log) -> None:
    """Raises `Unavailable` when it has been started too often."""
    if activity.attempt > MOST_ATTEMPTS:
        raise Unavailable(f"Every worker that ran this activity stopped in the middle. Given up after {MOST_ATTEMPTS}.")
    waited = activity.timings.get("wait", 0)
    if activity.attempt > 1:
        await writer.write(f"The worker that ran this activity is gone. Starting again (attempt {activity.attempt}).")
    elif waited >= NOTICED_WAIT:
        await writer.write(f"Waiting for other activities to complete (took {waited:.0f} s)")


async def _say_last(writer: LogWriter, storing: asyncio.Task[None], sentence: str) -> None:
    await writer.write(sentence)
    await writer.close()
    await asyncio.wait({storing})


async def _cancel(task: asyncio.Task[Any], patience: float) -> None:
    """Cancel a task and wait for it to clean up; again when it has not ended after `patience` seconds.

    Once is not enough: on Python 3.11 `asyncio.wait_for`, by which the pool of connections waits, loses a
    cancellation that comes together with what it waits for.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=patience)
    if not task.cancelled():
        task.exception()  # seen, so that the loop does not complain of what nobody asks for


def _raise_failure(task: asyncio.Task[None]) -> None:
    if task.done() and not task.cancelled() and (error := task.exception()) is not None:
        raise error
