"""A project whose webhooks are told of what happens, and the processes that tell them, side by side in this one."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, LiteralString, Self

import pytest

from tests.activities.conftest import BOX, eventually, furnish
from tests.unit.core.samples import INTEGRATION, PROJECT, PULL
from tieline.core import kinds
from tieline.core.clock import now
from tieline.core.deliveries import Message, Receipt, Receiver
from tieline.core.documents import Actor, Environment, Integration
from tieline.core.errors import RemoteError
from tieline.core.http import Request, Response
from tieline.core.ports import Journal, Toolbox
from tieline.core.remote import BuildStatus
from tieline.core.secret import Secret
from tieline.dispatch.dispatcher import Dispatcher, Pace
from tieline.dispatch.fanout import FanOut
from tieline.dispatch.schedule import Schedule
from tieline.integrations import webhook
from tieline.integrations.base import IntegrationType, Registry
from tieline.integrations.events import EventFields
from tieline.integrations.fields import IntegrationFields
from tieline.net.client import GuardedClient
from tieline.net.egress import Policy, parse_networks
from tieline.simulators.receiver import Receiver as HTTPReceiver
from tieline.store import activities, integrations, outbox, receivers
from tieline.store.claims import Claim
from tieline.store.database import TROUBLE, Connection, Database
from tieline.store.deliveries import NewDelivery
from tieline.store.listener import Listener

ANN = Actor("user-1", "Ann")
KEY = "a key of the tests that is long enough"
URL = "https://tieline.example"
COMMIT = "c" * 40
# Soon enough for tests, and long enough to look at what waits.
QUICK = Schedule(waits=(0.15,) * 8, breaker_failures=100)
ROWS: Final[LiteralString] = """
    select delivery.*, case when paused_at is not null and state in ('pending', 'waiting') then 'held' else state end
        as state
    from delivery left join receiver using (integration_id) where integration_id = %s order by delivery.id
