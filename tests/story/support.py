"""What the stories need: the real server as a process, and patience with a deadline."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import aiohttp

from tieline.simulators.bitbucket import BitbucketSimulator

T = TypeVar("T")
ADMIN_TOKEN = "story-admin-token-0123456789abcdef0123456789"


async def eventually(check: Callable[[], Awaitable[T | None]], *, seconds: float = 30, what: str = "it") -> T:
    """The first truthy answer of `check`; fails with `what` when the deadline passes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := await check():
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


class Process(Protocol):
    """The part of `asyncio.subprocess.Process` that stories use."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def send_signal(self, number: int, /) -> None: ...

    def kill(self) -> None: ...

    async def wait(self) -> int: ...


@dataclass
class Server:
    """`tieline serve` as its operator runs it: a process of its own, on its own data folder."""

    folder: Path
    settings: Mapping[str, str]
    port: int
    arguments: Sequence[str] = ()
    prefix: Sequence[str] = ()
    process: Process | None = None
    session: aiohttp.ClientSession | None = None
    starts: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        return Path(self.settings.get("TIELINE_DATA", self.folder / "data"))

    @property
    def output(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")

    async def __aenter__(self) -> Self:
        # Shorter than the server's own patience: whoever was busy meanwhile does not notice that it hung up.
        connector = aiohttp.TCPConnector(keepalive_timeout=2)
        self.session = aiohttp.ClientSession(connector=connector, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
        try:
            await self.start()
        except BaseException:
            await self.kill()
            await self.session.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.stop()
        finally:
            assert self.session is not None
            await self.session.close()

    async def start(self) -> None:
        await self.spawn()
        await self.wait_until_ready()

    async def wait_until_ready(self) -> None:
        await eventually(self._ready, seconds=60, what="the server to be ready")

    async def spawn(self) -> None:
        """Start the process, and wait for nothing."""
        self.starts += 1
        self.process = await self._begin()

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the process."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "TIELINE_DATA": str(self.data),
            "TIELINE_LISTEN": f"127.0.0.1:{self.port}",
            "TIELINE_ADMIN_TOKEN": ADMIN_TOKEN,
            "TIELINE_EGRESS_ALLOW": "127.0.0.0/8",
            **self.settings,
        }

    async def _begin(self) -> Process:
        with (self.folder / "server.log").open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *(*self.prefix, sys.executable, "-m", "tieline", "serve", *self.arguments),
                env=self.variables,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def _ready(self) -> bool:
        assert self.process is not None
        assert self.session is not None
        assert self.process.returncode is None, self.output
        try:
            async with self.session.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def stop(self) -> float:
        """SIGTERM; the seconds until the process was gone."""
        assert self.process is not None
        began = time.monotonic()
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), 20)
            except TimeoutError:
                # What is left would keep a test run from ending.
                await self.kill()
                raise
        return time.monotonic() - began

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def kill_group(self) -> None:
        """Kill whatever else the process has started, too."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def call(self, method: str, path: str, body: Any = None, *, expect: int | None = None) -> Any:
        """The JSON answer; `expect` states the status that the story relies on."""
        assert self.session is not None
        async with self.session.request(method, self.url + path, json=body) as answer:
            text = await answer.text()
            wanted = (expect,) if expect else (200, 201)
            assert answer.status in wanted, f"{method} {path}: {answer.status} {text}"
            return json.loads(text) if text else None

    async def get(self, path: str) -> Any:
        return await self.call("GET", path)


@dataclass
class Project:
    """A project of the server that is tied to one repository of the simulator."""

    server: Server
    id: str
    integration_id: str = ""

    @property
    def path(self) -> str:
        return f"/projects/{self.id}"

    @property
    def integration_path(self) -> str:
        return f"{self.path}/integrations/{self.integration_id}"

    async def environments(self) -> dict[str, dict[str, Any]]:
        return {each["id"]: each for each in await self.server.get(f"{self.path}/environments")}

    async def activities(self, **filters: str) -> list[dict[str, Any]]:
        query = "&".join(f"{name}={value}" for name, value in {"count": "100", **filters}.items())
        listed: list[dict[str, Any]] = await self.server.get(f"{self.path}/activities?{query}")
        return listed

    async def all_activities(self) -> dict[str, dict[str, Any]]:
        """Every activity there is by id, page after page as a client reads them."""
        found: dict[str, dict[str, Any]] = {}
        page = await self.activities()
        while not found.keys() >= {each["id"] for each in page}:
            found |= {each["id"]: each for each in page}
            page = await self.activities(starts_at=page[-1]["created_at"].replace("+", "%2B"))
        return found

    async def settled(self, *, seconds: float = 60) -> None:
        """Wait until every activity is final."""

        async def nothing_open() -> bool:
            return not await self.server.get(f"{self.path}/activities?state=pending&state=in_progress")

        await eventually(nothing_open, seconds=seconds, what="every activity to end")

    async def sync(self, **body: Any) -> None:
        await self.server.call("POST", f"{self.integration_path}/sync", body or {})

    async def wait_for(self, environment: str, *, seconds: float = 30, **fields: Any) -> dict[str, Any]:
        """The environment once all `fields` read as given."""

        async def matches() -> dict[str, Any] | None:
            found = (await self.environments()).get(environment)
            return found if found and all(found[name] == value for name, value in fields.items()) else None

        return await eventually(matches, seconds=seconds, what=f"{environment} with {fields}")

    async def wait_gone(self, environment: str, *, seconds: float = 30) -> None:
        async def gone() -> bool:
            return environment not in await self.environments()

        await eventually(gone, seconds=seconds, what=f"{environment} to be removed")


async def connect(server: Server, host: BitbucketSimulator, repository: str, **fields: Any) -> Project:
    """Create a project and tie it to `repository`, as a person with curl would."""
    host.add_consumer("story-key", "story-secret")
    created = await server.call("POST", "/projects", {"title": "Story"}, expect=201)
    project = Project(server, created["_embedded"]["entity"]["id"])
    body = {
        "type": "bitbucket",
        "repository": repository,
        "app_credentials": {"key": "story-key", "secret": "story-secret"},
        "fetch_branches": True,
        "prune_branches": True,
        "build_pull_requests": True,
        **fields,
    }
    answer = await server.call("POST", f"{project.path}/integrations", body, expect=201)
    project.integration_id = answer["_embedded"]["entity"]["id"]
    return project


def host_settings(host: BitbucketSimulator, **more: str) -> dict[str, str]:
    """Point Tieline's Bitbucket at the simulator."""
    return {"TIELINE_BITBUCKET_API": host.api_url, "TIELINE_BITBUCKET_OAUTH": host.oauth_url, **more}
