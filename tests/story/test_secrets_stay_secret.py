"""A secret planted in every write-only field and every token is found nowhere."""

import asyncio
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from tests.story.conftest import StartServer
from tests.story.support import ADMIN_TOKEN, Project, Server, connect, eventually
from tieline.simulators.bitbucket import BitbucketSimulator
from tieline.store.embedded_home import find_binaries

REPOSITORY = "acme/site"
CONSUMER_SECRET = "canary-consumer-7d1f0c"
ADDON_SECRET = "canary-addon-shared-93ab"
MISPLACED = "canary-in-the-wrong-place-58c2"
SEALING_KEY = "canary-sealing-key-0b6e1d"
PASSWORD = "canary-password-of-ann-4e"


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


def files(data: Path) -> bytes:
    """Every byte of the data folder, the database's files and write-ahead log included, but the key file."""
    found = (each for each in data.rglob("*") if each.is_file() and each.name != "admin-token")
    return b"".join(each.read_bytes() for each in found)


async def dump(data: Path) -> bytes:
    """The database as its backups have it: what its files hold compressed is plain text there."""
    program = find_binaries(None) / "pg_dump"
    place = f"host={(data / 'postgres').resolve()} user=tieline dbname=postgres"
    process = await asyncio.create_subprocess_exec(program, "--dbname", place, stdout=subprocess.PIPE)
    text, _ = await process.communicate()
    assert process.returncode == 0
    return text


