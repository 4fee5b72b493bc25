"""What is due: read from the domain tables, whatever became of the jobs that should have said so.

Jobs are lost with a worker that was killed, doubled by retries and late under load. None of that matters,
because `wake_due` finds within seconds what has no job.
"""

from typing import Final, LiteralString

from tieline.store import activities, environments, hooks, integrations, oauth_tokens, rates
from tieline.store.database import Connection
from tieline.store.wakeups import admit, wake

HOOKS_OVERDUE_SECONDS: Final = 2.0


async def wake_due(conn: Connection) -> None:
    """Wake a worker for everything that is due. Any number of processes may do so at once.

    `conn` is in autocommit mode, outside of any transaction: each wake-up ends before the next begins. One that
    held the first while it waits for the second would wait in circles with those who take them the other way round.
    """
    await _wake_integrations(conn)
    await _wake_hooks(conn)
    await _wake_activities(conn)
    await environments.give_up_removals(conn)


async def trim(conn: Connection) -> None:
    """Forget what is kept only for a while."""
    await hooks.trim(conn)
    await activities.expire(conn)
    await rates.trim(conn)
    await oauth_tokens.trim(conn)
    await integrations.trim_retired(conn)


async def wake_probe(conn: Connection, integration_id: str) -> None:
    """Have the timer's look at the host happen now; it never overlaps with a fetch."""
    await wake(conn, "probe", f"probe:{integration_id}", {"integration_id": integration_id}, _lock(integration_id))


async def wake_removal(conn: Connection, integration_id: str) -> None:
    """Have a deleted integration's hook removed at its host, and then its row."""
    key = f"removal:{integration_id}"
    await wake(conn, "remove_integration", key, {"integration_id": integration_id}, _lock(integration_id))


async def wake_maintenance(conn: Connection, project_id: str) -> None:
    """Have a project's repository tidied up. Should the wake-up be lost, the next fetch finds that it is due."""
    key = f"maintain:{project_id}"
    await wake(conn, "maintain", key, {"project_id": project_id}, key)


def _lock(integration_id: str) -> str:
    return f"integration:{integration_id}"


async def _wake_integrations(conn: Connection) -> None:
    cursor = await conn.execute(_DUE_INTEGRATIONS)
    for row in await cursor.fetchall():
        await (wake_removal if row["is_deleted"] else wake_probe)(conn, row["id"])


async def _wake_hooks(conn: Connection) -> None:
    for integration_id in await hooks.integrations_unread(conn, HOOKS_OVERDUE_SECONDS):
        await hooks.wake_reader(conn, integration_id)


async def _wake_activities(conn: Connection) -> None:
    cursor = await conn.execute(_WAITING_PROJECTS)
    for row in await cursor.fetchall():
        await admit(conn, row["project_id"])
    cursor = await conn.execute(_ACTIVITIES_WITHOUT_JOB)
    for row in await cursor.fetchall():
        await conn.execute("select tieline_wake_activity(activity) from activity where id = %s", [row["id"]])


# For a deleted integration `next_reconcile_at` is when the next attempt to remove its hook is due.
_DUE_INTEGRATIONS: Final[LiteralString] = """
    select id, deleted_at is not null as is_deleted from integration
    where (deleted_at is null and next_reconcile_at <= now())
       or (deleted_at is not null and coalesce(next_reconcile_at, deleted_at) <= now())
"""

_WAITING_PROJECTS: Final[LiteralString] = """
    select distinct project_id from activity
    where state = 'pending' and admitted_at is null and concurrency_key is not null
"""

_ACTIVITIES_WITHOUT_JOB: Final[LiteralString] = """
    select id from activity
    where state in ('pending', 'in_progress') and admitted_at < clock_timestamp() - interval '1 second'
      and not exists (
        select 1 from procrastinate_jobs
        where status in ('todo', 'doing') and queueing_lock = 'activity:' || activity.id)
"""
