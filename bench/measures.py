"""The measurements, each against the real server process."""

import asyncio
import base64
import os
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.hooks import push_body, signed_requests
from bench.load import closed_loop, open_loop, request_bytes
from bench.rows import database
from bench.table import Row
from tests.story.conftest import free_port
from tests.story.support import ADMIN_TOKEN, Project, Server, connect, eventually, host_settings
from tieline.integrations import ALL
from tieline.simulators.bitbucket import BitbucketSimulator
from tieline.simulators.bitbucket.plumbing import environment, git

REPOSITORY = "acme/site"
BRANCHES = 2000
ROUNDS = 5
STATUS_SAMPLES = 60
LATENCY_SECONDS = 0.05


@dataclass
class Bench:
    """A simulated host and a server tied to it."""

    host: BitbucketSimulator
    server: Server
    project: Project


@asynccontextmanager
async def bench(folder: Path, **settings: str) -> AsyncIterator[Bench]:
    """Start both, with a repository whose `main` is deployed."""
    folder.mkdir(parents=True, exist_ok=True)
    async with BitbucketSimulator(folder / "host") as host:
        host.create_repository(REPOSITORY)
        await host.commit(REPOSITORY, "main", {"index.html": "main"}, "Start")
        async with Server(folder, host_settings(host, **settings), free_port()) as server:
            project = await connect(server, host, REPOSITORY)
            await project.wait_for("main", status="active")
            await project.settled()
            yield Bench(host, server, project)


def ratio(measured: float, baseline: float) -> str:
    return f"{measured / baseline:.2f}"


async def integration_list(folder: Path) -> list[Row]:
    """The list with an integration of every type, against the same server's constant bytes."""
    async with bench(folder) as at:
        await _add_every_type(at)
        token = {"authorization": f"Bearer {ADMIN_TOKEN}"}
        path = f"/projects/{at.project.id}/integrations"
        listed = await at.server.get(path)
        assert {each["type"] for each in listed} == {kind.key for kind in ALL}
        shares: list[tuple[float, float, float]] = []
        for _ in range(3):
            static = request_bytes("GET", "/healthz", {})
            base = await closed_loop(at.server.port, lambda: static, connections=32, seconds=3)  # noqa: B023
            wanted = request_bytes("GET", path, token)
            ours = await closed_loop(at.server.port, lambda: wanted, connections=32, seconds=3)  # noqa: B023
            assert set(ours.statuses) == {200}
            shares.append((ours.per_second / base.per_second, ours.per_second, base.per_second))
        share, per_second, static_per_second = sorted(shares)[1]
        return [
            Row(
                f"integration list, all {len(ALL)} types, 32 connections",
                f"{per_second:,.0f}/s",
                f"{static_per_second:,.0f}/s static bytes",
                f"{share:.2f}",
                ">= 0.5",
                share >= 0.5,
            )
        ]


async def _add_every_type(at: Bench) -> None:
    """One integration of each type. A project has one Git source, so the others are moved there from elsewhere."""
    for kind in ALL:
        if kind.key == "bitbucket":
            continue
        project = await _create_project(at.server) if kind.is_git_source else at.project.id
        await at.server.call("POST", f"/projects/{project}/integrations", kind.example, expect=201)
    with database(at.server) as connection:
        connection.execute("update integration set project_id = %s, is_git_source = false", [at.project.id])
        connection.execute("select pg_notify('tieline', %s)", [f"integrations:{at.project.id}"])


async def _create_project(server: Server) -> str:
    created = await server.call("POST", "/projects", {"title": "Elsewhere"}, expect=201)
    return str(created["_embedded"]["entity"]["id"])


async def signed_hooks(folder: Path) -> list[Row]:
    """Hooks that are durable when they are answered."""
    async with bench(folder) as at:
        secret = at.host.hook_secrets(REPOSITORY)[0].encode()
        body = push_body("main", at.host.head(REPOSITORY, "main"), REPOSITORY)
        make = signed_requests(f"/api{at.project.integration_path}/hook", secret, body)
        await closed_loop(at.server.port, make, connections=32, seconds=1)
        full = await closed_loop(at.server.port, make, connections=32, seconds=5)
        assert set(full.statuses) == {200}
        await asyncio.sleep(3)
        half = await open_loop(at.server.port, make, per_second=500, seconds=6)
        assert set(half.statuses) == {200}
        p99, most = half.percentile(0.99) * 1000, full.per_second
        return [
            Row("signed hook to durable 200", f"{most:,.0f}/s", "", "", ">= 1,000/s", most >= 1000),
            Row("the same at 500/s", f"p99 {p99:.1f} ms", "", "", "p99 < 25 ms", p99 < 25),
        ]


