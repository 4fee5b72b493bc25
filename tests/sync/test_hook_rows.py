"""Webhooks in the database: kept once, read once, and a reader woken for each burst."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.sync.conftest import NOW
from tieline.core.documents import Integration, Project
from tieline.core.kinds import fetch_scope, integration_actor
from tieline.core.remote import Scope
from tieline.core.secret import Secret
from tieline.store import activities, fetches, hooks, integrations
from tieline.store.database import Database
from tieline.store.hooks import NewHook
from tieline.store.seal import SecretBox

BOX = SecretBox([Secret("a key of the tests")])


@pytest.fixture
async def integration(database: Database, project: Project) -> Integration:
    found = Integration("integration23", project.id, "bitbucket", {"repository": "acme/site"}, NOW, None)
    async with database.transaction() as conn:
        await integrations.create(conn, BOX, found, is_git_source=True)
    return found


async def query(database: Database, statement: str) -> Sequence[dict[str, Any]]:
    async with database.connection() as conn:
        return await (await conn.execute(statement)).fetchall()


def hook(integration: str = "integration23", body: bytes = b"{}", *, signed: bool = True) -> NewHook:
    return NewHook(integration, {"x-event-key": "repo:push"}, body, is_signed=signed)


async def test_a_burst_is_kept_in_order_and_wakes_one_reader(database: Database, integration: Integration) -> None:
    async with database.transaction() as conn:
        await hooks.insert_many(conn, [hook(body=str(number).encode()) for number in range(500)])
        found = await hooks.unread(conn, integration.id, 500)
    assert [each.body for each in found] == [str(number).encode() for number in range(500)]
    assert found[0].headers == {"x-event-key": "repo:push"}
    jobs = await query(database, "select task_name, args from procrastinate_jobs")
    assert jobs == [{"task_name": "read_hooks", "args": {"integration_id": integration.id}}]


async def test_hooks_of_integrations_that_are_gone_do_not_spoil_the_rest(
    database: Database, integration: Integration
) -> None:
    async with database.transaction() as conn:
        await hooks.insert_many(conn, [hook("nobody2345678"), hook()])
        assert len(await hooks.unread(conn, integration.id)) == 1
        assert await hooks.unread(conn, "nobody2345678") == []


async def test_the_first_signed_hook_is_remembered(database: Database, integration: Integration) -> None:
    async with database.transaction() as conn:
        await hooks.insert_many(conn, [hook(signed=False)])
        assert not (await integrations.get_any(conn, BOX, integration.id)).signed_hook_seen
        await hooks.insert_many(conn, [hook()])
        assert (await integrations.get_any(conn, BOX, integration.id)).signed_hook_seen


async def test_what_was_read_is_not_read_again(database: Database, integration: Integration) -> None:
    async with database.transaction() as conn:
        await hooks.insert_many(conn, [hook(), hook()])
        first, second = await hooks.unread(conn, integration.id)
        await hooks.mark_read(conn, {first.id: "Read: repo:push"})
        assert [each.id for each in await hooks.unread(conn, integration.id)] == [second.id]
        assert await hooks.integrations_unread(conn, 0) == [integration.id]
        assert await hooks.integrations_unread(conn, 60) == []
        await hooks.mark_read(conn, {second.id: "Ignored"})
        assert await hooks.integrations_unread(conn, 0) == []


async def test_long_bodies_are_read_a_few_at_a_time_and_not_kept(database: Database, integration: Integration) -> None:
    bodies = [b"a" * 9_000_000, b"b" * 9_000_000, b"c" * 300_000, b"{}"]
    async with database.transaction() as conn:
        for body in bodies:
            await hooks.insert_many(conn, [hook(body=body)])
        for expected in (bodies[:2], bodies[2:]):
            found = await hooks.unread(conn, integration.id)
            assert [each.body for each in found] == expected
            await hooks.mark_read(conn, {each.id: "Read" for each in found})
        cursor = await conn.execute("select body from hook_delivery order by id")
        assert [bytes(row["body"]) for row in await cursor.fetchall()] == [b"", b"", b"", b"{}"]


async def test_old_ones_are_forgotten_once_read(database: Database, integration: Integration) -> None:
    async with database.transaction() as conn:
        await hooks.insert_many(conn, [hook(), hook(), hook()])
        await conn.execute("update hook_delivery set received_at = now() - interval '8 days' where body <> 'none'")
        first, second, _ = await hooks.unread(conn, integration.id)
        await hooks.mark_read(conn, {first.id: "Read", second.id: "Read"})
        assert await hooks.trim(conn) == 2
        assert len(await hooks.unread(conn, integration.id)) == 1


async def test_a_burst_becomes_one_fetch(database: Database, project: Project, integration: Integration) -> None:
    actor = integration_actor(integration, "Bitbucket")
    asked = [Scope(frozenset({1}), repository=False), Scope(frozenset({2}), repository=False)]
    async with database.transaction() as conn:
        found = [
            await fetches.request_fetch(conn, project, integration, actor, "Bitbucket", scope, reason="hook")
            for scope in asked
        ]
        assert found[0].id == found[1].id
        merged = await activities.get(conn, project.id, found[0].id)
        assert fetch_scope(merged.parameters) == Scope(frozenset({1, 2}), repository=False)

        await fetches.request_fetch(
            conn, project, integration, actor, "Bitbucket", reason="requested", confirm_prune=True
        )
        merged = await activities.get(conn, project.id, found[0].id)
        assert fetch_scope(merged.parameters) == Scope()
        assert (merged.parameters["confirm_prune"], merged.parameters["reason"]) == (True, "hook")


async def test_a_fetch_that_has_begun_takes_nothing_more(
    database: Database, project: Project, integration: Integration
) -> None:
    actor = integration_actor(integration, "Bitbucket")
    async with database.transaction() as conn:
        first = await fetches.request_fetch(conn, project, integration, actor, "Bitbucket", reason="timer")
        assert await activities.begin(conn, first.id) is not None
        second = await fetches.request_fetch(conn, project, integration, actor, "Bitbucket", reason="hook")
    assert first.id != second.id
