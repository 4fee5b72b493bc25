"""Who of those that deliver is dead."""

from tieline.store import senders
from tieline.store.database import Database

THREE = """
    insert into sender (id, seen_at) values
        ('silent', clock_timestamp() - interval '1 hour'), ('alive', clock_timestamp()),
        ('ahead', clock_timestamp() + interval '1 hour')
"""


async def test_who_was_silent_is_dead_and_so_is_who_was_heard_of_by_a_clock_that_was_ahead(database: Database) -> None:
    async with database.connection() as conn:
        await conn.execute(THREE)
        await senders.bury(conn, 12)
        left = await (await conn.execute("select id from sender")).fetchall()
    assert left == [{"id": "alive"}]
