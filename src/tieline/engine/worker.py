"""The worker: runs what was woken, sweeps for what was missed, stops gracefully."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import procrastinate
import structlog
from procrastinate import exceptions, jobs
from procrastinate.worker import Worker

from tieline.core.errors import Unavailable
from tieline.store.database import PATIENCE_SECONDS, RECONNECT_SECONDS, TROUBLE
from tieline.store.listener import ListeningConnection
from tieline.store.wakeups import LONG, SHORT, SLOW

log = structlog.get_logger()

Handler = Callable[..., Awaitable[None]]
Sweep = Callable[[], Awaitable[None]]

# With the five seconds that a deployer is given to end, a stop takes less than ten.
GRACE_SECONDS: Final = 2.5
HEARTBEAT_SECONDS: Final = 3.0
STALLED_SECONDS: Final = 10.0
SWEEP_SECONDS: Final = 2.0
SHORT_JOBS: Final = 20
SLOW_JOBS: Final = 10
# Workers are told of new jobs and of locks that become free; this is for what they did not hear.
_POLL_SECONDS: Final = 2.0
_RESTART_SECONDS: Final = 1.0


class Engine:
    """Runs `handlers` by task name, with the keyword arguments of the job, and `sweep` every 2 s.

    A handler that fails is not retried by its job: the sweep finds what is still due. Jobs of workers that
    died are dropped for the same reason, so nothing is held up by their locks. `concurrency` is how many long
    jobs run at once; short ones have places of their own.
    """

    def __init__(
        self,
        dsn: str,
        handlers: Mapping[str, Handler],
        sweep: Sweep,
        *,
        concurrency: int = 10,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        connector = procrastinate.PsycopgConnector(
            conninfo=dsn,
            connection_class=ListeningConnection,
            min_size=1,
            max_size=4,
            timeout=PATIENCE_SECONDS,
            reconnect_timeout=RECONNECT_SECONDS,
            kwargs={"application_name": "tieline engine"},
        )
        self._app = procrastinate.App(connector=connector)
        self._ended = _Ended()
        for name, handler in handlers.items():
            self._app.task(name=name, pass_context=True)(self._guarded(name, handler))
        self._sweep = sweep
        self._places = {LONG: concurrency, SLOW: SLOW_JOBS, SHORT: SHORT_JOBS}
        self._grace = grace_seconds
        self._tasks: list[asyncio.Task[None]] = []
        self._workers: dict[str, Worker] = {}
        self._stopping = False

    async def start(self, *, alone: bool) -> None:
        """Begin to work. `alone` says that no other worker can be alive: what runs on paper is then dropped."""
        await self._app.open_async()
        if alone:
            await self._drop(await self._under_way())
        self._tasks = [
            *(asyncio.create_task(self._work(queue), name=f"worker {queue}") for queue in self._places),
            asyncio.create_task(self._keep_sweeping(), name="sweep"),
        ]

    async def stop(self) -> None:
        """Take no more work and let running jobs end, for the grace time at most; those left are cancelled."""
        # On Python 3.11 `asyncio.wait_for`, with which the pool waits, loses a cancellation that comes with its result.
        self._stopping = True
        for worker in self._workers.values():
            worker.stop()  # type: ignore[no-untyped-call] # the library leaves it without types
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._app.close_async()

    async def _work(self, queue: str) -> None:
        while not self._stopping:
            self._workers[queue] = self._new_worker(queue)
            try:
                await self._workers[queue].run()  # type: ignore[no-untyped-call] # the library leaves it without types
                if not self._stopping:
                    # It ends by itself when it can no longer listen or say that it is alive.
                    log.warning("worker.lost_database", queue=queue)
            except exceptions.ConnectorException as error:
                log.warning("worker.lost_database", queue=queue, error=type(error).__name__)
            except Exception:
                log.exception("worker.ended", queue=queue)
            await self._pause(_RESTART_SECONDS)

    def _new_worker(self, queue: str) -> Worker:
        return Worker(
            self._app,
            queues=[queue],
            concurrency=self._places[queue],
            fetch_job_polling_interval=_POLL_SECONDS,
            update_heartbeat_interval=HEARTBEAT_SECONDS,
            stalled_worker_timeout=STALLED_SECONDS,
            shutdown_graceful_timeout=self._grace,
            delete_jobs=jobs.DeleteJobCondition.ALWAYS.value,
            install_signal_handlers=False,
        )

    async def _pause(self, seconds: float) -> None:
        if not self._stopping:
            await asyncio.sleep(seconds)

    async def _keep_sweeping(self) -> None:
        while not self._stopping:
            try:
                await self._drop_dead()
                await self._sweep()
            except (exceptions.ConnectorException, Unavailable, *TROUBLE) as error:
                log.warning("sweep.lost_database", error=type(error).__name__)
            except Exception:
                log.exception("sweep.failed")
            await self._pause(SWEEP_SECONDS)

    async def _drop_dead(self) -> None:
        """Forget jobs whose worker has not been heard of, and those of ours whose end could not be written down."""
        await self._drop(await self._app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS))
        if left := self._ended.some_time_ago():
            await self._drop(job for job in await self._under_way() if job.id in left)

    async def _under_way(self) -> Iterable[jobs.Job]:
        return await self._app.job_manager.list_jobs_async(status=jobs.Status.DOING.value)

    async def _drop(self, dead: Iterable[jobs.Job]) -> None:
        for job in dead:
            log.warning("job.dropped", task=job.task_name, worker=job.worker_id)
            # Another process may have dropped it first.
            with contextlib.suppress(exceptions.ConnectorException):
                await self._app.job_manager.finish_job(job, jobs.Status.FAILED, delete_job=True)

    def _guarded(self, name: str, handler: Handler) -> Handler:
        """The boundary at which a bug is logged whole and goes no further."""

        async def run(context: procrastinate.JobContext, **arguments: Any) -> None:
            try:
                await handler(**arguments)
            except (Unavailable, *TROUBLE) as error:
                log.warning("job.unavailable", task=name, reason=str(error), **arguments)
            except Exception:
                log.exception("job.failed", task=name, **arguments)
            finally:
                self._ended.add(context.job.id)

        return run


class _Ended:
    """The jobs that ended here lately, in two generations."""

    def __init__(self) -> None:
        self._young: set[int | None] = set()
        self._old: set[int | None] = set()

    def add(self, job_id: int | None) -> None:
        self._young.add(job_id)

    def some_time_ago(self) -> set[int | None]:
        """Those that ended before this was last called; they are not mentioned again."""
        old, self._old, self._young = self._old, self._young, set()
        return old