"""
BRISK = Pace(beat=0.2, trusted=1.0, silent=1.5)


@dataclass
class Host:
    """A Git host in memory. `errors` are raised one after the other; `slow` holds every answer until it is set."""

    statuses: list[BuildStatus] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    slow: asyncio.Event | None = None
    at_once: int = 0
    of_commit: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def report(self, status: BuildStatus) -> None:
        self.at_once += 1
        self.of_commit[status.commit] += 1
        assert self.of_commit[status.commit] == 1, "two statuses of one commit at once"
        try:
            await (self.slow.wait() if self.slow else asyncio.sleep(0))
            if self.errors:
                raise self.errors.pop(0)
            self.statuses.append(status)
        finally:
            self.at_once -= 1
            self.of_commit[status.commit] -= 1

    def states(self, commit: str = COMMIT) -> list[str]:
        return [status.state for status in self.statuses if status.commit == commit]


@dataclass
class Sink:
    """A receiver in memory that does what a test says with each message, and remembers their ids."""

    do: Callable[[Message, Journal], Awaitable[Receipt]]
    told: list[str] = field(default_factory=list)

    async def deliver(self, message: Message, journal: Journal) -> Receipt:
        self.told.append(message.id)
        return await self.do(message, journal)


class NoLimit:
    async def take(self, credential: str, per_hour: int) -> None:
        """Everything is allowed."""

    async def block(self, credential: str, seconds: float) -> None:
        """Nothing is blocked."""


async def take(_message: Message, _journal: Journal) -> Receipt:
    return Receipt("delivered", "It was taken.")


class NoHTTP:
    async def send(self, request: Request) -> Response:
        raise RemoteError(f"nothing is to be sent to {request.url}")


def bitbucket_type(host: Host) -> IntegrationType:
    """A Git host that is told of build statuses and nothing else."""
    return IntegrationType(
        key="bitbucket",
        title="Bitbucket",
        summary="",
        fields=IntegrationFields,
        example={},
        status_reporter=lambda _integration, _toolbox: host,
    )


def registry_of(host: Host) -> Registry:
    """An installation that knows that host alone."""
    return Registry((bitbucket_type(host),), Toolbox(NoHTTP(), NoLimit(), {}))


@dataclass
class Office:
    """The project, and what is outside of it: a receiver of webhooks, a Git host, and a sink in memory."""

    db: Database
    dsn: str
    http: GuardedClient
    receiver: HTTPReceiver
    host: Host = field(default_factory=Host)
    sink: Sink = field(default_factory=lambda: Sink(take))
    open: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def registry(self) -> Registry:
        inner = IntegrationType(
            key="inner", title="Inner", summary="", fields=EventFields, example={}, sink=lambda *_: self.sink
        )
        return Registry((bitbucket_type(self.host), webhook.TYPE, inner), Toolbox(self.http, NoLimit(), {}, 5))

    async def dispatcher(self, schedule: Schedule = QUICK, pace: Pace = BRISK, *, alone: bool = False) -> Dispatcher:
        """One more process that delivers; it ends with the test."""
        db = await self.open.enter_async_context(Database(self.dsn))
        listener = Listener(self.dsn)
        await listener.start()
        self.open.push_async_callback(listener.close)
        made = Dispatcher(db, BOX, self.registry, listener, FanOut(db, URL), schedule, pace)
        await made.start(alone=alone)
        self.open.push_async_callback(made.stop, 2)
        return made

    @asynccontextmanager
    async def delivering(self, schedule: Schedule = QUICK) -> AsyncIterator[Dispatcher]:
        """A process that delivers while the block lasts."""
        made = await self.dispatcher(schedule)
        yield made
        await made.stop(2)

    async def add(self, id: str = "hook", **fields: Any) -> Integration:
        """An integration that wants to know; a webhook is called at the path that is its id."""
        kind = self.registry[fields.pop("type", "webhook")]
        given = {"url": f"{self.receiver.url}/{id}"} if kind.key == "webhook" else {}
        config = kind.fields.model_validate({**given, **fields}).model_dump(mode="json", exclude={"shared_key"})
        made = Integration(id, PROJECT.id, kind.key, config, now(), None, secrets={"shared_key": Secret(KEY)})
        async with self.db.transaction() as conn:
            await integrations.create(conn, BOX, made, is_git_source=False, is_sink=True)
        return made

    async def happen(self, environment: Environment = PULL, count: int = 1) -> list[str]:
        """Something happens in an environment, and is over at once; the ids of the activities."""
        made = []
        for _ in range(count):
            async with self.db.transaction() as conn:
                new = kinds.environment_updated("smtp", PROJECT, environment, ANN)
                made.append((await activities.create(conn, new)).id)
        return made

    async def happen_at_once(self, environments_: list[Environment], each: int) -> list[str]:
        """Much happens in one transaction, taking turns between the environments; the ids of the activities."""
        made = []
        async with self.db.transaction() as conn:
            for _ in range(each):
                for environment in environments_:
                    new = kinds.environment_updated("smtp", PROJECT, environment, ANN)
                    made.append((await activities.create(conn, new)).id)
        return made

    async def report(self, state: str, commit: str = COMMIT) -> None:
        """A build status is to be told to the Git host."""
        status = {
            "commit": commit,
            "key": "key",
            "state": state,
            "name": "Tieline",
            "description": "",
            "url": URL,
            "refname": None,
            "fork": None,
        }
        key = f"{INTEGRATION.id}/{commit}/key"
        new = NewDelivery(PROJECT.id, INTEGRATION.id, "commit_status", None, key, payload=status)
        async with self.db.transaction() as conn:
            await activities.lock(conn, PROJECT.id)
            await outbox.deliver(conn, new)

    async def rows(self, integration_id: str = "hook") -> list[dict[str, Any]]:
        """The deliveries of an integration, as people see them, oldest first."""
        return await self.query(ROWS, integration_id)

    async def attempts(self, delivery_id: int) -> list[dict[str, Any]]:
        return await self.query("select * from delivery_attempt where delivery_id = %s order by number", delivery_id)

    async def activities(self, integration_id: str = "hook") -> list[dict[str, Any]]:
        """What an integration's deliveries, and its pauses, tell of themselves, oldest first."""
        return await self.query("select * from activity where integration_id = %s order by created_at", integration_id)

    async def log(self, activity_id: str) -> str:
        lines = await self.query("select message from activity_log where activity_id = %s order by seq", activity_id)
        return "".join(line["message"] for line in lines)

    async def query(self, statement: Any, *values: object) -> list[dict[str, Any]]:
        async with self.db.connection() as conn:
            cursor = await conn.execute(statement, values)
            return await cursor.fetchall() if cursor.description else []

    async def until(self, *states: str, integration_id: str = "hook") -> list[dict[str, Any]]:
        """The deliveries of an integration once they are in these states, oldest first."""
        seen: list[dict[str, Any]] = []

        async def reached() -> bool:
            seen[:] = await self.rows(integration_id)
            return [row["state"] for row in seen] == list(states)

        try:
            await eventually(reached, 8)
        except AssertionError:
            raise AssertionError([(row["state"], row["attempts"], row["last_error"]) for row in seen]) from None
        return seen

    async def heard(self, count: int, path: str = "/hook") -> list[str]:
        """The ids of the activities that were told at a path, in order, once there are so many of them."""
        await self.wait(lambda: len(self.receiver.at(path)) >= count)
        return [each.document()["id"] for each in self.receiver.at(path)]

    async def wait(self, check: Callable[[], bool]) -> None:
        async def is_so() -> bool:
            return check()

        await eventually(is_so, 8)

    async def wait_for(self, read: Callable[[], Awaitable[object]], wanted: object) -> None:
        """Wait until what is read is so."""

        async def is_so() -> bool:
            return await read() == wanted

        await eventually(is_so, 8)

    async def is_closed(self, integration_id: str = "hook") -> bool:
        """Whether a receiver is left alone for a while."""
        async with self.db.connection() as conn:
            return (await receivers.find(conn, integration_id)).closed_until is not None

    async def spread(self) -> None:
        """Find who wants to know of what has happened."""
        await FanOut(self.db, URL).spread(PROJECT.id)

    @property
    def claim(self) -> Claim:
        """What a process takes of the webhook that has nothing of it in hand."""
        return Claim("hook", lanes=16, run=32, lanes_failing=4, lanes_closed=1)

    async def works_again(self) -> None:
        """Wait until the database answers, after it has thrown everybody out."""

        async def answers() -> bool:
            try:
                return bool(await self.query("select 1"))
            except TROUBLE:
                return False

        await eventually(answers, 8)

    async def pause(self) -> None:
        """An administrator pauses the webhook."""
        async with self.db.transaction() as conn:
            found = (await receivers.lock(conn, ["hook"]))["hook"]
            await receivers.save(conn, replace(found, paused_at=now(), paused_because="It was asked for."))

    async def resume(self, conn: Connection) -> None:
        """An administrator has the webhook go on."""
        await receivers.lock(conn, ["hook"])
        await receivers.save(conn, Receiver("hook", resumed_at=now()))
        await receivers.wake(conn, "hook")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.open.aclose()


@pytest.fixture
async def office(database: Database, dsn: str) -> AsyncIterator[Office]:
    await furnish(database)
    http = GuardedClient(Policy(parse_networks("127.0.0.0/8")), "Tieline/test")
    async with HTTPReceiver(key=KEY) as receiver, Office(database, dsn, http, receiver) as made:
        yield made
    await http.close()
