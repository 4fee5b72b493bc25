"""The processes of scripts end with the run, with the server, and with whoever forked them; and come back."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import pytest_asyncio

from tests.scripts.conftest import ACTIVITY, SHORT, Desk, Notes
from tieline.core.deliveries import Message
from tieline.core.http import Request, Response
from tieline.scripts.confinement import Limits
from tieline.scripts.runner import ScriptProcesses

if TYPE_CHECKING:
    from tieline.core.ports import ScriptEnd

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes where Linux shows them")

WORLD: Final = {"activity": ACTIVITY, "project": {}, "variables": {}}
SPIN: Final = "console.log('spinning'); for (;;) {}"
PATIENT: Final = Limits(processor_seconds=60, seconds=60)
SERVER: Final = """
import asyncio, sys
from tests.scripts.test_lifetimes import PATIENT, SPIN, WORLD, Listener
from tieline.scripts.runner import ScriptProcesses

async def main():
    listener = Listener()
    asyncio.create_task(ScriptProcesses(PATIENT).run(SPIN, WORLD, listener))
    await listener.heard.wait()
    print("spinning", file=sys.stderr, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@dataclass
class Listener:
    """A host that only listens."""

    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def log(self, _text: str) -> None:
        self.heard.set()

    async def fetch(self, request: Request) -> Response:
        raise NotImplementedError(request.url)

    async def get(self, key: str) -> str | None:
        raise NotImplementedError(key)

    async def set(self, key: str, _value: str) -> None:
        raise NotImplementedError(key)

    async def remove(self, key: str) -> None:
        raise NotImplementedError(key)

    async def clear(self) -> None:
        raise NotImplementedError


def family(pid: int) -> dict[int, list[str]]:
    """The descendants of a process, with the fields of their `stat` that follow the name."""
    stats: dict[int, list[str]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            stats[int(path.parent.name)] = path.read_text().rpartition(") ")[2].split()
    found = [pid]
    for each in found:
        found += [child for child, fields in stats.items() if int(fields[1]) == each]
    return {each: stats[each] for each in found[1:]}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest_asyncio.fixture(loop_scope="package")
async def patient() -> AsyncIterator[ScriptProcesses]:
    started = ScriptProcesses(PATIENT, at_once=2)
    yield started
    await started.close()


async def spin(runner: ScriptProcesses) -> "asyncio.Task[ScriptEnd]":
    """A script that runs, until it is ended."""
    listener = Listener()
    task = asyncio.create_task(runner.run(SPIN, WORLD, listener))
    await listener.heard.wait()
    return task


async def test_nothing_outlives_a_server_that_is_killed() -> None:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert server.stderr is not None
    assert await server.stderr.readline() == b"spinning\n"
    started = family(server.pid)
    assert len(started) == 2
    server.kill()
    await server.wait()
    await until(lambda: not any(is_alive(pid) for pid in started))


async def test_a_run_that_is_cancelled_is_killed(patient: ScriptProcesses) -> None:
    before = family(os.getpid())
    task = await spin(patient)
    zygote, child = sorted(family(os.getpid()).keys() - before.keys())
    # Nineteen: whatever else wants the processor comes first.
    assert (family(zygote)[child][16], family(os.getpid())[zygote][16]) == ("19", "0")
    # Where memory runs out, scripts are what is ended.
    assert Path(f"/proc/{child}/oom_score_adj").read_text() == "1000\n"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not is_alive(child))
    assert is_alive(zygote)


async def test_a_service_that_is_told_to_stop_lets_scripts_end(patient: ScriptProcesses) -> None:
    before = family(os.getpid())
    task = await spin(patient)
    for pid in family(os.getpid()).keys() - before.keys():
        os.kill(pid, signal.SIGTERM)
    assert (await patient.run("", WORLD, Listener())).error == ""
    assert not task.done()
    task.cancel()


async def test_a_zygote_that_is_killed_takes_its_scripts_along_and_is_replaced(patient: ScriptProcesses) -> None:
    before = family(os.getpid())
    task = await spin(patient)
    zygote, child = sorted(family(os.getpid()).keys() - before.keys())
    os.kill(zygote, signal.SIGKILL)
    end = await task
    assert (end.error, end.sentence) == ("lost", "The process of the script was lost before the script had ended.")
    await until(lambda: not is_alive(child))
    assert (await patient.run("console.log(1)", WORLD, Listener())).error == ""


async def test_a_script_whose_process_is_killed_is_lost_and_no_other(patient: ScriptProcesses) -> None:
    before = family(os.getpid())
    task = await spin(patient)
    other = await spin(patient)
    _, child, _ = sorted(family(os.getpid()).keys() - before.keys())
    os.kill(child, signal.SIGKILL)
    assert (await task).sentence == "The process of the script was killed before the script had ended."
    assert not other.done()
    other.cancel()


async def test_the_rest_wait_for_their_turn(patient: ScriptProcesses) -> None:
    spinning = [await spin(patient), await spin(patient)]
    third = asyncio.create_task(patient.run("", WORLD, Listener()))
    await asyncio.sleep(0.1)
    assert not third.done()
    spinning[0].cancel()
    assert (await third).error == ""
    spinning[1].cancel()


async def test_the_clock_runs_out_for_whoever_only_waits(desk: Desk) -> None:
    runner = ScriptProcesses(Limits(processor_seconds=5, seconds=0.3))
    stuck = asyncio.Event()

    @dataclass
    class Slow(Listener):
        async def get(self, key: str) -> str | None:
            await stuck.wait()
            return key

    end = await runner.run("require('storage').get('a')", WORLD, Slow())
    await runner.close()
    assert (end.error, end.sentence) == ("time", "The script was stopped: it had run for 0.3 s.")


async def test_what_may_have_happened_is_not_done_again(desk: Desk) -> None:
    """Lost before it had asked for anything a script runs again; after that it never does."""
    for first, verdict in (("", "retry"), ("require('storage').set('a', 1);", "refused")):
        runner = ScriptProcesses(PATIENT)
        before = family(os.getpid())
        notes = Notes()
        script = desk.script(f"{first} console.log('spinning'); for (;;) {{}}", runner)
        task = asyncio.create_task(script.deliver(Message("message-1", b"{}"), notes))
        await until(lambda notes=notes: notes.text != "")  # type: ignore[misc]
        os.kill(max(family(os.getpid()).keys() - before.keys()), signal.SIGKILL)
        receipt = await task
        assert (receipt.verdict, notes.effects) == (verdict, int(first != ""))
        await runner.close()


async def test_without_a_process_it_is_tried_again_later(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    ran = await desk.run("", runner=ScriptProcesses(SHORT))
    assert (ran.receipt.verdict, ran.receipt.counted, ran.receipt.retry_after) == ("retry", False, 60)
    assert "cannot be started" in ran.receipt.sentence


async def test_a_script_is_checked_without_being_run(desk: Desk) -> None:
    async def problem(source: str) -> str:
        found = (await desk.script(source).validate("")).problems
        assert found.keys() <= {"script"}
        return found.get("script", "")

    assert await problem("fetch('http://x/'); for (;;) {}") == ""
    assert await problem("#!/usr/bin/env node\n1") == ""
    assert await problem("\n\nlet x = ;") == "Line 3: SyntaxError: unexpected token in expression: ';'."
    assert await problem("// first\n'use strict';\nwith (a) {}") == "Line 3: SyntaxError: invalid keyword: with."
    assert (await problem("return 1")).startswith("Line 1: SyntaxError: return not in a function")
