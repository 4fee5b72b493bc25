"""Secrets at rest: bound to their place, readable by listed keys only, sealed again when the key changes."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.core.samples import INTEGRATION, NOW
from tieline.core.documents import Variable
from tieline.core.errors import Unavailable
from tieline.core.secret import Secret
from tieline.store import integrations, variables
from tieline.store.database import Database
from tieline.store.seal import SecretBox
from tieline.store.secrets import adopt_key, seal_fields

OLD, NEW = Secret("the old key"), Secret("the new key")
VARIABLE = Variable(
    integration_id=INTEGRATION.id,
    name="TOKEN",
    value=Secret("hunter2"),
    attributes={"a": "b"},
    is_json=False,
    is_sensitive=True,
    created_at=NOW,
    updated_at=None,
)
SEALED = len(INTEGRATION.secrets) + 1


def test_what_was_sealed_opens_again() -> None:
    box = SecretBox([NEW])
    key_id, sealed = box.seal("hunter2 ✓", "int/app_credentials.secret")
    assert b"hunter2" not in sealed
    assert box.open(key_id, sealed, "int/app_credentials.secret") == Secret("hunter2 ✓")


def test_the_same_secret_never_looks_the_same() -> None:
    box = SecretBox([NEW])
    assert box.seal("hunter2", "a/b") != box.seal("hunter2", "a/b")


def test_a_secret_that_was_moved_or_altered_does_not_open() -> None:
    box = SecretBox([NEW])
    key_id, sealed = box.seal("hunter2", "one/secret")
    with pytest.raises(Unavailable, match="altered or moved"):
        box.open(key_id, sealed, "another/secret")
    with pytest.raises(Unavailable, match="altered or moved"):
        box.open(key_id, sealed[:-1] + bytes([sealed[-1] ^ 1]), "one/secret")


def test_a_missing_key_is_named_by_its_id_and_not_by_itself() -> None:
    key_id, sealed = SecretBox([OLD]).seal("hunter2", "a/b")
    with pytest.raises(Unavailable) as caught:
        SecretBox([NEW]).open(key_id, sealed, "a/b")
    assert key_id in str(caught.value)
    assert "key" not in key_id
    assert OLD.reveal() not in str(caught.value)


def test_an_empty_key_is_no_key() -> None:
    with pytest.raises(ValueError, match="at least one key"):
        SecretBox([Secret("")])


@pytest.fixture
async def sealed(database: Database) -> Database:
    """A database whose secrets are sealed with the old key."""
    old = SecretBox([OLD])
    assert await adopt_key(database, old) == 0
    async with database.transaction() as conn:
        await conn.execute("insert into account (id, username, email) values ('a', 'ann', 'ann@example.com')")
        await conn.execute(
            "insert into project (id, title, owner) values (%s, 'Project', 'a')", [INTEGRATION.project_id]
        )
        await integrations.create(conn, old, INTEGRATION, is_git_source=True)
        await variables.create(conn, old, VARIABLE)
        await variables.create(conn, old, replace(VARIABLE, name="SHOWN", is_sensitive=False))
    assert INTEGRATION.secrets
    return database


async def test_rotation_seals_again_and_the_old_key_can_go(sealed: Database) -> None:
    both, new = SecretBox([NEW, OLD]), SecretBox([NEW])
    async with sealed.connection() as conn:
        with pytest.raises(Unavailable):
            await integrations.get_any(conn, new, INTEGRATION.id)

    assert await adopt_key(sealed, both) == SEALED
    assert await adopt_key(sealed, new) == 0
    async with sealed.connection() as conn:
        found = await integrations.get_any(conn, new, INTEGRATION.id)
        variable = await variables.get(conn, new, INTEGRATION.id, VARIABLE.name)
    assert found.secrets == INTEGRATION.secrets
    assert variable == VARIABLE


async def test_a_wrong_key_is_refused_before_it_seals_anything(database: Database) -> None:
    await adopt_key(database, SecretBox([OLD]))
    with pytest.raises(Unavailable, match="put the former one behind the new one") as caught:
        await adopt_key(database, SecretBox([NEW]))
    assert OLD.reveal() not in str(caught.value)
    assert NEW.reveal() not in str(caught.value)
    assert await adopt_key(database, SecretBox([OLD])) == 0


async def test_a_rotation_that_lacks_a_key_changes_nothing(sealed: Database) -> None:
    lost = SecretBox([Secret("a lost key")])
    async with sealed.transaction() as conn:
        key_id, box = lost.seal("hunter2", f"{INTEGRATION.id}/zz")
        statement = "insert into integration_secret (integration_id, name, key_id, sealed) values (%s, 'zz', %s, %s)"
        await conn.execute(statement, [INTEGRATION.id, key_id, box])
    with pytest.raises(Unavailable, match=key_id):
        await adopt_key(sealed, SecretBox([NEW, OLD]))
    async with sealed.connection() as conn:
        cursor = await conn.execute("select distinct key_id from integration_secret where name <> 'zz'")
        assert await cursor.fetchall() == [{"key_id": SecretBox([OLD]).current_key_id}]


async def test_processes_that_start_at_once_seal_once(sealed: Database) -> None:
    both = SecretBox([NEW, OLD])
    counts = await asyncio.gather(*(adopt_key(sealed, both) for _ in range(3)))
    assert sorted(counts) == [0, 0, SEALED]


async def stored(database: Database, box: SecretBox) -> tuple[dict[str, object], dict[str, str]]:
    """The plain fields of the integration, and its secrets."""
    async with database.connection() as conn:
        found = await integrations.get_any(conn, box, INTEGRATION.id)
    return found.config, {name: each.reveal() for name, each in found.secrets.items()}


async def test_what_a_former_version_did_not_seal_is_sealed_once(sealed: Database) -> None:
    box = SecretBox([OLD])
    config, secrets = await stored(sealed, box)
    before = {**config, "url": "https://a.example/secret", "headers": {"A": "1"}, "shared_key": None}
    async with sealed.transaction() as conn:
        await integrations.update(conn, box, INTEGRATION, config=before)
    fields = {INTEGRATION.type: ["url", "headers", "shared_key"], "another": ["x"]}
    counts = await asyncio.gather(*(seal_fields(sealed, box, fields) for _ in range(2)))
    assert sorted(counts) == [0, 2]
    added = {"url": "https://a.example/secret", "headers": '{"A":"1"}'}
    assert await stored(sealed, box) == (config, {**secrets, **added})


async def test_a_retired_secret_is_there_until_its_time_is_up(sealed: Database) -> None:
    box = SecretBox([OLD])
    _, secrets = await stored(sealed, box)
    former = {"shared_key.previous": Secret("former")}
    for good_for, known in ((timedelta(hours=1), {"shared_key.previous": "former"}), (timedelta(0), {})):
        async with sealed.transaction() as conn:
            await integrations.retire(conn, box, INTEGRATION.id, former, good_for)
        assert (await stored(sealed, box))[1] == {**secrets, **known}
        async with sealed.transaction() as conn:
            await integrations.trim_retired(conn)
            cursor = await conn.execute("select name from integration_secret where expires_at is not null")
            assert {row["name"] for row in await cursor.fetchall()} == known.keys()
