"""A team that changes settings of environments, and what the receivers of that are owed."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from ssl import SSLContext
from typing import Any, Final, LiteralString
from urllib.parse import quote

import aiohttp
import psycopg
import yaml

from tests.story.obligations import Event, Judgement, judge
from tests.story.support import Server, eventually
from tieline.simulators.receiver import Receiver
from tieline.store.embedded import EmbeddedServer

PROJECT: Final = "/projects/story"
KEY: Final = "a-key-of-the-stories-that-is-long-enough"
HOOK: Final = "/hook"
# Each is recorded as an activity that is complete at once.
RECORDED: Final = ("http_access", "restrict_robots", "smtp")
_ERRORS: Final = """
    select distinct error from delivery_attempt join delivery on delivery.id = delivery_id
    where integration_id = %s and error is not null
"""


def write_seed(path: Path, environments: int) -> Path:
    """A project with environments, which no Git host is needed for."""
    names = [f"env-{number}" for number in range(environments)]
    project = {"id": "story", "title": "Story", "environments": [{"id": each, "name": each} for each in names]}
    path.write_text(yaml.safe_dump({"projects": [project]}))
    return path


@dataclass
class Telling:
    """The project of `write_seed` on one server, and its receivers by name.

    `only` is the environment that each is told of, `past` how many events there were before it;
    `answers` counts what the server said to changes, by status.
    """

    server: Server
    receivers: dict[str, Receiver] = field(default_factory=dict)
    integrations: dict[str, str] = field(default_factory=dict)
    only: dict[str, str] = field(default_factory=dict)
    past: dict[str, int] = field(default_factory=dict)
    answers: Counter[int] = field(default_factory=Counter)
    rounds: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def tell(self, name: str, receiver: Receiver, *, only: str = "*", url: str = "") -> None:
        """Add a webhook for a receiver, which is told of one environment or of all; at `url`, if it is not its own."""
        body = {
            "type": "webhook",
            "url": url or receiver.url + HOOK,
            "shared_key": KEY,
            "environments": [only],
            "events": ["environment.update.*"],
        }
        answer = await self.server.call("POST", f"{PROJECT}/integrations", body, expect=201)
        self.receivers[name] = receiver
        self.integrations[name] = answer["_embedded"]["entity"]["id"]
        self.only[name] = only
        self.past[name] = len(await self.events())

    @asynccontextmanager
    async def hearing(
        self, name: str, *, only: str = "", scheme: str = "http", host: str = "127.0.0.1", tls: SSLContext | None = None
    ) -> AsyncIterator[Receiver]:
        """A receiver for the length of a block, which is told of the environment of its name, or of `only`."""
        async with Receiver(key=KEY, tls=tls) as receiver:
            await self.tell(name, receiver, only=only or name, url=f"{scheme}://{host}:{receiver.port}{HOOK}")
            try:
                yield receiver
            finally:
                await self.forget(name)

    async def forget(self, name: str) -> None:
        """Remove a webhook."""
        await self.server.call("DELETE", self.path(name))
        for known in (self.receivers, self.integrations, self.only, self.past):
            del known[name]

    def path(self, name: str) -> str:
        """Where the API has the webhook of a receiver."""
        return f"{PROJECT}/integrations/{self.integrations[name]}"

    async def change(self, environment: str, rounds: int = 1) -> None:
        """Change the settings again and again, whatever happens to the server: three events a round, not one more."""
        for _ in range(rounds):
            self.rounds[environment] += 1
            is_odd = self.rounds[environment] % 2 == 1
            body = {"restrict_robots": not is_odd, "enable_smtp": is_odd, "http_access": {"is_enabled": not is_odd}}
            patch = partial(self._patch, f"{PROJECT}/environments/{environment}", body)
            await eventually(patch, seconds=60, what="a change to be acknowledged")

    async def _patch(self, path: str, body: Any) -> bool:
        """Whether it was acknowledged. Done twice it changes nothing the second time."""
        assert self.server.session is not None
        with suppress(aiohttp.ClientError):
            async with self.server.session.patch(self.server.url + path, json=body) as answer:
                self.answers[answer.status] += 1
                assert answer.status in (200, 503), await answer.text()
                return answer.status == 200
        return False

    async def events(self) -> list[Event]:
        """What has happened, as the server has it, in the order in which it did."""
        types = "".join(f"&type=environment.update.{each}" for each in RECORDED)
        found: dict[str, dict[str, Any]] = {}
        page = await self.server.get(f"{PROJECT}/activities?count=100{types}")
        while not found.keys() >= {each["id"] for each in page}:
            found |= {each["id"]: each for each in page}
            before = quote(page[-1]["created_at"])
            page = await self.server.get(f"{PROJECT}/activities?count=100{types}&starts_at={before}")
        return [Event.of(each) for each in reversed(found.values())]

    async def met(self, count: int, *, seconds: float = 30) -> None:
        """Wait until every receiver has accepted as many messages."""

        async def enough() -> bool:
            return all(accepted(each) >= count for each in self.receivers.values())

        with suppress(AssertionError):  # the oracle says better what is missing
            await eventually(enough, seconds=seconds)

    async def recorded(self, name: str, count: int) -> None:
        """Wait until it is written that so many messages have been delivered to a receiver."""
        query = "type=integration.webhook&state=complete&result=success&count=100"

        async def enough() -> bool:
            return len(await self.server.get(f"{self.path(name)}/activities?{query}")) >= count

        await eventually(enough, what=f"{count} deliveries to {name} to be recorded")

    async def query(self, statement: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        """What the server's own database answers."""
        dsn = EmbeddedServer(self.server.data).dsn
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
            cursor = await conn.execute(statement, values)
            return await cursor.fetchall() if cursor.description else []

    async def errors(self, name: str) -> set[str]:
        """What has gone wrong with the attempts to tell a receiver."""
        rows = await self.query(_ERRORS, self.integrations[name])
        return {error for (error,) in rows}

    async def judge(self) -> Judgement:
        """Compare what has happened with what the receivers were told."""
        events = await self.events()
        owed = {
            name: [each for each in events[self.past[name] :] if only in ("*", each.environment)]
            for name, only in self.only.items()
        }
        return judge(owed, {name: receiver.at(HOOK) for name, receiver in self.receivers.items()})


def accepted(receiver: Receiver) -> int:
    """How many different messages a receiver has said it got."""
    return len({each.id for each in receiver.arrivals if each.accepted})


def unsigned(receiver: Receiver) -> list[int]:
    """The numbers of the arrivals that are not signed as they should be."""
    return [each.number for each in receiver.arrivals if not each.jws == each.standard == "valid"]
