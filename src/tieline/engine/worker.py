"""The worker: runs what was woken, sweeps for what was missed, stops gracefully."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import procrastinate
import structlog
from procrastinate import exceptions, jobs

from tieline.core.errors import Unavailable
from tieline.store.database import TROUBLE

log = structlog.get_logger()

Handler = Callable[..., Awaitable[None]]
Sweep = Callable[[], Awaitable[None]]

GRACE_SECONDS: Final = 8.0
HEARTBEAT_SECONDS: Final = 2.0
STALLED_SECONDS: Final = 10.0
SWEEP_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.5
_RESTART_SECONDS: Final = 1.0


class Engine:
    """Runs `handlers` by task name, with the keyword arguments of the job, and `sweep` every 2 s.

    A handler that fails is not retried by its job: the sweep finds what is still due. Jobs of workers that
    died are dropped for the same reason, so nothing is held up by their locks.
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
        self._connector = procrastinate.PsycopgConnector(
            conninfo=dsn, min_size=1, max_size=4, kwargs={"application_name": "tieline engine"}
        )
        self._app = procrastinate.App(connector=self._connector)
        for name, handler in handlers.items():
            self._app.task(name=name)(_guarded(name, handler))
        self._sweep = sweep
        self._concurrency = concurrency
        self._grace = grace_seconds
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, *, alone: bool) -> None:
        """Begin to work. `alone` says that no other worker can be alive: what runs on paper is then dropped."""
        await self._app.open_async()
        await self._drop_stalled(0 if alone else STALLED_SECONDS)
        self._tasks = [
            asyncio.create_task(self._work(), name="worker"),
            asyncio.create_task(self._keep_sweeping(), name="sweep"),
        ]

    async def stop(self) -> None:
        """Take no more work and let running jobs end, for the grace time at most; those left are cancelled."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []
        await self._app.close_async()

    async def _work(self) -> None:
        while True:
            try:
                await self._app.run_worker_async(
                    concurrency=self._concurrency,
                    fetch_job_polling_interval=_POLL_SECONDS,
                    update_heartbeat_interval=HEARTBEAT_SECONDS,
                    stalled_worker_timeout=STALLED_SECONDS,
                    shutdown_graceful_timeout=self._grace,
                    delete_jobs=jobs.DeleteJobCondition.ALWAYS.value,
                    install_signal_handlers=False,
                )
            except exceptions.ConnectorException as error:
                log.warning("worker.lost_database", error=type(error).__name__)
            except Exception:
                log.exception("worker.ended")
            await asyncio.sleep(_RESTART_SECONDS)

    async def _keep_sweeping(self) -> None:
        while True:
            try:
                await self._drop_stalled(STALLED_SECONDS)
                await self._sweep()
            except (exceptions.ConnectorException, Unavailable, *TROUBLE) as error:
                log.warning("sweep.lost_database", error=type(error).__name__)
            except Exception:
                log.exception("sweep.failed")
            await asyncio.sleep(SWEEP_SECONDS)

    async def _drop_stalled(self, seconds: float) -> None:
        """Forget jobs whose worker has not been heard of for so long."""
        manager = self._app.job_manager
        if seconds:
            stalled = await manager.get_stalled_jobs(seconds_since_heartbeat=seconds)
        else:
            stalled = await manager.list_jobs_async(status=jobs.Status.DOING.value)
        for job in stalled:
            log.warning("job.dropped", task=job.task_name, worker=job.worker_id)
            with contextlib.suppress(exceptions.ConnectorException):
                await manager.finish_job(job, jobs.Status.FAILED, delete_job=True)


def _guarded(name: str, handler: Handler) -> Handler:
    """The boundary at which a bug is logged whole and goes no further."""

    async def run(**arguments: Any) -> None:
        try:
            await handler(**arguments)
        except Exception:
            log.exception("job.failed", task=name, **arguments)

    return run
