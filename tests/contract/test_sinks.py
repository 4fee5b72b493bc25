"""What holds for everybody who is told of activities, whatever the type: each attempt, and what is told of it."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.cli.programs import ADMIN_TOKEN, Server, free_port, wait_until
from tests.cli.receiving import receiving
from tests.clients.api import Api
from tests.contract.conftest import NOW, Budget
from tests.contract.samples import PLANTED, SINKS
from tieline.core.deliveries import Message, Receipt
from tieline.core.documents import Integration, Variable
from tieline.core.ports import Scripting, Toolbox
from tieline.core.secret import Secret
from tieline.integrations import ALL
from tieline.integrations.base import IntegrationType, Registry
from tieline.integrations.fields import validate_create
from tieline.net.client import GuardedClient
from tieline.net.egress import Policy, parse_networks
from tieline.scripts.runner import ScriptProcesses
from tieline.simulators.receiver import Behaviour, Receiver

in_module = pytest.mark.asyncio(loop_scope="module")
each_sink = pytest.mark.parametrize("kind", [kind for kind in ALL if kind.sink], ids=lambda kind: kind.key)
ACTIVITY = {"id": "abc", "type": "environment.push", "state": "complete", "payload": {"project": {"id": "def"}}}
MESSAGE = Message("msg_abc_complete_i", json.dumps(ACTIVITY).encode())
PATIENCE = 0.3
FAULTS = {
    "it fails": Behaviour(503, body="Closed"),
    "it redirects": Behaviour(302, location="https://example.com/"),
    "it refuses": Behaviour(400),
    "it is silent": Behaviour(hang=True),
    "it hangs up": Behaviour(close="before-headers"),
    "it hangs up in the middle": Behaviour(500, size=100, close="after-headers"),
}


@dataclass
class Notes:
    """A journal in memory."""

    text: str = ""

    async def write(self, text: str) -> None:
        self.text += text

    async def before_effect(self) -> None:
        """Nothing here is ever interrupted."""


@dataclass
class Kept:
    """What one script is given; none of these keeps anything."""

    given: dict[str, str]

    async def variables(self, integration_id: str) -> Sequence[Variable]:
        return [
            Variable(integration_id, name, Secret(value), {}, is_json=False, is_sensitive=True, created_at=NOW,
                     updated_at=None)
            for name, value in self.given.items()
        ]  # fmt: skip

    async def get(self, integration_id: str, key: str) -> str | None:
        return None

    async def set(self, integration_id: str, key: str, value: str) -> None: ...

    async def remove(self, integration_id: str, key: str) -> None: ...

    async def clear(self, integration_id: str) -> None: ...


@dataclass
class Tried:
    """How an attempt went, and what is told of it."""

    receipt: Receipt
    notes: Notes

    @property
    def told(self) -> str:
        return f"{self.receipt!r}\n{self.receipt.sentence}\n{self.receipt.answer!r}\n{self.notes.text}"


@dataclass
class Desk:
    """What an integration is given to work with."""

    http: GuardedClient
    scripts: ScriptProcesses
    receiver: Receiver

    async def attempt(self, kind: IntegrationType, url: str) -> Tried:
        """Tell an integration of the type, which calls the URL."""
        sample, notes = SINKS[kind.key], Notes()
        accepted = validate_create(kind.fields, {"type": kind.key, **sample.fields(url)})
        secrets = {name: each for name, each in accepted.secrets.items() if each is not None}
        integration = Integration("i", "p", kind.key, accepted.config, NOW, None, secrets)
        scripting = Scripting(self.scripts, Kept(sample.variables))
        toolbox = Toolbox(self.http, Budget(), {}, PATIENCE, scripting=scripting)
        sink = Registry(ALL, toolbox).sink(integration)
        assert sink is not None
        return Tried(await sink.deliver(MESSAGE, notes), notes)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk() -> AsyncIterator[Desk]:
    http, scripts = GuardedClient(Policy(parse_networks("127.0.0.0/8")), "tieline-tests"), ScriptProcesses()
    async with Receiver() as receiver:
        yield Desk(http, scripts, receiver)
    await scripts.close()
    await http.close()


def test_there_is_a_sample_of_every_type_that_is_told_of_activities() -> None:
    assert SINKS.keys() == {kind.key for kind in ALL if kind.sink}


@in_module
@each_sink
async def test_a_message_arrives_once_and_as_it_is(desk: Desk, kind: IntegrationType) -> None:
    tried = await desk.attempt(kind, f"{desk.receiver.url}/{kind.key}")
    assert (tried.receipt.verdict, tried.receipt.error) == ("delivered", None)
    assert [each.document() for each in desk.receiver.at(f"/{kind.key}")] == [ACTIVITY]
    assert PLANTED not in tried.told


@in_module
@each_sink
@pytest.mark.parametrize("fault", FAULTS)
async def test_what_goes_wrong_outside_is_told_and_not_raised(desk: Desk, kind: IntegrationType, fault: str) -> None:
    desk.receiver.behave("/fault", FAULTS[fault])
    told_of_failure(await desk.attempt(kind, f"{desk.receiver.url}/fault"))


@in_module
@each_sink
@pytest.mark.parametrize("url", ["http://127.0.0.1:{free}/", "http://10.0.0.1/", "http://[::ffff:a00:1]/"])
async def test_nobody_there_or_nobody_to_be_called(desk: Desk, kind: IntegrationType, url: str) -> None:
    url = url.format(free=free_port())
    told_of_failure(await desk.attempt(kind, url))


def told_of_failure(tried: Tried) -> None:
    """That it failed, why, and nothing secret."""
    assert tried.receipt.verdict in ("retry", "refused")
    assert tried.receipt.error
    assert tried.receipt.sentence
    assert PLANTED not in tried.told


@dataclass
class Story:
    """A project of the real server with an integration of a type."""

    api: Api
    receiver: Receiver
    path: str
    kind: IntegrationType

    def deliveries(self) -> list[dict[str, Any]]:
        """The newest first, each with all that there is to read of it."""
        listed = self.api.read(f"{self.path}/deliveries")
        return [self.api.read(f"{self.path}/deliveries/{each['id']}") for each in listed]

    def wait_for(self, *states: str) -> dict[str, Any]:
        """The only delivery, once it is in one of the states."""
        wait_until(lambda: [each["state"] in states for each in self.deliveries()] == [True], f"{states}")
        return self.deliveries()[0]

    def activities(self) -> list[dict[str, Any]]:
        """Those of the deliveries."""
        listed: list[dict[str, Any]] = self.api.read(f"{self.path}/activities?type=integration.{self.kind.key}")
        return listed

    def everything(self) -> str:
        """Whatever can be read of what was delivered."""
        project = self.path.partition("/integrations")[0]
        paths = [f"{self.path}/deliveries", f"{self.path}/receiver", f"{project}/activities"]
        paths += [f"{self.path}/deliveries/{each['id']}" for each in self.deliveries()]
        paths += [f"{project}/activities/{each['id']}/log" for each in self.activities()]
        return "".join(self.api.call("GET", path).body.decode() for path in paths)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """It answers with what is secret, as a careless one may do."""
    with receiving() as started:
        yield started


@pytest.fixture
def story(server: Server, receiver: Receiver, kind: IntegrationType) -> Iterator[Story]:
    api, sample = Api(server.url, ADMIN_TOKEN), SINKS[kind.key]
    project = api.create_project(f"Told by {kind.key}")
    fields = {"events": ["project.modify.*"], **sample.fields(f"{receiver.url}/{kind.key}")}
    path = f"/projects/{project}/integrations/{api.add(project, type=kind.key, **fields)}"
    for name, value in sample.variables.items():
        api.create(f"{path}/variables", {"name": name, "value": value, "is_sensitive": True})
    receiver.behave(f"/{kind.key}", Behaviour(500, body=f"Why do you send me {PLANTED}?"))
    api.call("PATCH", f"/projects/{project}", {"title": "Retitled"})
    yield Story(api, receiver, path, kind)
    api.unfollow(project)


@each_sink
def test_what_is_told_of_deliveries_has_no_secret_and_their_message_has_one_id(
    story: Story, receiver: Receiver, kind: IntegrationType
) -> None:
    tried = story.wait_for("waiting", "failed")
    assert "500" in tried["last_error"]
    if tried["state"] == "waiting":
        story.api.call("POST", f"{story.path.partition('/integrations')[0]}/activities/{tried['own_activity']}/cancel")
    story.wait_for("failed")
    receiver.behave(f"/{kind.key}")
    story.api.call("POST", f"{story.path}/deliveries/{tried['id']}/replay")
    delivered = story.wait_for("delivered")

    assert [each["verdict"] == "delivered" for each in delivered["attempts"]] == [False, True]
    first, second = story.receiver.at(f"/{kind.key}")
    assert first.body == second.body
    assert first.id == second.id
    assert len({each["parameters"]["message"] for each in story.activities()}) == 1
    assert {each["result"] for each in story.activities()} == {"success", "failure"}
    everything = story.everything()
    assert "Why do you send me" in everything
    assert PLANTED not in everything
