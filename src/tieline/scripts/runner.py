"""Runs scripts, a few at a time: hands each its world, answers what it asks for, and keeps it within its limits."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import orjson

from tieline.core.documents import JSON
from tieline.core.errors import Invalid, RemoteError, Unavailable
from tieline.core.http import Request, Response
from tieline.core.ports import ScriptEnd, ScriptHost
from tieline.scripts import verdicts
from tieline.scripts.confinement import Limits
from tieline.scripts.frames import NOT_STARTED
from tieline.scripts.messages import Asked, Clear, Done, Failed, Fetch, Get, Logged, Remove, Set, read_message
from tieline.scripts.nursery import Child, Nursery
from tieline.scripts.turns import Share, Turns

_AT_ONCE: Final = 4
# One that waits for somebody outside costs memory alone.
_WAITING: Final = 28
_FOR_OTHERS: Final = 24
_LARGEST_ANSWER: Final = 4 * 1024 * 1024


class ScriptProcesses:
    """Implements `core.ports.ScriptRunner`.

    At most `at_once` scripts compute at a time, and a few more wait for answers of theirs. Others wait for a turn:
    however many one integration has, and however long they take, those of another one do not wait for all of them.
    """

    def __init__(self, limits: Limits | None = None, *, at_once: int = _AT_ONCE) -> None:
        self._limits = limits or Limits()
        self._nursery = Nursery(self._limits)
        self._turns = Turns(at_once + _WAITING, each=at_once, kept=_FOR_OTHERS)
        self._processor = asyncio.Semaphore(at_once)

    async def run(self, source: str, world: JSON, host: ScriptHost, whose: str = "") -> ScriptEnd:
        order = {"do": "run", "source": source, "world": orjson.dumps(world).decode()}
        return await self._in_process(order, host, whose)

    async def check(self, source: str) -> str:
        return verdicts.problem_of(await self._in_process({"do": "parse", "source": source}, None, ""))

    async def close(self) -> None:
        """End every script. The runner may not be used afterwards."""
        await self._nursery.close()

    async def _in_process(self, order: JSON, host: ScriptHost | None, whose: str) -> ScriptEnd:
        child = await self._fork(whose)
        share = Share(self._processor)
        try:
            await share.take()
            async with asyncio.timeout(self._limits.seconds) as clock:
                return await _Conversation(child, host, self._limits, share).hold(order)
        except TimeoutError:
            if not clock.expired():
                raise
            return verdicts.of_time(self._limits)
        finally:
            share.leave()
            child.end()

    async def _fork(self, whose: str) -> Child:
        """A process, whose turn lasts until it has ended."""
        since = await self._turns.take(whose)
        try:
            child = await self._nursery.fork()
        except BaseException:
            self._turns.give_back(whose, since)
            raise
        child.exit_code.add_done_callback(lambda _: self._turns.give_back(whose, since))
        return child


@dataclass
class _Conversation:
    """What is said between a process and its host."""

    child: Child
    host: ScriptHost | None
    limits: Limits
    share: Share
    calls: int = 0
    lines: int = 0

    async def hold(self, order: JSON) -> ScriptEnd:
        """Raises `Unavailable` when there is no process."""
        await self.child.channel.send(orjson.dumps(order))
        try:
            return await self._to_the_end()
        except ValueError:
            return verdicts.of_nonsense()

    async def _to_the_end(self) -> ScriptEnd:
        while (frame := await self.child.channel.receive()) is not None:
            said = read_message(frame)
            if isinstance(said, Done):
                return ScriptEnd()
            if isinstance(said, Failed):
                return verdicts.of_failure(said, self.limits)
            await self._answer(said)
        return await self._without_a_word()

    async def _without_a_word(self) -> ScriptEnd:
        code = await self.child.exit_code
        if code == NOT_STARTED:
            raise Unavailable("No process for a script could be started.")
        return verdicts.of_exit(code, self.limits)

    async def _answer(self, said: Logged | Asked) -> None:
        self._count(said)
        if self.host is None:
            raise ValueError(said.do)
        if isinstance(said, Logged):
            await self.host.log(said.text)
            return
        answer = await self._ask(said, self.host)
        await self.child.channel.send(orjson.dumps(answer))

    async def _ask(self, said: Asked, host: ScriptHost) -> JSON:
        if not isinstance(said, Fetch):
            return await _reply(said, host)
        self.share.leave()
        answer = await _reply(said, host)
        await self.share.take()
        return answer

    def _count(self, said: Logged | Asked) -> None:
        """The process counts as well, and asks for no more; one that does has been taken over."""
        self.calls += not isinstance(said, Logged)
        self.lines += isinstance(said, Logged)
        if self.calls > self.limits.calls or self.lines > self.limits.log_lines:
            raise ValueError(said.do)


async def _reply(said: Asked, host: ScriptHost) -> JSON:
    try:
        return {"value": await _value(said, host)}
    except Invalid as error:
        return {"error": " ".join(error.detail.values()) or str(error)}
    except RemoteError as error:
        return {"error": str(error)}


async def _value(said: Asked, host: ScriptHost) -> Any:
    match said:
        case Fetch():
            return _response(await host.fetch(_request(said)))
        case Get(key=key):
            return await host.get(key)
        case Set(key=key, value=value):
            return await host.set(key, value)
        case Remove(key=key):
            return await host.remove(key)
        case Clear():
            return await host.clear()


def _request(said: Fetch) -> Request:
    return Request(
        said.method,
        said.url,
        headers=said.headers,
        body=said.body.encode() if said.body is not None else None,
        max_bytes=_LARGEST_ANSWER,
    )


def _response(answer: Response) -> JSON:
    return {
        "status": answer.status,
        "reason": _reason_of(answer.status),
        "headers": dict(answer.headers),
        "text": answer.body.decode(errors="replace"),
    }


def _reason_of(status: int) -> str:
    """What HTTP calls it; empty for a status that nobody has defined."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
