"""Bringing a database to this version."""

from pathlib import Path
from typing import Final

import psycopg

from tieline.store.database import Connection

_FOLDER: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 7_418_350_029_112


def migrate(dsn: str) -> None:
    """Run what is missing, one process at a time; each revision is one transaction."""
    with psycopg.connect(dsn, autocommit=True) as guard:
        guard.execute("select pg_advisory_lock(%s)", [_LOCK])
        if not _is_head(guard):
            _upgrade(dsn)


async def is_current(conn: Connection) -> bool:
    """Whether the database is at exactly this version."""
    cursor = await conn.execute("select to_regclass('alembic_version') as present")
    row = await cursor.fetchone()
    if row is None or row["present"] is None:
        return False
    cursor = await conn.execute("select version_num from alembic_version")
    return [each["version_num"] for each in await cursor.fetchall()] == [head()]


def head() -> str:
    """The newest revision that this version brings."""
    return max(path.name.split("_", 1)[0] for path in (_FOLDER / "versions").glob("[0-9]*.py"))


def _is_head(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    found = connection.execute("select to_regclass('alembic_version')").fetchone()
    if found is None or found[0] is None:
        return False
    return connection.execute("select version_num from alembic_version").fetchall() == [(head(),)]


def _upgrade(dsn: str) -> None:
    # Alembic and what it stands on cost half a second and 40 MB, which a database that is current need not pay.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    config.attributes["dsn"] = dsn
    command.upgrade(config, "head")
