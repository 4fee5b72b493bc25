"""Scripts that are really run: in processes of their own, with a real database and a receiver that is really called."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest
import pytest_asyncio

from tests.activities.conftest import BOX, furnish
from tests.conftest import fresh_database
from tests.unit.core.samples import INTEGRATION, NOW
from tieline.core.deliveries import Message, Receipt
from tieline.core.documents import Variable
from tieline.core.ports import Scripting, ScriptRunner
from tieline.core.secret import Secret
from tieline.integrations.script import ActivityScript
from tieline.net.client import GuardedClient
from tieline.net.egress import Policy, parse_networks
from tieline.scripts.confinement import Limits
from tieline.scripts.runner import ScriptProcesses
from tieline.simulators.receiver import Receiver
from tieline.store import variables
from tieline.store.database import Database
from tieline.store.embedded import EmbeddedServer
from tieline.store.script_storage import PostgresScriptStore

SHORT = Limits(processor_seconds=0.15, seconds=20, calls=100, log_lines=200)
FILL = "insert into script_storage select %s, 'key ' || number, '' from generate_series(1, %s) as number"
ACTIVITY = {
    "id": "abcdefg123456",
    "type": "environment.push",
    "state": "complete",
    "result": "success",
    "text": "**Ann** pushed to **main**",
    "log": "Building application\nDone\n",
    "payload": {
        "project": {"id": "azertyuiop234", "title": "Demo"},
        "deployment": {
            "routes": {
                "https://main.example/": {"type": "upstream", "upstream": "app:http", "primary": True, "id": "main"},
                "https://old.example/": {
                    "type": "redirect",
                    "to": "https://main.example/",
                    "primary": False,
                    "id": None,
                },
            }
        },
    },
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "scripts" and item.get_closest_marker("asyncio"):
            item.add_marker(pytest.mark.asyncio(loop_scope="package"), append=False)


@dataclass
class Notes:
    """A journal that is kept in memory. `effects` counts how often it was told of one."""

    text: str = ""
    effects: int = 0

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    async def write(self, text: str) -> None:
        self.text += text if text.endswith("\n") else f"{text}\n"

    async def before_effect(self) -> None:
        self.effects += 1


@dataclass
class Ran:
    """One delivery to a script."""

    receipt: Receipt
    notes: Notes

    @property
    def lines(self) -> list[str]:
        return self.notes.lines


@dataclass
class Desk:
    """One integration with a script, and everything that it takes to run it."""

    runner: ScriptRunner
    http: GuardedClient
    db: Database
    receiver: Receiver
    notes: list[Notes] = field(default_factory=list)

    async def run(self, source: str, activity: dict[str, Any] | None = None, **others: Any) -> Ran:
        notes = Notes()
        self.notes.append(notes)
        receipt = await self.script(source, **others).deliver(
            Message("message-1", orjson.dumps(ACTIVITY if activity is None else activity)), notes
        )
        return Ran(receipt, notes)

    async def lines(self, source: str) -> list[str]:
        """What a script that comes to its end has written."""
        ran = await self.run(source)
        assert ran.receipt.verdict == "delivered", (ran.receipt, ran.lines)
        return ran.lines

    def script(self, source: str, runner: ScriptRunner | None = None, fetch_seconds: float = 20.0) -> ActivityScript:
        integration = replace(INTEGRATION, type="script", config={"script": source})
        store = PostgresScriptStore(self.db, BOX)
        return ActivityScript(integration, self.http, Scripting(runner or self.runner, store), fetch_seconds)

    async def give(self, name: str, value: str, *, is_json: bool = False, is_sensitive: bool = False) -> None:
        """Add a variable."""
        given = Variable(INTEGRATION.id, name, Secret(value), {}, is_json, is_sensitive, NOW, None)
        async with self.db.transaction() as conn:
            assert await variables.create(conn, BOX, given)

    async def fill_storage(self, count: int) -> None:
        """Have `key 1`, `key 2` and so on be kept already."""
        async with self.db.connection() as conn:
            await conn.execute(FILL, [INTEGRATION.id, count])


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def runner() -> AsyncIterator[ScriptProcesses]:
    started = ScriptProcesses(SHORT)
    yield started
    await started.close()


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def desk(postgres: EmbeddedServer, runner: ScriptProcesses) -> AsyncIterator[Desk]:
    http = GuardedClient(Policy(parse_networks("127.0.0.0/8")), "tieline-test/1")
    with fresh_database(postgres) as dsn:
        async with Database(dsn) as db, Receiver() as receiver:
            await furnish(db)
            yield Desk(runner, http, db, receiver)
            await http.close()