def spellings(secret: str) -> list[bytes]:
    """As it is, as bytea is dumped, and what any Base64 text with it in it contains."""
    plain = secret.encode()
    encoded = [b64encode(bytes(offset) + plain)[4 : (offset + len(plain)) // 3 * 4] for offset in range(3)]
    return [plain, plain.hex().encode(), *encoded]


def deployer(folder: Path) -> Path:
    """Tells the log everything that it was told."""
    path = folder / "talkative"
    path.write_text("#!/bin/sh\nenv\ncat\necho\necho That was all.\n")
    path.chmod(0o755)
    return path


async def wrong_requests(server: Server, project: Project) -> list[str]:
    """Answers to requests with a secret in the wrong place."""
    integrations = f"{server.url}{project.path}/integrations"
    body = {"type": "bitbucket", "repository": "acme/other"}
    secret = {"key": "k", "secret": MISPLACED}
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", integrations, {"json": {**body, "app_credentials": MISPLACED}}),
        ("POST", integrations, {"json": {**body, "app_credentials": {**secret, "secret": [MISPLACED]}}}),
        ("POST", integrations, {"json": {**body, "prune_branches": MISPLACED, "app_credentials": secret}}),
        ("POST", integrations, {"data": f'{{"app_credentials": {{"secret": "{MISPLACED}"'}),
        (
            "PATCH",
            f"{server.url}{project.integration_path}",
            {"json": {"app_credentials": {"secret": {"a": MISPLACED}}}},
        ),
        ("GET", integrations, {"headers": {"Authorization": f"Bearer {MISPLACED}"}}),
        ("GET", integrations, {"headers": {"Authorization": f"Basic {b64encode(MISPLACED.encode()).decode()}"}}),
        ("POST", f"{server.url}/oauth2/token", {"data": {"grant_type": "api_token", "api_token": MISPLACED}}),
        (
            "POST",
            f"{integrations}/{project.integration_id}/hook",
            {"data": "{}", "headers": {"X-Hub-Signature": MISPLACED}},
        ),
    ]
    answers = []
    assert server.session is not None
    for method, url, options in requests:
        async with server.session.request(method, url, **options) as answer:
            assert answer.status in (400, 401), (url, options, await answer.text())
            answers.append(repr(answer.headers) + await answer.text())
    return answers


async def read_everything(server: Server, project: Project) -> dict[str, str]:
    """What an administrator can read, by path."""
    paths = ["/projects", "/users/me", "/metrics", "/readyz", f"{project.path}/environments"]
    paths += [f"{project.path}/integrations", project.integration_path]
    paths += [f"{project.path}/activities?count=100", f"{project.integration_path}/activities"]
    paths += [f"{project.path}/activities/{each}/log" for each in await project.all_activities()]
    answers = {}
    assert server.session is not None
    for path in paths:
        async with server.session.get(server.url + path) as answer:
            assert answer.status == 200, path
            answers[path] = await answer.text()
    return answers


@pytest.fixture
def command_lines() -> CommandLines:
    return CommandLines()


async def test_planted_secrets_are_found_nowhere(
    host: BitbucketSimulator, start_server: StartServer, command_lines: CommandLines, folder: Path, tmp_path: Path
) -> None:
    host.create_repository(REPOSITORY)
    await host.commit(REPOSITORY, "main", {"index.html": "main"}, "Start")
    host.add_consumer("canary-key", CONSUMER_SECRET)
    host.add_addon("addon", "client", ADDON_SECRET)
    watcher = asyncio.create_task(command_lines.watch())
    server = await start_server(
        Server,
        TIELINE_LOG_LEVEL="debug",
        TIELINE_SECRET_KEY=SEALING_KEY,
        TIELINE_DEPLOYER=f"command:{deployer(tmp_path)}",
    )
    project = await connect(server, host, REPOSITORY, app_credentials={"key": "canary-key", "secret": CONSUMER_SECRET})
    await project.settled()
    minted = await server.call("POST", f"/users/{(await server.get('/users/me'))['id']}/api-tokens", {"name": "canary"})
    api_token = minted["token"]
    assert server.session is not None
    form = {"grant_type": "api_token", "api_token": api_token}
    async with server.session.post(f"{server.url}/oauth2/token", data=form) as answer:
        access_token = (await answer.json())["access_token"]
    async with server.session.get(
        f"{server.url}/projects", headers={"Authorization": f"Bearer {access_token}"}
    ) as answer:
        assert answer.status == 200

    access = {"http_access": {"is_enabled": True, "basic_auth": {"ann": PASSWORD}}}
    await server.call("PATCH", f"{project.path}/environments/main", access)
    addon = {"addon_key": "addon", "client_key": "client", "shared_secret": ADDON_SECRET}
    answers = [
        repr(
            await server.call("PATCH", project.integration_path, {"addon_credentials": addon, "app_credentials": None})
        )
    ]
    await host.commit(REPOSITORY, "main", {"index.html": "again"}, "Go on")
    await project.wait_for("main", head_commit=host.head(REPOSITORY, "main"))
    await project.settled()
    assert {each["result"] for each in (await project.all_activities()).values()} == {"success"}
    answers += await wrong_requests(server, project)

    issued = host.issued_tokens()
    host.faults.refuse_credentials = True
    host.revoke_tokens()
    await project.sync()

    async def refused() -> bool:
        fetches = await project.activities(type="integration.bitbucket.fetch")
        return any(each["result"] == "failure" for each in fetches)

    await eventually(refused, what="a fetch that fails for its credentials")
    readable = await read_everything(server, project)
    backup = await dump(folder / "data")
    command_lines.stop()
    await watcher
    await server.stop()

    secrets = [CONSUMER_SECRET, ADDON_SECRET, MISPLACED, SEALING_KEY, api_token, access_token, ADMIN_TOKEN]
    secrets += [*issued, *host.hook_secrets(REPOSITORY)]
    assert len(secrets) >= 10
    places = {
        "answers": "\n".join([*answers, *readable.values()]).encode(),
        "server log": server.output.encode(),
        "command lines": b"\n".join(command_lines.seen),
        "data folder": files(folder / "data"),
        "dump": backup,
    }
    # What is no secret is found, so a secret would be.
    assert b"addon_key" in places["dump"]
    assert b"addon_key" in places["data folder"]
    assert b"tieline" in places["command lines"]
    found = [
        (place, secret[:12])
        for place, text in places.items()
        for secret in secrets
        if any(each in text for each in spellings(secret))
    ]
    assert found == []
    # A deployer is told the passwords of its environment; what it says of them is masked.
    said = "\n".join(text for path, text in readable.items() if "/activities" in path)
    assert PASSWORD not in said + server.output
    assert '{\\"ann\\":\\"********\\"}' in said


async def test_the_watcher_sees_the_command_line_of_a_short_life(command_lines: CommandLines) -> None:
    watcher = asyncio.create_task(command_lines.watch())
    process = await asyncio.create_subprocess_exec("sleep", "0.4321")
    await process.wait()
    command_lines.stop()
    await watcher
    assert any(b"0.4321" in line for line in command_lines.seen)
