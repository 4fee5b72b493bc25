"""Rotation of the key that secrets are sealed with."""

from tieline.store.database import Connection, Database
from tieline.store.integrations import secret_context
from tieline.store.seal import SecretBox


async def reseal(database: Database, box: SecretBox) -> int:
    """Seal again, with the current key, what an older one sealed; returns how many. Safe to be killed in."""
    resealed = 0
    while await _reseal_one(database, box):
        resealed += 1
    return resealed


async def _reseal_one(database: Database, box: SecretBox) -> bool:
    async with database.transaction() as conn:
        cursor = await conn.execute(
            "select integration_id, name, key_id, sealed from integration_secret where key_id <> %s"
            " limit 1 for update skip locked",
            [box.current_key_id],
        )
        row = await cursor.fetchone()
        if row is None:
            return False
        context = secret_context(row["integration_id"], row["name"])
        key_id, sealed = box.seal(box.open(row["key_id"], row["sealed"], context).reveal(), context)
        await _store(conn, row["integration_id"], row["name"], key_id, sealed)
        return True


async def _store(conn: Connection, integration_id: str, name: str, key_id: str, sealed: bytes) -> None:
    await conn.execute(
        "update integration_secret set key_id = %s, sealed = %s where integration_id = %s and name = %s",
        [key_id, sealed, integration_id, name],
    )