async def reconcile(folder: Path) -> list[Row]:
    """Fetch activities on 2,000 branches, against plain git on the same repository."""
    async with bench(folder) as at:
        await _grow(at)
        plain = folder / "plain.git"
        url = f"{at.host.url}/{REPOSITORY}.git"
        await asyncio.to_thread(_git, at, "clone", "--quiet", "--mirror", url, str(plain))
        rows: list[Row] = []
        for title, changed in (("nothing changed", 0), ("one branch changed", 1), ("200 branches changed", 200)):
            ours, theirs = [], []
            for round_ in range(ROUNDS):
                await _change(at, changed, round_)
                theirs.append(await asyncio.to_thread(_fetch, at, plain, url))
                ours.append(await _sync(at))
            mine, base = sorted(ours)[ROUNDS // 2], sorted(theirs)[ROUNDS // 2]
            rows.append(
                Row(
                    f"reconcile of {BRANCHES:,} branches, {title}",
                    f"{mine * 1000:,.0f} ms",
                    f"{base * 1000:,.0f} ms git fetch --prune",
                    ratio(mine, base),
                    "<= 1.5",
                    mine / base <= 1.5,
                )
            )
        return rows


async def _grow(at: Bench) -> None:
    """2,000 branches with a commit of their own each, made in one go."""
    at.host.faults.drop_hooks = True
    head = at.host.head(REPOSITORY, "main")
    parts = []
    for number in range(BRANCHES):
        message = f"Branch {number}"
        parts.append(
            f"commit refs/heads/topic/{number}\ncommitter Sam <sam@example.com> now\n"
            f"data {len(message)}\n{message}\nfrom {head}\n"
            f"M 100644 inline file-{number}\ndata 4\ntext\n"
        )
    repository = at.host.repository(REPOSITORY)
    await git(repository.path, "fast-import", "--quiet", "--date-format=now", stdin="".join(parts).encode())
    await at.host.update_refs(REPOSITORY, {})
    await git(repository.path, "gc", "--quiet")
    await _sync(at)
    assert len(await at.project.environments()) == BRANCHES + 1


async def _change(at: Bench, count: int, round_: int) -> None:
    if not count:
        return
    parts = []
    for number in range(count):
        name = f"topic/{(round_ * count + number) % BRANCHES}"
        message = f"Change {round_}"
        parts.append(
            f"commit refs/heads/{name}\ncommitter Sam <sam@example.com> now\n"
            f"data {len(message)}\n{message}\nfrom {at.host.head(REPOSITORY, name)}\n"
            f"M 100644 inline change-{round_}\ndata 4\ntext\n"
        )
    path = at.host.repository(REPOSITORY).path
    await git(path, "fast-import", "--quiet", "--date-format=now", stdin="".join(parts).encode())
    await at.host.update_refs(REPOSITORY, {})


def _git(at: Bench, *arguments: str) -> None:
    token = at.host.issued_tokens()[-1]
    pair = base64.b64encode(f"x-token-auth:{token}".encode()).decode()
    config = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {pair}",
    }
    subprocess.run(["git", *arguments], check=True, capture_output=True, env=environment() | config)


def _fetch(at: Bench, mirror: Path, url: str) -> float:
    began = time.perf_counter()
    _git(at, f"--git-dir={mirror}", "fetch", "--quiet", "--prune", url, "+refs/heads/*:refs/heads/*")
    return time.perf_counter() - began


async def _sync(at: Bench) -> float:
    """Seconds that a fetch activity ran, from its own times."""
    before = {each["id"] for each in await at.project.activities(type="integration.bitbucket.fetch")}
    await at.project.sync()

    async def ended() -> dict[str, str] | None:
        for each in await at.project.activities(type="integration.bitbucket.fetch"):
            if each["id"] not in before and each["state"] == "complete":
                assert each["result"] == "success", each
                return dict(each)
        return None

    done = await eventually(ended, seconds=120, what="the fetch")
    times = [datetime.fromisoformat(done[name]) for name in ("started_at", "completed_at")]
    return (times[1] - times[0]).total_seconds()


async def first_status(folder: Path) -> list[Row]:
    """From the push at the host to the first build status there, with every REST answer 50 ms late."""
    async with bench(folder) as at:
        at.host.faults.latency = LATENCY_SECONDS
        taken: list[float] = []
        per_push: list[int] = []
        for number in range(STATUS_SAMPLES):
            asked = len(at.host.rest.requests)
            began = time.perf_counter()
            commit = await at.host.commit(REPOSITORY, "main", {"index.html": f"{number}"}, f"Push {number}")

            async def posted(wanted: str = commit) -> bool:
                return bool(at.host.statuses(REPOSITORY, wanted))

            await eventually(posted, what="a build status")
            taken.append(time.perf_counter() - began)

            async def done(wanted: str = commit) -> bool:
                return any(each["state"] == "SUCCESSFUL" for each in at.host.statuses(REPOSITORY, wanted))

            await eventually(done, what="the last build status")
            per_push.append(len(at.host.rest.requests) - asked)
        p99 = sorted(taken)[int(len(taken) * 0.99)]
        return [
            Row(
                "hook to first build status, host 50 ms away",
                f"p50 {sorted(taken)[len(taken) // 2] * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms",
                "",
                "",
                "p99 < 2 s",
                p99 < 2,
            ),
            Row("REST requests per push event", f"{max(per_push)} at most", "", "", "<= 3", max(per_push) <= 3),
        ]


async def start_and_idle(folder: Path) -> list[Row]:
    """Ready on new data and again, then what it takes to do nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    async with BitbucketSimulator(folder / "host") as host:
        began = time.perf_counter()
        async with Server(folder, host_settings(host), free_port()) as server:
            cold = time.perf_counter() - began
            await server.stop()
            began = time.perf_counter()
            await server.start()
            warm = time.perf_counter() - began
            assert server.process is not None
            await asyncio.sleep(5)
            pid = server.process.pid
            before = _cpu_seconds(pid)
            await asyncio.sleep(10)
            share = (_cpu_seconds(pid) - before) / 10
            memory = megabytes(pid, "VmRSS")
    return [
        Row("ready on new data", f"{cold:.2f} s", "", "", "<= 4 s", cold <= 4),
        Row("ready again", f"{warm:.2f} s", "", "", "<= 2 s", warm <= 2),
        Row("idle memory, Python", f"{memory:.0f} MB", "", "", "<= 150 MB", memory <= 150),
        Row("idle processor", f"{share:.2%} of a core", "", "", "< 1 %", share < 0.01),
    ]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def megabytes(pid: int, figure: str) -> float:
    """The memory of a process by what Linux calls it: `VmRSS` is what it has, `VmHWM` the most it ever had."""
    line = next(each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith(figure))
    return int(line.split()[1]) / 1024
