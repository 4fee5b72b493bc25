"""The real application on a real PostgreSQL, served by uvicorn on a port of its own.

All of these tests share one server and one event loop: each works in a project of its own. A test that breaks its
server, or counts everything in it, asks for `own_instance`.
"""

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI
from multidict import CIMultiDict

from tests.api.types import FORGE, SINK
from tests.conftest import fresh_database
from tieline.activities.signals import Signals
from tieline.activities.stream import LogStream
from tieline.api.application import create_app
from tieline.api.services import Services
from tieline.core.ids import new_id
from tieline.core.ports import Toolbox
from tieline.core.secret import Secret
from tieline.git.reader import Reader
from tieline.integrations.base import IntegrationType, Registry
from tieline.net.egress import Policy
from tieline.seeds.export import Exporter
from tieline.seeds.load import Ground
from tieline.seeds.playground import Playground
from tieline.seeds.seed import Seed
from tieline.store import accounts
from tieline.store.database import Database
from tieline.store.embedded import EmbeddedServer
from tieline.store.listener import Listener
from tieline.store.seal import SecretBox

# What is started in one test's loop cannot be used in another's.
in_shared_loop = pytest_asyncio.fixture(loop_scope="package")

KEYS = [Secret("a key for tests that is long enough")]
OPERATOR_TOKEN = "operator-token-0123456789-0123456789"
PUBLIC_URL = "https://paas.example"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run every test of this folder in the loop of the server that they share."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="package"), append=False)


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Speaks to one server with one token."""

    url: str
    session: aiohttp.ClientSession
    token: str | None = OPERATOR_TOKEN

    def as_(self, token: str | None) -> "Client":
        return Client(self.url, self.session, token)

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        content_bytes = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        data = None if content_bytes is None else io.BytesIO(content_bytes)
        content = {"Content-Type": "application/json"} if data is not None else {}
        url = self.url + path
        # A header may be given more than once, and one that is given replaces ours.
        given = CIMultiDict(headers or {})
        ours = [each for each in {**content, **sent}.items() if each[0] not in given]
        given.extend(ours)
        async with self.session.request(method, url, data=data, headers=given) as answer:
            return Answer(answer.status, answer.headers.copy(), await answer.read())

    async def get(self, path: str) -> Any:
        answer = await self("GET", path)
        assert answer.status == 200, answer.body
        return answer.json

    async def post(self, path: str, body: Any = None) -> Any:
        answer = await self("POST", path, body)
        assert answer.status in (200, 201), answer.body
        return answer.json


@dataclass
class Instance:
    """One running server: its database, its application, its listener, and a client for the operator.

    The repository of a project is `<id>.git` below `repositories`, once a test has made it.
    """

    dsn: str
    app: FastAPI
    listener: Listener
    client: Client
    services: Services = field(repr=False)
    repositories: Path


class _NoNetwork:
    async def send(self, request: object) -> Any:
        raise AssertionError("the API itself calls nobody")

    async def take(self, credential: str, per_hour: int) -> None:
        raise AssertionError("the API itself calls nobody")

    async def block(self, credential: str, seconds: float) -> None:
        raise AssertionError("the API itself calls nobody")


def no_toolbox() -> Toolbox:
    nobody = _NoNetwork()
    return Toolbox(http=nobody, limiter=nobody, settings={})


def _playground(database: Database, registry: Registry, box: SecretBox) -> Playground:
    return Playground(database, Ground(registry, box, Secret(OPERATOR_TOKEN)), Seed())


async def _is_started(server: uvicorn.Server) -> bool:
    return server.started


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """The URL under which `app` answers."""
    # A socket that says it is TCP: asyncio turns off Nagle's algorithm for no other.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        # On a busy machine a client comes back later than uvicorn waits for it.
        config = uvicorn.Config(
            app, log_config=None, lifespan="off", timeout_graceful_shutdown=1, timeout_keep_alive=60
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        await eventually(lambda: _is_started(server))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@asynccontextmanager
async def running(
    dsn: str, types: tuple[IntegrationType, ...] = (FORGE, SINK), *, development: bool = False
) -> AsyncIterator[Instance]:
    """One server process's worth of Tieline's API."""
    listener = Listener(dsn)
    async with Database(dsn, patience=2) as database, AsyncExitStack() as stack:
        async with database.transaction() as conn:
            await accounts.ensure_operator(conn, Secret(OPERATOR_TOKEN))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        box, registry = SecretBox(KEYS), Registry(types, no_toolbox())
        services = Services(
            db=database,
            box=box,
            registry=registry,
            listener=listener,
            read_log=LogStream(database, Signals(listener)).read,
            repository=lambda project_id: Reader(folder / f"{project_id}.git"),
            export=Exporter(database, box, registry).export,
            public_url=PUBLIC_URL,
            token_keys=KEYS,
            check_url=Policy().check_url,
            development=_playground(database, registry, box) if development else None,
        )
        app = create_app(services)
        await listener.start()
        stack.push_async_callback(listener.close)
        url = await stack.enter_async_context(serving(app))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Instance(dsn, app, listener, Client(url, session), services, folder)


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def instance(postgres: EmbeddedServer) -> AsyncIterator[Instance]:
    """The server that all share."""
    with fresh_database(postgres) as dsn:
        async with running(dsn) as started:
            yield started


@in_shared_loop
async def own_instance(dsn: str) -> AsyncIterator[Instance]:
    """A server for one test alone, with a database that nothing has touched."""
    async with running(dsn) as started:
        yield started


@in_shared_loop
async def second(instance: Instance) -> AsyncIterator[Instance]:
    """Another server on the shared one's database."""
    async with running(instance.dsn) as started:
        yield started


@pytest.fixture
def client(instance: Instance) -> Client:
    return instance.client


async def create_project(client: Client) -> str:
    """The id of a new project."""
    created = await client.post("/projects", {"title": "Site"})
    return str(created["_embedded"]["entity"]["id"])


@in_shared_loop
async def project(client: Client) -> str:
    """The id of a project that only this test knows."""
    return await create_project(client)


NewUser = Callable[..., Awaitable[Client]]


@in_shared_loop
async def new_user(client: Client) -> NewUser:
    """Makes a user, gives it a role in a project if asked to, and returns a client that speaks as it."""

    async def make(name: str, project: str | None = None, role: str | None = None) -> Client:
        username = f"{name}-{new_id()}"
        user = await client.post("/users", {"username": username, "email": f"{username}@example.org"})
        token = await client.post(f"/users/{user['id']}/api-tokens", {"name": "test"})
        if project and role:
            await client.post(f"/projects/{project}/user-access", [{"user_id": user["id"], "permissions": [role]}])
        return client.as_(token["token"])

    return make


async def eventually(check: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    """Wait until `check` says yes; fail at the deadline."""
    async with asyncio.timeout(seconds):
        while not await check():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)
