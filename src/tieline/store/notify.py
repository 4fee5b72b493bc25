"""Telling every process what changed, from the transaction that changed it."""

from typing import Final

from tieline.store.database import Connection

CHANNEL: Final = "tieline"
EVERYTHING: Final = "everything"


async def changed(conn: Connection, topic: str, key: str) -> None:
    """Reaches the listeners of `topic` when the transaction commits, and never if it does not."""
    await conn.execute("select pg_notify(%s, %s)", [CHANNEL, f"{topic}:{key}"])


async def everything(conn: Connection) -> None:
    """Say that everything is another, so that all that is remembered of it is dropped when the transaction commits."""
    await changed(conn, EVERYTHING, "")
