"""The sweep: finds what is due whatever became of its job, adds nothing twice, and holds nobody up."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.activities.conftest import BOX
from tests.unit.core.samples import ANN, INTEGRATION, MAIN, PROJECT, PULL
from tieline.core import kinds
from tieline.core.clock import now
from tieline.core.ports import Outcome
from tieline.store import activities, environments, hooks, integrations, projects
from tieline.store.database import Connection, Database
from tieline.store.due import wake_due


@pytest.fixture
async def furnished(database: Database) -> Database:
    async with database.transaction() as conn:
        await conn.execute("insert into account (id, username, email) values ('user-1', 'ann', 'ann@example.org')")
        await projects.create(conn, PROJECT)
        await integrations.create(conn, BOX, replace(INTEGRATION, next_reconcile_at=now()), is_git_source=True)
        await environments.create_many(conn, [MAIN, PULL])
    return database


async def jobs(conn: Connection) -> list[str]:
    cursor = await conn.execute("select queueing_lock from procrastinate_jobs order by id")
    return [row["queueing_lock"] for row in await cursor.fetchall()]


async def test_every_job_that_was_lost_is_woken_again_once(furnished: Database) -> None:
    async with furnished.transaction() as conn:
        running = await activities.create(conn, kinds.redeploy(PROJECT, MAIN, ANN))
        await activities.begin(conn, running.id)
        waiting = await activities.create(conn, kinds.redeploy(PROJECT, PULL, ANN))
        await activities.create(conn, kinds.redeploy(PROJECT, MAIN, ANN))
        await hooks.insert_many(conn, [hooks.NewHook(INTEGRATION.id, {}, b"{}", is_signed=True)])
        await conn.execute("update activity set admitted_at = admitted_at - interval '2 seconds'")
        await conn.execute("update hook_delivery set received_at = received_at - interval '3 seconds'")
        await conn.execute("delete from procrastinate_jobs")
    expected = sorted(
        [
            f"activity:{running.id}",
            f"activity:{waiting.id}",
            f"hooks:{INTEGRATION.id}",
            f"probe:{INTEGRATION.id}",
        ]
    )
    async with furnished.connection() as conn:
        await wake_due(conn)
        assert sorted(await jobs(conn)) == expected
        await wake_due(conn)
        assert sorted(await jobs(conn)) == expected


async def test_what_still_runs_does_not_put_off_the_removal_of_its_integration(furnished: Database) -> None:
    async with furnished.transaction() as conn:
        await integrations.mark_deleted(conn, INTEGRATION)
        await integrations.save_state(conn, INTEGRATION.id, next_reconcile_at=now() + timedelta(hours=1))
        await conn.execute("delete from procrastinate_jobs")
    async with furnished.connection() as conn:
        await wake_due(conn)
        assert await jobs(conn) == [f"removal:{INTEGRATION.id}"]
        await integrations.postpone_removal(conn, INTEGRATION.id, now() + timedelta(hours=1))
        await conn.execute("delete from procrastinate_jobs")
        await wake_due(conn)
        assert await jobs(conn) == []


async def test_an_activity_that_was_not_admitted_when_a_place_became_free_is_found(furnished: Database) -> None:
    async with furnished.transaction() as conn:
        await activities.create(conn, kinds.redeploy(PROJECT, MAIN, ANN))
        await conn.execute("update activity set admitted_at = null")
        await conn.execute("delete from procrastinate_jobs")
    async with furnished.connection() as conn:
        await wake_due(conn)
        cursor = await conn.execute("select admitted_at is not null as admitted from activity")
        assert await cursor.fetchall() == [{"admitted": True}]


async def test_a_removal_that_failed_leaves_an_environment_that_can_be_removed_again(furnished: Database) -> None:
    async with furnished.transaction() as conn:
        await environments.set_status(conn, PROJECT.id, PULL.id, "deleting")
        removal = await activities.create(conn, kinds.delete(PROJECT, PULL, ANN))
    async with furnished.connection() as conn:
        await wake_due(conn)
        assert (await environments.get(conn, PROJECT.id, PULL.id)).status == "deleting"
        begun = await activities.begin(conn, removal.id)
        assert begun is not None
        await activities.finish(conn, begun, Outcome("failure", "error"))
        await wake_due(conn)
        assert (await environments.get(conn, PROJECT.id, PULL.id)).status == "inactive"


async def test_the_sweep_and_a_transaction_that_needs_the_same_never_wait_in_circles(furnished: Database) -> None:
    async with furnished.transaction() as conn:
        await hooks.insert_many(conn, [hooks.NewHook(INTEGRATION.id, {}, b"{}", is_signed=True)])
        await conn.execute("update hook_delivery set received_at = received_at - interval '3 seconds'")
        await conn.execute("delete from procrastinate_jobs")
        await activities.create(conn, kinds.redeploy(PROJECT, MAIN, ANN))
        await conn.execute("update activity set admitted_at = null")

    async with furnished.connection() as sweeping:
        async with furnished.transaction() as conn:
            await activities.create(conn, kinds.redeploy(PROJECT, PULL, ANN))
            sweep = asyncio.create_task(wake_due(sweeping))
            await blocked(furnished, by=conn)
            async with asyncio.timeout(0.9):  # PostgreSQL looks for circles after a second
                await hooks.insert_many(conn, [hooks.NewHook(INTEGRATION.id, {}, b"{}", is_signed=True)])
        await sweep


async def blocked(database: Database, by: Connection) -> None:
    """Wait until somebody waits for this transaction."""
    async with database.connection() as conn:
        row = None
        while row is None:
            cursor = await conn.execute(
                "select 1 from pg_stat_activity where %s = any(pg_blocking_pids(pid))", [by.info.backend_pid]
            )
            row = await cursor.fetchone()
