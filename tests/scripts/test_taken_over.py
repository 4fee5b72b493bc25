"""A process that was taken over by its script may say what it likes: it harms its own run and nobody else."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.scripts.conftest import SHORT
from tests.scripts.test_lifetimes import Listener
from tieline.core.ports import ScriptEnd
from tieline.scripts import verdicts
from tieline.scripts.frames import NO_MEMORY
from tieline.scripts.messages import Failed
from tieline.scripts.nursery import Channel, Child
from tieline.scripts.runner import _Conversation
from tieline.scripts.turns import Share

FETCH: Final[dict[str, Any]] = {"do": "fetch", "url": "http://x/", "method": "GET", "headers": {}, "body": None}
NONSENSE: Final = {
    "no JSON": b"\xff\xfe",
    "no object": b"[]",
    "an unknown wish": b'{"do": "exec", "command": "ls"}',
    "a wish with something missing": json.dumps({**FETCH, "url": None}).encode(),
    "a wish with more than it has": json.dumps({**FETCH, "seconds": 1e9}).encode(),
    "headers that are none": json.dumps({**FETCH, "headers": {"a": ["b"]}}).encode(),
    "a number for a key": b'{"do": "get", "key": 5}',
    "half a character": b'{"do": "set", "key": "\\ud800", "value": ""}',
    "an end that is none": b'{"do": "done", "error": ""}',
}


@dataclass
class Heard(Listener):
    keys: list[str] = field(default_factory=list)

    async def get(self, key: str) -> str | None:
        self.keys.append(key)
        return None


@dataclass
class Impostor:
    """A process in a test's hands, and the conversation that the server has with it."""

    end: socket.socket
    conversation: _Conversation
    host: Heard

    async def says(self, *frames: bytes) -> ScriptEnd:
        for each in frames:
            self.end.sendall(struct.pack("!I", len(each)) + each)
        return await self.conversation.hold({"do": "run"})


@pytest_asyncio.fixture(loop_scope="package")
async def impostor() -> AsyncIterator[Impostor]:
    ours, theirs = socket.socketpair()
    child = Child(Channel(ours), asyncio.get_running_loop().create_future(), lambda: None)
    host = Heard()
    yield Impostor(theirs, _Conversation(child, host, SHORT, Share(asyncio.Semaphore(1))), host)
    theirs.close()
    child.channel.close()


@pytest.mark.parametrize("kind", NONSENSE)
async def test_nonsense_ends_the_run(impostor: Impostor, kind: str) -> None:
    assert await impostor.says(NONSENSE[kind]) == verdicts.of_nonsense()


async def test_a_frame_that_is_too_large_is_not_even_read(impostor: Impostor) -> None:
    impostor.end.sendall(struct.pack("!I", 0xFFFFFFFF))
    assert await impostor.conversation.hold({}) == verdicts.of_nonsense()


async def test_whoever_asks_for_more_than_a_run_may_is_not_heard(impostor: Impostor) -> None:
    assert await impostor.says(*[b'{"do": "get", "key": "k"}'] * (SHORT.calls + 1)) == verdicts.of_nonsense()
    assert len(impostor.host.keys) == SHORT.calls


async def test_whoever_only_parses_gets_nothing(impostor: Impostor) -> None:
    impostor.conversation.host = None
    assert await impostor.says(b'{"do": "get", "key": "k"}') == verdicts.of_nonsense()


def test_how_a_process_ended_says_how_its_script_did() -> None:
    assert verdicts.of_exit(-11, SHORT).sentence == "The script was stopped: it made its engine crash (SIGSEGV)."
    assert verdicts.of_exit(NO_MEMORY, SHORT).error == "memory"
    assert verdicts.of_exit(-24, SHORT).error == verdicts.of_exit(-27, SHORT).error == "time"
    assert verdicts.of_exit(71, SHORT) == ScriptEnd(
        "lost", "The process of the script failed before the script had ended."
    )


def test_stacks_have_the_lines_of_the_script_alone() -> None:
    error = (
        "TypeError: no\n    at map (<input>:1000005:23)\n    at f (<input>:3:5)\n    at <eval> (<input>:9:1)\n"
        "    at eval (native)\n    at <anonymous> (<input>:1000140:28)\n"
    )
    end = verdicts.of_failure(Failed(do="failed", out_of_memory=False, error=error), SHORT)
    assert end.stack == "TypeError: no\n    at f (script.js:3:5)\n    at <eval> (script.js:9:1)"
    assert end.sentence == "The script failed: TypeError: no"
