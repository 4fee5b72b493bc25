"""Secrets at rest: bound to their place, readable by listed keys only, sealed again when the key changes."""

import pytest

from tests.unit.core.samples import INTEGRATION
from tieline.core.errors import Unavailable
from tieline.core.secret import Secret
from tieline.store import integrations
from tieline.store.database import Database
from tieline.store.seal import SecretBox
from tieline.store.secrets import reseal

OLD, NEW = Secret("the old key"), Secret("the new key")


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


async def test_rotation_seals_again_and_the_old_key_can_go(database: Database) -> None:
    old, both, new = SecretBox([OLD]), SecretBox([NEW, OLD]), SecretBox([NEW])
    async with database.transaction() as conn:
        await conn.execute("insert into account (id, username, email) values ('a', 'ann', 'ann@example.com')")
        await conn.execute(
            "insert into project (id, title, owner) values (%s, 'Project', 'a')", [INTEGRATION.project_id]
        )
        await integrations.create(conn, old, INTEGRATION, is_git_source=True)
    assert INTEGRATION.secrets

    async with database.connection() as conn:
        with pytest.raises(Unavailable):
            await integrations.get_any(conn, new, INTEGRATION.id)

    assert await reseal(database, both) == len(INTEGRATION.secrets)
    assert await reseal(database, both) == 0
    async with database.connection() as conn:
        found = await integrations.get_any(conn, new, INTEGRATION.id)
    assert found.secrets == INTEGRATION.secrets
