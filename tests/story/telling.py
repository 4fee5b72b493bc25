"""A team that changes settings of environments, and what the receivers of that are owed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from tests.story.obligations import Event, Judgement, judge
from tests.story.support import Server, eventually
from tieline.simulators.receiver import Receiver

PROJECT: Final = "/projects/story"
KEY: Final = "a-key-of-the-stories-that-is-long-enough"
HOOK: Final = "/hook"
# Each is recorded as an activity that is complete at once.
RECORDED: Final = ("http_access", "restrict_robots", "smtp")


def write_seed(path: Path, environments: int) -> Path:
    """A project with environments, which no Git host is needed for."""
    names = [f"env-{number}" for number in range(environments)]
    project = {"id": "story", "title": "Story", "environments": [{"id": each, "name": each} for each in names]}
    path.write_text(yaml.safe_dump({"projects": [project]}))
    return path


@dataclass
class Telling:
    """The project of `write_seed` on one server, and its receivers by name."""

    server: Server
    receivers: dict[str, Receiver] = field(default_factory=dict)
    integrations: dict[str, str] = field(default_factory=dict)
    only: dict[str, str] = field(default_factory=dict)

    async def tell(self, name: str, receiver: Receiver, *, only: str = "*", **fields: Any) -> None:
        """Add a webhook for a receiver, which is told of one environment or of all."""
        body = {"type": "webhook", "url": receiver.url + HOOK, "shared_key": KEY, "environments": [only], **fields}
        answer = await self.server.call("POST", f"{PROJECT}/integrations", body, expect=201)
        self.receivers[name] = receiver
        self.integrations[name] = answer["_embedded"]["entity"]["id"]
        self.only[name] = only

    @asynccontextmanager
    async def hearing(self, environment: str, **fields: Any) -> AsyncIterator[Receiver]:
        """A receiver that is told of one environment, by whose name it goes, for the length of a block."""
        async with Receiver(key=KEY) as receiver:
            await self.tell(environment, receiver, only=environment, **fields)
            try:
                yield receiver
            finally:
                await self.forget(environment)

    async def forget(self, name: str) -> None:
        """Remove a webhook."""
        await self.server.call("DELETE", self.path(name))
        for known in (self.receivers, self.integrations, self.only):
            del known[name]

    def path(self, name: str) -> str:
        """Where the API has the webhook of a receiver."""
        return f"{PROJECT}/integrations/{self.integrations[name]}"

    async def change(self, environment: str, rounds: int, begin: int = 1) -> None:
        """Change the settings again and again, whatever happens to the server: three events a round, not one more."""
        for number in range(begin, begin + rounds):
            is_odd = number % 2 == 1
            body = {"restrict_robots": not is_odd, "enable_smtp": is_odd, "http_access": {"is_enabled": not is_odd}}
            patch = partial(self._patch, f"{PROJECT}/environments/{environment}", body)
            await eventually(patch, seconds=60, what="a change to be acknowledged")

    async def _patch(self, path: str, body: Any) -> bool:
        """Whether it was acknowledged. Done twice it changes nothing the second time."""
        assert self.server.session is not None
        with suppress(aiohttp.ClientError):
            async with self.server.session.patch(self.server.url + path, json=body) as answer:
                assert answer.status in (200, 500, 503), await answer.text()
                return answer.status == 200
        return False

    async def events(self) -> list[Event]:
        """What has happened, as the server has it, in the order in which it did."""
        types = "".join(f"&type=environment.update.{each}" for each in RECORDED)
        found: dict[str, dict[str, Any]] = {}
        page = await self.server.get(f"{PROJECT}/activities?count=100{types}")
        while not found.keys() >= {each["id"] for each in page}:
            found |= {each["id"]: each for each in page}
            before = page[-1]["created_at"].replace("+", "%2B")
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

    async def judge(self) -> Judgement:
        """Compare what has happened with what the receivers were told."""
        events = await self.events()
        owed = {name: [each for each in events if only in ("*", each.environment)] for name, only in self.only.items()}
        return judge(owed, {name: receiver.at(HOOK) for name, receiver in self.receivers.items()})


def accepted(receiver: Receiver) -> int:
    """How many different messages a receiver has said it got."""
    return len({each.id for each in receiver.arrivals if each.accepted})


def unsigned(receiver: Receiver) -> list[int]:
    """The numbers of the arrivals that are not signed as they should be."""
    return [each.number for each in receiver.arrivals if not each.jws == each.standard == "valid"]
