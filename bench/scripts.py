"""What running a script takes, and what scripts that mean harm cost whoever is told of something beside them."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from bench.receivers import Receivers
from bench.table import Row
from tieline.core.http import Request, Response
from tieline.net.client import GuardedClient
from tieline.net.egress import Policy, parse_networks
from tieline.scripts.confinement import Limits
from tieline.scripts.runner import ScriptProcesses

RUNS: Final = 400
ROUNDS: Final = 8
POSTS: Final = 400
AT_ONCE: Final = 4
MOST_MILLISECONDS: Final = 25
MOST_DELAY: Final = 1.1

MESSENGER: Final = """
function tell(title, message) {
  const heading = title + (new Date().getDay() === 5) ? " (On a Friday! :calendar:)" : "";
  const color = activity.result === "success" ? "#66c000" : "#ff0000";
  const resp = fetch("%s", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ attachments: [{ title: heading, text: message, color: color }] }),
  });
  if (!resp.ok) console.log("The message was not taken: " + resp.body.text());
}
tell(activity.text, activity.log);
"""
SPIN: Final = "console.log('spinning'); for (;;) {}"
WORLD: Final[dict[str, Any]] = {
    "activity": {"text": "Ann pushed to main", "log": "Building\n" * 1000, "result": "success", "payload": {}},
    "project": {"id": "project"},
    "variables": {},
}


@dataclass
class Host:
    """What a script may ask for: to be heard, and to send."""

    http: GuardedClient
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def log(self, _text: str) -> None:
        self.heard.set()

    async def fetch(self, request: Request) -> Response:
        return await self.http.send(request)

    async def get(self, key: str) -> str | None:
        raise NotImplementedError(key)

    async def set(self, key: str, _value: str) -> None:
        raise NotImplementedError(key)

    async def remove(self, key: str) -> None:
        raise NotImplementedError(key)

    async def clear(self) -> None:
        raise NotImplementedError


async def script_run(_folder: Path) -> list[Row]:
    """A script that tells a chat, again and again; and POSTs beside scripts that spin, in turns with POSTs alone."""
    http = GuardedClient(Policy(parse_networks("127.0.0.0/8")), "tieline-bench")
    runner = ScriptProcesses(Limits(processor_seconds=600, seconds=600), at_once=AT_ONCE)
    try:
        async with Receivers(["answers"]) as receivers:
            runs = await _time_runs(runner, http, receivers.urls[0])
            alone, beside = await _time_posts(runner, http, receivers.urls[0])
    finally:
        await runner.close()
        await http.close()
    return [_run_row(runs), _post_row(alone, beside)]


async def _time_runs(runner: ScriptProcesses, http: GuardedClient, url: str) -> list[float]:
    return [await _time_run(runner, http, url) for _ in range(RUNS + 1)][1:]


async def _time_run(runner: ScriptProcesses, http: GuardedClient, url: str) -> float:
    began = time.perf_counter()
    end = await runner.run(MESSENGER % url, WORLD, Host(http))
    assert not end.error, end
    return (time.perf_counter() - began) * 1000


async def _time_posts(runner: ScriptProcesses, http: GuardedClient, url: str) -> tuple[list[float], list[float]]:
    """Milliseconds of each POST alone, and beside as many spinning scripts as may run."""
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(ROUNDS):
        alone += await _posts(http, url)
        async with _spinning(runner, http):
            beside += await _posts(http, url)
    return alone, beside


@asynccontextmanager
async def _spinning(runner: ScriptProcesses, http: GuardedClient) -> AsyncIterator[None]:
    hosts = [Host(http) for _ in range(AT_ONCE)]
    tasks = [asyncio.create_task(runner.run(SPIN, WORLD, host)) for host in hosts]
    await asyncio.gather(*(host.heard.wait() for host in hosts))
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _posts(http: GuardedClient, url: str) -> list[float]:
    times = []
    for _ in range(POSTS):
        began = time.perf_counter()
        await http.send(Request("POST", url, {"Content-Type": "application/json"}, b'{"id":"x"}' * 400))
        times.append((time.perf_counter() - began) * 1000)
    return times


def _run_row(runs: Sequence[float]) -> Row:
    slowest = _p95(runs)
    return Row(
        "run of a script that tells a chat, p95",
        f"{slowest:.1f} ms",
        f"median {median(runs):.1f} ms",
        f"{slowest:.1f} ms",
        f"< {MOST_MILLISECONDS} ms",
        slowest < MOST_MILLISECONDS,
    )


def _post_row(alone: Sequence[float], beside: Sequence[float]) -> Row:
    delay = median(beside) / median(alone)
    return Row(
        f"a POST beside {AT_ONCE} spinning scripts, median",
        f"{median(beside):.2f} ms, p95 {_p95(beside):.2f} ms",
        f"{median(alone):.2f} ms, p95 {_p95(alone):.2f} ms alone",
        f"{delay:.2f}",
        f"<= {MOST_DELAY}",
        delay <= MOST_DELAY,
    )


def _p95(times: Sequence[float]) -> float:
    return quantiles(times, n=20)[-1]
