"""What the log of an activity masks."""

import asyncio
import secrets
import time
from dataclasses import replace

from tests.activities.conftest import BOX, World
from tests.unit.core.samples import ANN, INTEGRATION, MAIN, NOW, PROJECT
from tieline.activities.secrets import KnownSecrets
from tieline.core import kinds
from tieline.core.documents import NewActivity, Variable
from tieline.core.ports import Toolbox
from tieline.core.redact import Redactor
from tieline.core.secret import Secret
from tieline.integrations import ALL
from tieline.integrations.base import Registry
from tieline.net.client import GuardedClient
from tieline.net.egress import Policy
from tieline.store import environments, integrations, variables

REGISTRY = Registry(ALL, Toolbox(GuardedClient(Policy(), "tests"), limiter=None, settings={}))  # type: ignore[arg-type]
TEXT = "never-to-be-seen and hunter22"


async def masked(world: World, new: NewActivity) -> str:
    redactor = await KnownSecrets(world.db, BOX, REGISTRY).redactor_of(await world.create(new))
    return redactor.text(TEXT)


async def test_an_environments_log_masks_its_integrations_secrets_and_its_passwords(world: World) -> None:
    async with world.db.transaction() as conn:
        access = {"is_enabled": True, "addresses": [], "basic_auth": {"ann": "hunter22"}}
        await environments.save(conn, PROJECT.id, "main", http_access=access)
    assert await masked(world, kinds.activate(PROJECT, MAIN, ANN)) == "******** and ********"


async def test_an_integrations_log_masks_its_secrets(world: World) -> None:
    new = kinds.register_hooks(PROJECT, INTEGRATION, "Bitbucket", ANN)
    assert await masked(world, new) == "******** and hunter22"


async def test_what_is_secret_of_headers_and_variables_is_masked_and_a_choice_is_not(world: World) -> None:
    """Headers stand for all that can be read back."""
    headers = Secret('{"Authorization":"Bearer never-to-be-seen","X-A":"seen hunter22"}')
    forwards = replace(INTEGRATION, id="httplog", type="httplog", config={}, secrets={"headers": headers})
    syslog = {"auth_mode": Secret("never-to-be-seen"), "auth_token": Secret("hunter22")}
    chosen = replace(INTEGRATION, id="syslog", type="syslog", config={}, secrets=syslog)
    sensitive = Variable(
        "syslog", "A", Secret('["seen"]'), {}, is_json=True, is_sensitive=True, created_at=NOW, updated_at=None
    )
    shown = replace(sensitive, name="B", value=Secret("never"), is_json=False, is_sensitive=False)
    async with world.db.transaction() as conn:
        for each in (forwards, chosen):
            await integrations.create(conn, BOX, each, is_git_source=False)
        for variable in (sensitive, shown):
            await variables.create(conn, BOX, variable)
    for each, text in ((forwards, "******** and ********"), (chosen, "never-to-be-******** and ********")):
        new = kinds.register_hooks(PROJECT, each, each.type, ANN)
        assert await masked(world, new) == text


async def test_others_know_no_secrets(world: World) -> None:
    async with world.db.transaction() as conn:
        await environments.remove(conn, PROJECT.id, "main")
    assert await masked(world, kinds.activate(PROJECT, MAIN, ANN)) == TEXT
    assert await masked(world, kinds.project_created(PROJECT, ANN)) == TEXT


async def test_many_passwords_keep_nobody_waiting(world: World) -> None:
    passwords = [secrets.token_hex(127) for _ in range(100)]
    async with world.db.transaction() as conn:
        access = {"is_enabled": True, "addresses": [], "basic_auth": {each[:20]: each for each in passwords}}
        await environments.save(conn, PROJECT.id, "main", http_access=access)
    begun = time.thread_time()
    Redactor(passwords)
    seconds, longest = time.thread_time() - begun, 0.0
    making = asyncio.create_task(masked(world, kinds.activate(PROJECT, MAIN, ANN)))
    while not making.done():
        # Of this thread alone, so that neither the one beside it nor a busy machine counts.
        begun = time.thread_time()
        await asyncio.sleep(0)
        longest = max(longest, time.thread_time() - begun)
    assert await making == "******** and hunter22"
    assert longest < 0.5 * seconds
