"""The real application on a real PostgreSQL, served by uvicorn on a port of its own, in the test's own loop."""

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import uvicorn
from fastapi import FastAPI

from tests.api.types import FORGE, SINK
from tieline.activities.signals import Signals
from tieline.activities.stream import LogStream
from tieline.api.application import create_app
from tieline.api.services import Services
from tieline.core.ports import Toolbox
from tieline.core.secret import Secret
from tieline.integrations.base import IntegrationType, Registry
from tieline.net.egress import Policy
from tieline.store import accounts
from tieline.store.database import Database
from tieline.store.listener import Listener
from tieline.store.seal import SecretBox

KEYS = [Secret("a key for tests that is long enough")]
OPERATOR_TOKEN = "operator-token-0123456789-0123456789"
PUBLIC_URL = "https://paas.example"


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
        headers: dict[str, str] | None = None,
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        content_bytes = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        data = None if content_bytes is None else io.BytesIO(content_bytes)
        content = {"Content-Type": "application/json"} if data is not None else {}
        url = self.url + path
        async with self.session.request(
            method, url, data=data, headers={**content, **sent, **(headers or {})}
        ) as answer:
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
    """One running server: its application, its listener, and a client for the operator."""

    app: FastAPI
    listener: Listener
    client: Client
    services: Services = field(repr=False)


class _NoNetwork:
    async def send(self, request: object) -> Any:
        raise AssertionError("the API itself calls nobody")

    async def take(self, credential: str, per_hour: int) -> None:
        raise AssertionError("the API itself calls nobody")

    async def block(self, credential: str, seconds: float) -> None:
        raise AssertionError("the API itself calls nobody")


def _toolbox() -> Toolbox:
    nobody = _NoNetwork()
    return Toolbox(http=nobody, limiter=nobody, settings={})


async def _is_started(server: uvicorn.Server) -> bool:
    return server.started


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """The URL under which `app` answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        await eventually(lambda: _is_started(server))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@asynccontextmanager
async def running(dsn: str, types: tuple[IntegrationType, ...] = (FORGE, SINK)) -> AsyncIterator[Instance]:
    """One server process's worth of Tieline's API."""
    listener = Listener(dsn)
    async with Database(dsn, patience=2) as database, AsyncExitStack() as stack:
        async with database.transaction() as conn:
            await accounts.ensure_operator(conn, Secret(OPERATOR_TOKEN))
        services = Services(
            db=database,
            box=SecretBox(KEYS),
            registry=Registry(types, _toolbox()),
            listener=listener,
            read_log=LogStream(database, Signals(listener)).read,
            public_url=PUBLIC_URL,
            token_keys=KEYS,
            check_url=Policy().check_url,
        )
        app = create_app(services)
        await listener.start()
        stack.push_async_callback(listener.close)
        url = await stack.enter_async_context(serving(app))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Instance(app, listener, Client(url, session), services)


@pytest.fixture
async def instance(dsn: str) -> AsyncIterator[Instance]:
    async with running(dsn) as started:
        yield started


@pytest.fixture
async def second(dsn: str, instance: Instance) -> AsyncIterator[Instance]:
    """Another server on the same database."""
    async with running(dsn) as started:
        yield started


@pytest.fixture
def client(instance: Instance) -> Client:
    return instance.client


@pytest.fixture
async def project(client: Client) -> str:
    """The id of a project."""
    created = await client.post("/projects", {"title": "Site"})
    return str(created["_embedded"]["entity"]["id"])


NewUser = Callable[..., Awaitable[Client]]


@pytest.fixture
async def new_user(client: Client) -> NewUser:
    """Makes a user, gives it a role in a project if asked to, and returns a client that speaks as it."""

    async def make(username: str, project: str | None = None, role: str | None = None) -> Client:
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
