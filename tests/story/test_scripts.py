"""Scripts of a real server: what they do is done once, and told in the log of an activity."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.story.conftest import free_port
from tests.story.forked import ForkedServer
from tests.story.support import eventually
from tests.story.telling import PROJECT, Telling, write_seed
from tieline.simulators.receiver import Behaviour, Receiver

TELLS = """
const storage = require("storage");
const count = Number(storage.get("count") ?? 0) + 1;
storage.set("count", count);
console.log(`This is run ${count}, for ${activity.environments[0]} of ${project.title}.`);
const resp = fetch("%s/chat", { method: "POST", body: variables.channel });
if (!resp.ok) throw new Error(resp.text());
"""


@pytest_asyncio.fixture
async def telling(folder: Path) -> AsyncIterator[Telling]:
    seed = write_seed(folder / "seed.yaml", 1)
    async with ForkedServer(folder, {}, free_port(), ("--seed", str(seed))) as server:
        yield Telling(server)


async def ended(telling: Telling, path: str, count: int) -> list[dict[str, Any]]:
    """The activities of the script, the newest first, once so many have ended."""

    async def enough() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = await telling.server.get(f"{path}/activities?type=integration.script")
        return found if [each["state"] for each in found] == ["complete"] * count else None

    return await eventually(enough, what=f"{count} activities of a script")


async def log_of(telling: Telling, activity: dict[str, Any]) -> str:
    session = telling.server.session
    assert session is not None
    async with session.get(f"{telling.server.url}{PROJECT}/activities/{activity['id']}/log") as answer:
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
    return "".join(each["data"]["message"] for each in lines if "data" in each)


async def test_what_a_script_does_is_done_once(telling: Telling) -> None:
    async with Receiver() as receiver:
        body = {"type": "script", "script": TELLS % receiver.url, "events": ["environment.update.smtp"]}
        made = await telling.server.call("POST", f"{PROJECT}/integrations", body, expect=201)
        path = f"{PROJECT}/integrations/{made['_embedded']['entity']['id']}"
        variable = {"name": "channel", "value": "#deployments-secret", "is_sensitive": True}
        await telling.server.call("POST", f"{path}/variables", variable, expect=201)

        await telling.change("env-0", 1)
        (first,) = await ended(telling, path, 1)
        assert (first["result"], receiver.arrivals[0].body) == ("success", b"#deployments-secret")
        assert "This is run 1, for env-0 of Story." in await log_of(telling, first)

        receiver.behave("/chat", Behaviour(500, "no #deployments-secret"))
        await telling.change("env-0", 1)
        second, _ = await ended(telling, path, 2)
        log = await log_of(telling, second)
        assert second["result"] == "failure"
        assert "Error: no ********\n    at <eval> (script.js:" in log
        assert "deployments-secret" not in log

        # Killed while its request is under way: nobody knows what became of it.
        receiver.behave("/chat", Behaviour(hang=True))
        change = asyncio.create_task(telling.change("env-0", 1))
        await eventually(partial(arrived, receiver, 3), what="the third request")
        await change
        await telling.server.kill()
        await telling.server.start()
        third, _, _ = await ended(telling, path, 3)
        assert third["result"] == "failure"
        assert "The server stopped in the middle." in await log_of(telling, third)
        assert len(receiver.arrivals) == 3


async def arrived(receiver: Receiver, count: int) -> bool:
    return len(receiver.arrivals) >= count
