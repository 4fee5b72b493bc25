"""What the trouble of one receiver costs: the others, fresh events, and memory."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

from bench.events import store_of
from bench.lists import serving
from bench.load import percentile
from bench.measures import megabytes
from bench.receivers import Mode, Receivers
from bench.rows import add_retries, database
from bench.table import Row
from bench.webhooks import Webhooks, webhooks
from tests.story.conftest import free_port

ENDPOINTS = 100
ROUNDS = 7
ROUND_SECONDS = 6
EVENTS_PER_SECOND = 1
WARM_SECONDS = 2

RETRIES = 1_000_000
RETRYING = 10
FRESH_PER_SECOND = 5
DRAIN_SECONDS = 60


async def dead_endpoint(folder: Path) -> list[Row]:
    """How soon the others are told while one of a hundred is dead, and while all live: in turns, on servers apart."""
    others = ENDPOINTS - 1
    async with AsyncExitStack() as stack:
        modes: list[Mode] = ["answers"] * ENDPOINTS
        receivers = await stack.enter_async_context(Receivers([*modes, "silent"]))
        last = {
            "lives": receivers.urls[others],
            "never answers": receivers.urls[ENDPOINTS],
            "refuses connections": f"http://127.0.0.1:{free_port()}/hook",
        }
        sides: dict[str, Webhooks] = {}
        for name, url in last.items():
            server = await stack.enter_async_context(serving(folder / str(len(sides))))
            db = await stack.enter_async_context(store_of(server))
            sides[name] = await webhooks(server, db, [*receivers.urls[:others], url])
            await sides[name].first_bytes(receivers, others, EVENTS_PER_SECOND, WARM_SECONDS)
        p99: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(ROUNDS):
            for name, side in sides.items():
                taken = await side.first_bytes(receivers, others, EVENTS_PER_SECOND, ROUND_SECONDS)
                p99[name].append(percentile(taken, 0.99))
    lives = p99.pop("lives")
    return [_beside(name, found, lives) for name, found in p99.items()]


def _beside(name: str, found: list[float], lives: list[float]) -> Row:
    shares = sorted(with_it / without for with_it, without in zip(found, lives, strict=True))
    middle = median(shares)
    return Row(
        f"event to first byte at {ENDPOINTS - 1} endpoints, one more {name}",
        f"p99 {median(found) * 1000:.0f} ms",
        f"{median(lives) * 1000:.0f} ms while it lives",
        f"{middle:.2f} ({shares[0]:.2f} to {shares[-1]:.2f})",
        "<= 1.1",
        middle <= 1.1,
    )


async def waiting_retries(folder: Path) -> list[Row]:
    """What is drained in a minute of very many retries that are all due, what memory that takes, and what it delays."""
    async with Receivers(["answers"] * RETRYING) as receivers, serving(folder) as server, store_of(server) as db:
        told = await webhooks(server, db, receivers.urls, ordered=False)
        await told.first_bytes(receivers, RETRYING, FRESH_PER_SECOND, WARM_SECONDS)
        assert server.process is not None
        before = megabytes(server.process.pid, "VmRSS")
        await asyncio.to_thread(add_retries, server, told.what.project_id, RETRIES)
        fresh = await told.first_bytes(receivers, RETRYING, FRESH_PER_SECOND, DRAIN_SECONDS)
        drained = _drained(told)
        grown = megabytes(server.process.pid, "VmHWM") - before
    title = f"{RETRIES:,} retries that are due"
    soon, late = percentile(fresh, 0.5), percentile(fresh, 0.99)
    return [
        Row(f"{title}: memory, Python", f"{grown:+.0f} MB", "", "", "<= 100 MB", grown <= 100),
        Row(f"{title}: tried again", f"{drained:,.0f}/s", "", "", "", None),
        Row("fresh events meanwhile, to first byte", f"p50 {soon:.2f} s, p99 {late:.2f} s", "", "", "", None),
    ]


def _drained(told: Webhooks) -> float:
    """Retries a second that were delivered."""
    query = """
        select count(*) / extract(epoch from max(finished_at) - min(finished_at))::float
        from delivery where project_id = %s and cause_id like 'retry-%%' and state = 'delivered'
    """
    with database(told.server) as connection:
        row = connection.execute(query, [told.what.project_id]).fetchone()
    assert row is not None
    assert isinstance(row[0], float)
    return row[0]
