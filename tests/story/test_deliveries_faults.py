"""Receivers that fail in every way there is: nobody else notices, and they are told of all once they are well."""

import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.folders import copy_data, open_folder
from tests.story.conftest import free_port
from tests.story.support import Server, eventually
from tests.story.telling import HOOK, Telling, accepted, unsigned, write_seed
from tieline.simulators.receiver import Behaviour
from tieline.simulators.receiver.certificates import Authority, Flaw

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAULTS = {
    "answers late": (Behaviour(delay=60), "timeout"),
    "answers byte by byte": (Behaviour(drip=60), "timeout"),
    "never answers": (Behaviour(hang=True), "timeout"),
    "hangs up before it answers": (Behaviour(close="before-headers"), "closed"),
    "hangs up in the middle": (Behaviour(close="after-headers"), "answer"),
    "is broken": (Behaviour(500), "status"),
    "is busy": (Behaviour(503, retry_after="1"), "status"),
    "has moved": (Behaviour(302, location="http://127.0.0.1:1/"), "status"),
    "knows nothing of it": (Behaviour(404), "status"),
}
FLAWS: Sequence[Flaw] = ("wrong-name", "expired", "self-signed")
NAME = "receiver.example"
PRIVATE = "10.1.2.3"
A_GIGABYTE = 1024**3
SIX_DAYS_AGO = "update receiver set failing_since = failing_since - interval '6 days' where integration_id = %s"


@dataclass
class World:
    """A server with what it believes: `authority` issues certificates, and `hosts` has the addresses of names.

    `moving` has one receiver more, which is called by its name. It was told of something at the very beginning, so
    that the server's memory for addresses has been over for long when its address changes.
    """

    telling: Telling
    authority: Authority
    hosts: Path
    moving: Telling
    has_own_hosts: bool


def with_own_hosts(hosts: Path) -> Sequence[str]:
    """What to start a server with so that a file of ours is its /etc/hosts; nothing where that is not allowed."""
    command = ["unshare", "--mount", "sh", "-c", f'mount --bind "{hosts}" /etc/hosts && exec "$@"', "sh"]
    tried = subprocess.run([*command, "true"], capture_output=True, check=False) if shutil.which("unshare") else None
    return command if tried is not None and tried.returncode == 0 else ()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(data: Path) -> AsyncIterator[World]:
    with open_folder() as folder:
        copy_data(data, folder)
        async with open_world(folder) as world:
            yield world


@asynccontextmanager
async def open_world(folder: Path) -> AsyncIterator[World]:
    authority = Authority(folder)
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {NAME}\n")
    settings = {
        "SSL_CERT_FILE": str(authority.path),
        "TIELINE_DELIVERY_SECONDS": "1",
        "TIELINE_DELIVERY_RETRY_SECONDS": ",".join(["0.2"] * 60),
        "TIELINE_DELIVERY_BREAKER_SECONDS": "0.2",
    }
    seed = write_seed(folder / "seed.yaml", 20)
    prefix = with_own_hosts(hosts)
    async with Server(folder, settings, free_port(), ("--seed", str(seed)), prefix=prefix) as server:
        moving = Telling(server)
        async with moving.hearing("env-19", host=NAME if prefix else "127.0.0.1"):
            await moving.change("env-19")
            await moving.recorded("env-19", 3)
            yield World(Telling(server), authority, hosts, moving, bool(prefix))


async def failed_with(telling: Telling, name: str, error: str) -> None:
    errors: set[str] = set()

    async def failed() -> bool:
        errors.update(await telling.errors(name))
        return bool(errors)

    await eventually(failed, what=f"an attempt for {name} to fail")
    assert errors == {error}


async def test_whoever_fails_is_told_once_it_is_well(world: World) -> None:
    telling = world.telling
    async with AsyncExitStack() as stack:
        names = {f"env-{number}": fault for number, fault in enumerate(FAULTS.values())}
        for name, (behaviour, _) in names.items():
            receiver = await stack.enter_async_context(telling.hearing(name))
            receiver.behave(HOOK, behaviour)
            await telling.change(name)
        for name, (_, error) in names.items():
            await failed_with(telling, name, error)
            assert accepted(telling.receivers[name]) == 0
        for receiver in telling.receivers.values():
            receiver.behave(HOOK)

        await telling.met(3)
        judgement = await telling.judge()
        assert (judgement.obligations, judgement.breaches) == (3 * len(FAULTS), [])


async def test_wrong_certificates_are_refused_until_they_are_right(world: World) -> None:
    telling = world.telling
    async with AsyncExitStack() as stack:
        names = {f"env-{number}": flaw for number, flaw in enumerate(FLAWS)}
        for name, flaw in names.items():
            context = world.authority.context("127.0.0.1", flaw)
            await stack.enter_async_context(telling.hearing(name, scheme="https", tls=context))
            await telling.change(name)
        plain = await stack.enter_async_context(telling.hearing("env-9", scheme="https"))
        await telling.change("env-9")
        await failed_with(telling, "env-9", "tls")
        for name in names:
            await failed_with(telling, name, "certificate")
        assert not any(each.arrivals for each in telling.receivers.values())
        for receiver in telling.receivers.values():
            await receiver.close()
            receiver.tls = world.authority.context("127.0.0.1")
            await receiver.open()

        await telling.met(3)
        judgement = await telling.judge()
        assert (judgement.obligations, judgement.duplicates, judgement.breaches) == (12, 0, [])
        assert plain.url.startswith("https:")


