"""One more type is one module and its entry in the tuple: everything else knows of it by itself."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.programs import (
    ADMIN_TOKEN,
    TIELINE,
    call,
    clean_environment,
    free_port,
    running,
    wait_until,
    wait_until_answered,
)
from tests.clients.api import Api
from tests.conftest import fresh_database
from tieline.store.embedded import EmbeddedServer

ROOT = Path(__file__).parents[2]
MODULE = '''
from typing import Annotated

from pydantic import Field

from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import WRITE_ONLY, IntegrationFields


class LampFields(IntegrationFields):
    room: str
    """The room that the lamp is in."""

    code: Annotated[str, WRITE_ONLY]
    """The code that the lamp listens to."""

    brightness: Annotated[int, Field(ge=1, le=100)] = 80
    """How bright it shines, in percent."""


TYPE = IntegrationType(
    key="health.lamp",
    title="Lamp",
    summary="A lamp shines when the project is not well.",
    fields=LampFields,
    example={"type": "health.lamp", "room": "kitchen", "code": "1234"},
    not_yet="No lamp shines yet.",
)
'''

TOLD = '''
from typing import Annotated

from tieline.core.deliveries import Message, Receipt
from tieline.core.documents import Integration
from tieline.core.ports import Journal, Toolbox
from tieline.integrations.base import IntegrationType
from tieline.integrations.events import EventFields
from tieline.integrations.fields import WRITE_ONLY


class BellFields(EventFields):
    tune: str
    """What it plays."""

    code: Annotated[str, WRITE_ONLY]
    """The code that the bell listens to."""


class Bell:
    def __init__(self, integration: Integration, toolbox: Toolbox) -> None:
        self._tune, self._code = integration.config["tune"], integration.secrets["code"]

    async def deliver(self, message: Message, journal: Journal) -> Receipt:
        await journal.write(f"With {self._code.reveal()} for {message.document()['type']}: {self._tune}")
        return Receipt("delivered", "It rang.")


TYPE = IntegrationType(
    key="health.bell",
    title="Bell",
    summary="A bell rings when something happens.",
    fields=BellFields,
    example={"type": "health.bell", "tune": "ding", "code": "1234"},
    sink=Bell,
)
'''
MODULES = {"health_bell": TOLD, "health_lamp": MODULE}


@dataclass
class Copy:
    """Tieline with two types more, which runs."""

    folder: Path
    url: str

    def tieline(self, *arguments: str) -> str:
        """What a command says that goes well."""
        settings = {"TIELINE_SERVER": self.url, "TIELINE_TOKEN": ADMIN_TOKEN, "CODE": "4711", **self.environment}
        ended = subprocess.run(
            [TIELINE, *arguments], env=clean_environment(**settings), capture_output=True, text=True, check=True
        )
        return ended.stdout

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}

    def write_docs(self) -> "subprocess.Popen[bytes]":
        """Have the generated parts of the docs written, beside everything else."""
        command = [sys.executable, "-m", "tools.docs"]
        return subprocess.Popen(
            command, cwd=self.folder, env=clean_environment(**self.environment), stdout=subprocess.DEVNULL
        )

    def get(self, path: str) -> Any:
        return call("GET", self.url + path, ADMIN_TOKEN)


@pytest.fixture(scope="module")
def copy(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    folder = tmp_path_factory.mktemp("copy")
    for part in ("src", "tools", "docs"):
        shutil.copytree(ROOT / part, folder / part)
    for name, module in MODULES.items():
        add_type(folder / "src" / "tieline" / "integrations", name, module)
    port = free_port()
    made = Copy(folder, f"http://127.0.0.1:{port}")
    with fresh_database(postgres) as dsn:
        settings = {
            "TIELINE_LISTEN": f"127.0.0.1:{port}",
            "TIELINE_DATA": str(folder / "data"),
            "TIELINE_DATABASE_URL": dsn,
            "TIELINE_ADMIN_TOKEN": ADMIN_TOKEN,
        }
        with running(folder / "log", "serve", **settings, **made.environment):
            wait_until_answered(f"{made.url}/readyz")
            yield made


def add_type(integrations: Path, name: str, module: str) -> None:
    (integrations / f"{name}.py").write_text(module)
    registry = integrations / "__init__.py"
    text = registry.read_text()
    with_import = text.replace("    health_email,\n", f"    health_email,\n    {name},\n")
    registry.write_text(with_import.replace("    blackfire.TYPE,\n", f"    blackfire.TYPE,\n    {name}.TYPE,\n"))


def test_a_new_type_is_known_everywhere_by_itself(copy: Copy) -> None:
    docs = copy.write_docs()

    helped = copy.tieline("integration", "add", "health.lamp", "--help")
    assert "A lamp shines when the project is not well. No lamp shines yet." in helped
    assert "--room TEXT" in helped
    assert "--code SOURCE" in helped
    assert "[default: 80]" in helped

    project = call("POST", f"{copy.url}/projects", ADMIN_TOKEN, {"title": "Home"})["_embedded"]["entity"]["id"]
    added = copy.tieline("integration", "add", "health.lamp", "--room", "hall", "--code", "env:CODE", "--json")
    entity = json.loads(added)["_embedded"]["entity"]
    assert {name: entity[name] for name in ("type", "room", "brightness")} == {
        "type": "health.lamp",
        "room": "hall",
        "brightness": 80,
    }
    assert copy.get(f"/projects/{project}/integrations") == [entity]

    schemas = copy.get("/openapi.json")["components"]["schemas"]
    for union in ("Integration", "IntegrationCreate"):
        assert "health.lamp" in schemas[union]["discriminator"]["mapping"]
    assert schemas["HealthLampCreate"]["properties"]["code"]["writeOnly"] is True
    assert "code" not in schemas["HealthLampIntegration"]["properties"]
    assert "health.lamp" in copy.get(f"/projects/{project}/capabilities")["integrations"]["config"]

    docs.wait()
    page = (copy.folder / "docs" / "types" / "README.md").read_text()
    assert (
        "| [`health.lamp`](#healthlamp) | A lamp shines when the project is not well. | No lamp shines yet. |" in page
    )
    assert "| `code` | string | required | The code that the lamp listens to. Write-only. |" in page
    assert "integration does not act yet" in (copy.folder / "log").read_text()


def test_a_new_type_that_is_told_of_activities_has_all_that_deliveries_have(copy: Copy) -> None:
    api = Api(copy.url, ADMIN_TOKEN)
    project = api.create_project("Church")
    fields = {"type": "health.bell", "tune": "ding dong", "code": "code-4711", "events": ["project.modify.*"]}
    bell = f"/projects/{project}/integrations/{api.add(project, **fields)}"
    api.call("PATCH", f"/projects/{project}", {"title": "Chapel"})
    wait_until(lambda: [each["state"] for each in api.read(f"{bell}/deliveries")] == ["delivered"], "the bell")

    (delivery,) = api.read(f"{bell}/deliveries")
    (activity,) = api.read(f"{bell}/activities?type=integration.health.bell")
    assert (activity["id"], activity["result"]) == (delivery["own_activity"], "success")
    assert activity["text"] == "Bell is told of project.modify.title (complete)"
    log = api.call("GET", f"/projects/{project}/activities/{activity['id']}/log").body.decode()
    assert "With ******** for project.modify.title: ding dong" in log
    assert "It rang." in log

    paused = api.call("POST", f"{bell}/pause", {"reason": "It is Sunday."})
    assert paused.status == 200
    shown = copy.tieline("delivery", "status", "health.bell", "--project", project)
    assert "It is Sunday." in shown
