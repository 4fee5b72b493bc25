"""The organization of whatever names none: made when it is first needed, once."""

import asyncio
from dataclasses import replace

from tests.unit.core.samples import PROJECT
from tieline.core.ids import new_id
from tieline.store import organizations, projects
from tieline.store.database import Database


async def test_projects_that_come_at_once_share_one_organization(database: Database) -> None:
    async with database.transaction() as conn:
        await conn.execute(
            "insert into account (id, username, email, is_operator, created_at) values"
            " ('user-1', 'ann', 'ann@example.org', false, '2020-01-01'), ('op', 'op', 'op@example.org', true, now())"
        )

    async def create() -> str | None:
        async with database.transaction() as conn:
            return (await projects.create(conn, replace(PROJECT, id=new_id()))).organization

    [only] = set(await asyncio.gather(*(create() for _ in range(5))))
    async with database.connection() as conn:
        [seen] = await organizations.load_seen(conn, "op")
        [owner] = await organizations.load_members(conn, seen.organization.id)
    assert (seen.organization.id, seen.organization.is_default, seen.role) == (only, True, "admin")
    assert (owner.account.id, owner.is_owner, owner.role) == ("op", True, "admin")
