"""Waking the engine, always as part of the transaction that makes something due."""

from typing import Final

from psycopg.types.json import Jsonb

from tieline.core.documents import JSON
from tieline.store.database import Connection

# The queues of jobs: those that may take hours (builds), fetches that nobody knows to be quick, and all others, which
# must not wait for them.
LONG: Final = "long"
SLOW: Final = "slow"
SHORT: Final = "short"


async def wake(conn: Connection, task: str, key: str, arguments: JSON, run_lock: str | None = None) -> None:
    """Have `task` run soon, unless a run for the same `key` is about to start anyway.

    Runs that share a `run_lock` never overlap.
    """
    await conn.execute("select tieline_wake(%s, %s, %s, %s)", [task, key, Jsonb(arguments), run_lock])


async def admit(conn: Connection, project_id: str) -> int:
    """Let those pending activities start that may; returns how many."""
    cursor = await conn.execute("select tieline_admit(%s) as admitted", [project_id])
    row = await cursor.fetchone()
    return row["admitted"] if row else 0