async def test_a_dead_receiver_delays_nobody(world: World) -> None:
    telling = world.telling
    async with telling.hearing("dead", only="*") as dead, telling.hearing("well", only="*") as well:
        dead.behave(HOOK, Behaviour(hang=True))
        for number in range(2, 8):
            await telling.change(f"env-{number}", 5)

        async def all_well() -> bool:
            return accepted(well) == 90

        await eventually(all_well, what="the other receiver to have everything")
        assert accepted(dead) == 0
        dead.behave(HOOK)
        await telling.met(90)
        assert (await telling.judge()).breaches == []


async def test_a_gigabyte_is_not_read(world: World) -> None:
    telling = world.telling
    async with telling.hearing("env-0") as receiver:
        receiver.behave(HOOK, Behaviour(size=A_GIGABYTE))
        before = memory_of(telling.server)
        await telling.change("env-0")
        await telling.recorded("env-0", 3)
        assert memory_of(telling.server) - before < 64 * 1024**2
        judgement = await telling.judge()
        assert (judgement.obligations, judgement.duplicates, judgement.breaches) == (3, 0, [])


def memory_of(server: Server) -> int:
    """The most bytes that the process has had in memory so far."""
    assert server.process is not None
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


async def test_a_receiver_that_is_gone_and_comes_back(world: World) -> None:
    telling = world.telling
    async with telling.hearing("env-0") as receiver:
        await receiver.close()
        await telling.change("env-0")
        await failed_with(telling, "env-0", "connection")
        await receiver.open()
        await telling.met(3)
        judgement = await telling.judge()
        assert (judgement.obligations, judgement.duplicates, judgement.breaches) == (3, 0, [])


async def paused(telling: Telling, name: str) -> str:
    """Wait until an integration is paused; the reason."""

    async def reason() -> str | None:
        found = await telling.server.get(f"{telling.path(name)}/receiver")
        return found["paused_because"] if found["paused"] else None

    return await eventually(reason, what=f"{name} to be paused")


async def test_whoever_is_told_no_more_is_told_all_when_it_is_resumed(world: World) -> None:
    telling = world.telling
    async with telling.hearing("env-0") as gone, telling.hearing("env-1") as failing:
        gone.behave(HOOK, Behaviour(410))
        failing.behave(HOOK, Behaviour(500))
        await telling.change("env-0")
        await telling.change("env-1")
        assert "410" in await paused(telling, "env-0")
        await failed_with(telling, "env-1", "status")
        # Six days go by, with nothing but failures.
        await telling.query(SIX_DAYS_AGO, telling.integrations["env-1"])
        assert "Nothing but failures" in await paused(telling, "env-1")
        before = len(gone.arrivals), len(failing.arrivals)
        await telling.change("env-0")
        await telling.change("env-1")
        gone.behave(HOOK)
        failing.behave(HOOK)
        assert (len(gone.arrivals), len(failing.arrivals)) == before

        for name in ("env-0", "env-1"):
            await telling.server.call("POST", f"{telling.path(name)}/resume")
        await telling.met(6)
        judgement = await telling.judge()
        assert (judgement.obligations, judgement.breaches) == (12, [])


async def test_a_name_without_an_address_may_get_one_or_another_name(world: World) -> None:
    telling = world.telling
    async with telling.hearing("env-0", host="receiver.invalid") as receiver:
        await telling.change("env-0")
        await failed_with(telling, "env-0", "dns")
        await telling.server.call("PATCH", telling.path("env-0"), {"url": receiver.url + HOOK})
        await telling.met(3)
        judgement = await telling.judge()
        assert (judgement.obligations, judgement.duplicates, judgement.breaches) == (3, 0, [])


async def test_a_name_that_leads_to_a_private_address_later(world: World) -> None:
    if not world.has_own_hosts:
        pytest.skip("names need a mount namespace here, which is not allowed")
    moving = world.moving
    receiver = moving.receivers["env-19"]
    world.hosts.write_text(f"{PRIVATE} {NAME}\n")

    async def refused() -> bool:
        # A connection that there is would be used again.
        await receiver.close()
        await receiver.open()
        await moving.change("env-19")
        return "egress" in await moving.errors("env-19")

    await eventually(refused, what="an attempt that is refused")
    dialled = await moving.query("select distinct address from delivery_attempt where verdict = 'delivered'")
    assert dialled == [("127.0.0.1",)]

    world.hosts.write_text(f"127.0.0.1 {NAME}\n")
    happened = 3 * moving.rounds["env-19"]
    await moving.met(happened)
    judgement = await moving.judge()
    assert (judgement.obligations, judgement.breaches) == (happened, [])
    assert unsigned(receiver) == []
