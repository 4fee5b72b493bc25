"""A secret planted in every write-only field and every token is found nowhere."""

import asyncio
from pathlib import Path

import pytest

from tests.story.conftest import StartServer
from tests.story.support import ADMIN_TOKEN, connect, eventually
from tieline.simulators.bitbucket import BitbucketSimulator

REPOSITORY = "acme/site"
CONSUMER_SECRET = "canary-consumer-7d1f0c"
ADDON_SECRET = "canary-addon-shared-93ab"


class CommandLines:
    """Every command line seen on the machine while the story ran."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._stop = asyncio.Event()

    async def watch(self) -> None:
        while not self._stop.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    continue
            await asyncio.sleep(0.005)

    def stop(self) -> None:
        self._stop.set()


def dump(data: Path) -> bytes:
    """Every byte of the data folder, the database's files and write-ahead log included, but the key files."""
    kept_secret = {"admin-token", "secret-key"}
    files = (each for each in data.rglob("*") if each.is_file() and each.name not in kept_secret)
    return b"".join(each.read_bytes() for each in files)


@pytest.fixture
def command_lines() -> CommandLines:
    return CommandLines()


async def test_planted_secrets_are_found_nowhere(
    host: BitbucketSimulator, start_server: StartServer, command_lines: CommandLines, folder: Path
) -> None:
    host.create_repository(REPOSITORY)
    await host.commit(REPOSITORY, "main", {"index.html": "main"}, "Start")
    host.add_consumer("canary-key", CONSUMER_SECRET)
    watcher = asyncio.create_task(command_lines.watch())
    server = await start_server(TIELINE_LOG_LEVEL="debug")
    project = await connect(server, host, REPOSITORY, app_credentials={"key": "canary-key", "secret": CONSUMER_SECRET})
    await project.wait_for("main", status="active")
    minted = await server.call("POST", f"/users/{(await server.get('/users/me'))['id']}/api-tokens", {"name": "canary"})
    api_token = next(value for value in minted.values() if isinstance(value, str) and len(value) >= 32)

    answers = [
        await server.call(
            "PATCH",
            project.integration_path,
            {"addon_credentials": {"addon_key": "addon", "client_key": "client", "shared_secret": ADDON_SECRET}},
        )
    ]
    host.faults.refuse_credentials = True
    await project.sync()

    async def refused() -> bool:
        fetches = await project.activities(type="integration.bitbucket.fetch")
        return any(each["result"] == "failure" for each in fetches)

    await eventually(refused, what="a fetch that fails for its credentials")
    answers += [
        await server.get(path)
        for path in (f"{project.path}/integrations", project.integration_path, f"{project.path}/activities?count=100")
    ]
    assert server.session is not None
    for activity in await project.activities():
        async with server.session.get(f"{server.url}{project.path}/activities/{activity['id']}/log") as log:
            answers.append(await log.text())
    command_lines.stop()
    await watcher
    issued = [token for token in host.issued_tokens() if token]
    await server.stop()

    secrets = [CONSUMER_SECRET, ADDON_SECRET, api_token, ADMIN_TOKEN, *issued, *host.hook_secrets(REPOSITORY)]
    assert len(secrets) >= 6
    places = {
        "answers": repr(answers).encode(),
        "server log": server.output.encode(),
        "command lines": b"\n".join(command_lines.seen),
        "data folder": dump(folder / "data"),
    }
    # What is no secret is found, so a secret would be.
    assert b"canary-key" in places["data folder"]
    assert b"tieline" in places["command lines"]
    found = [(place, secret[:12]) for place, text in places.items() for secret in secrets if secret.encode() in text]
    assert found == []


async def test_the_watcher_sees_the_command_line_of_a_short_life(command_lines: CommandLines) -> None:
    watcher = asyncio.create_task(command_lines.watch())
    process = await asyncio.create_subprocess_exec("sleep", "0.4321")
    await process.wait()
    command_lines.stop()
    await watcher
    assert any(b"0.4321" in line for line in command_lines.seen)
