"""Which activities may run now: one per key, two per project, four for integrations, production first."""

import pytest

from tieline.core.clock import now
from tieline.core.documents import NewActivity
from tieline.core.ports import Outcome
from tieline.store import activities, wakeups
from tieline.store.database import Connection, Database

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
async def project(database: Database) -> str:
    async with database.transaction() as conn:
        await conn.execute("insert into account (id, username, email) values ('a', 'ann', 'ann@example.com')")
        await conn.execute("insert into project (id, title, owner) values ('p', 'Project', 'a')")
    return "p"


async def add(conn: Connection, environment: str, *, queue: str = "default", production: bool = False) -> str:
    new = NewActivity(
        project_id="p",
        type="environment.push",
        description="",
        text="",
        environment_id=environment,
        queue=queue,  # type: ignore[arg-type]
        concurrency_key=f"environment:p/{environment}",
        is_production=production,
    )
    return (await activities.create(conn, new)).id


async def admitted(conn: Connection) -> list[str]:
    cursor = await conn.execute(
        "select environment_id from activity where admitted_at is not null and state in ('pending', 'in_progress')"
        " order by admitted_at"
    )
    return [row["environment_id"] for row in await cursor.fetchall()]


async def test_two_run_at_once_and_never_two_of_one_environment(database: Database, project: str) -> None:
    async with database.transaction() as conn:
        for environment in ("one", "one", "two", "three"):
            await add(conn, environment)
        assert await admitted(conn) == ["one", "two"]


async def test_production_goes_first_when_a_place_is_free(database: Database, project: str) -> None:
    async with database.transaction() as conn:
        first = await add(conn, "one")
        for environment in ("two", "three"):
            await add(conn, environment)
        await add(conn, "main", production=True)
        activity = await activities.begin(conn, first)
        assert activity is not None
        assert await activities.finish(conn, activity, Outcome())
        assert await admitted(conn) == ["two", "main"]


async def test_integrations_have_four_places_of_their_own(database: Database, project: str) -> None:
    async with database.transaction() as conn:
        for number in range(6):
            await add(conn, f"hook-{number}", queue="integrations")
        await add(conn, "one")
        assert await admitted(conn) == ["hook-0", "hook-1", "hook-2", "hook-3", "one"]


async def test_admission_wakes_a_worker_once_for_each(database: Database, project: str) -> None:
    async with database.transaction() as conn:
        await add(conn, "one")
        await add(conn, "two")
        await wakeups.admit(conn, project)
        cursor = await conn.execute("select task_name, lock from procrastinate_jobs order by id")
        jobs = [(row["task_name"], row["lock"]) for row in await cursor.fetchall()]
    assert jobs == [("run_activity", "environment:p/one"), ("run_activity", "environment:p/two")]


async def test_a_wake_up_for_a_key_that_waits_already_adds_nothing(database: Database) -> None:
    async with database.transaction() as conn:
        for _ in range(3):
            await wakeups.wake(conn, "probe", "probe:i", {"integration_id": "i"})
        await wakeups.wake(conn, "probe", "probe:j", {"integration_id": "j"})
        cursor = await conn.execute("select count(*) as jobs from procrastinate_jobs")
        row = await cursor.fetchone()
    assert row == {"jobs": 2}


async def test_creation_times_differ_within_a_project(database: Database, project: str) -> None:
    async with database.transaction() as conn:
        created = [await activities.get(conn, project, await add(conn, f"e{number}")) for number in range(20)]
    moments = [each.created_at for each in created]
    assert moments == sorted(set(moments))
    assert moments[-1] <= now()
