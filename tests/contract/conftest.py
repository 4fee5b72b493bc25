"""A Git host with a repository, and everything that an integration type needs to talk to it."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tieline.core.documents import Integration
from tieline.core.http import Request, Response
from tieline.core.ports import Toolbox
from tieline.core.secret import Secret
from tieline.integrations import bitbucket
from tieline.integrations.base import Registry, Source
from tieline.net.client import GuardedClient
from tieline.net.egress import Policy, parse_networks
from tieline.simulators.bitbucket import BitbucketSimulator

REPOSITORY = "acme/site"
TOPICS = [f"topic-{number}" for number in range(1, 6)]
KEY, SECRET = "consumer-key", "consumer-secret"
HOOK_SECRET = "the secret of the hook"
TOKEN_PATH = "/site/oauth2/access_token"
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@dataclass
class Wire:
    """The way out as the server has it, remembering what went over it."""

    client: GuardedClient
    sent: list[Request] = field(default_factory=list)

    async def send(self, request: Request) -> Response:
        self.sent.append(request)
        return await self.client.send(request)

    def of(self, method: str, ending: str) -> list[Request]:
        return [each for each in self.sent if each.method == method and each.url.partition("?")[0].endswith(ending)]

    @property
    def tokens(self) -> int:
        """How often a token was asked for."""
        return len(self.of("POST", TOKEN_PATH))

    @property
    def rest(self) -> list[Request]:
        return [each for each in self.sent if not each.url.endswith(TOKEN_PATH)]


@dataclass
class Budget:
    """A limiter that remembers."""

    taken: list[tuple[str, int]] = field(default_factory=list)
    blocks: list[float] = field(default_factory=list)

    async def take(self, credential: str, per_hour: int) -> None:
        self.taken.append((credential, per_hour))

    async def block(self, credential: str, seconds: float) -> None:
        self.blocks.append(seconds)


@dataclass
class Desk:
    """The toolbox of one server process, set up for the host at `url`."""

    url: str
    wire: Wire
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        settings = {
            "TIELINE_BITBUCKET_API": f"{self.url}/2.0",
            "TIELINE_BITBUCKET_OAUTH": f"{self.url}{TOKEN_PATH}",
        }
        self.registry = Registry((bitbucket.TYPE,), Toolbox(self.wire, self.budget, settings))

    @property
    def cache(self) -> dict[str, object]:
        return self.registry.toolbox.cache


def make_integration(
    secrets: Mapping[str, str] | None = None, *, remote_id: str | None = None, **config: object
) -> Integration:
    """One with an OAuth consumer, unless told otherwise."""
    example = {**bitbucket.TYPE.example, "app_credentials": {"key": KEY}, "addon_credentials": None, **config}
    given = {"app_credentials.secret": SECRET, "hook": HOOK_SECRET} if secrets is None else secrets
    kept = {name: Secret(value) for name, value in given.items()}
    return Integration("integration23", "project234567", "bitbucket", example, NOW, None, kept, remote_id=remote_id)


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    client = GuardedClient(Policy(parse_networks("127.0.0.0/8")), "tieline-tests")
    yield Wire(client)
    await client.close()


async def _push_samples(folder: Path) -> dict[str, str]:
    async with BitbucketSimulator(folder) as simulator:
        simulator.create_repository(REPOSITORY)
        await simulator.commit(REPOSITORY, "main", {"index.html": "main"}, "Start")
        for branch in TOPICS:
            await simulator.commit(REPOSITORY, branch, {"page": branch}, parent="main")
        return simulator.repository(REPOSITORY).heads


@pytest.fixture(scope="session")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder of the host with commits in it, and the heads of the branches that they are to be on."""
    folder = tmp_path_factory.mktemp("pushed")
    return folder, asyncio.run(_push_samples(folder))


@pytest.fixture
async def host(tmp_path: Path, pushed: tuple[Path, dict[str, str]]) -> AsyncIterator[BitbucketSimulator]:
    """`main` and five branches, each with an open pull request, numbered as they were opened."""
    folder, heads = pushed
    shutil.copytree(folder, tmp_path / "bitbucket")
    async with BitbucketSimulator(tmp_path / "bitbucket") as simulator:
        simulator.add_consumer(KEY, SECRET)
        simulator.create_repository(REPOSITORY)
        await simulator.update_refs(REPOSITORY, heads)
        for branch in TOPICS:
            await simulator.open_pull(REPOSITORY, source=branch, target="main")
        simulator.rest.requests.clear()
        yield simulator


@pytest.fixture
def desk(host: BitbucketSimulator, wire: Wire) -> Desk:
    return Desk(host.url, wire)


@dataclass(frozen=True)
class Asked:
    """One REST request to the odd host."""

    method: str
    path: str
    body: bytes


@dataclass
class OddHost:
    """A host that gives tokens like the real one, and answers everything else with what `reply` returns."""

    server: TestServer
    reply: Callable[[Asked], web.Response] = lambda _: web.json_response({})
    token: Mapping[str, object] = field(default_factory=lambda: {"access_token": "odd-token", "expires_in": 7200})
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        return str(self.server.make_url("")).rstrip("/")


@pytest.fixture
async def odd() -> AsyncIterator[OddHost]:
    async def token(_: web.Request) -> web.Response:
        return web.json_response({"token_type": "bearer", **made.token})

    async def rest(request: web.Request) -> web.Response:
        made.asked.append(Asked(request.method, request.path_qs, await request.read()))
        return made.reply(made.asked[-1])

    application = web.Application()
    application.router.add_post(TOKEN_PATH, token)
    application.router.add_route("*", "/2.0/{path:.*}", rest)
    made = OddHost(TestServer(application))
    async with made.server:
        yield made


@pytest.fixture
def odd_desk(odd: OddHost, wire: Wire) -> Desk:
    return Desk(odd.url, wire)


def source_of(desk: Desk, integration: Integration | None = None) -> Source:
    source = desk.registry.source(integration or make_integration())
    assert source is not None
    return source


async def numbers(source: Source, max_pages: int | None = None) -> tuple[list[int], bool]:
    listing = await source.pulls(max_pages)
    return [each.number for each in listing.pulls], listing.complete
