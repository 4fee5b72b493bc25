"""Bringing a database to this version."""

from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tieline.core.errors import Unavailable
from tieline.store.database import Connection

_FOLDER: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 7_418_350_029_112
OLDEST_SERVER: Final = 15
_MALFORMED: Final = (
    "TIELINE_DATABASE_URL is not like postgresql://user:password@host:5432/database. Characters such as @ : / ? # %"
    " in the password are written as %40 %3A %2F %3F %23 %25."
)


def migrate(dsn: str) -> None:
    """Run what is missing, one process at a time; each revision is one transaction.

    Raises `Unavailable` when there is no such database, or it is not one that this version can work with.
    """
    with _connect(dsn) as guard:
        _check_server(guard)
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
    return max(_revisions())


def _revisions() -> list[str]:
    return [path.name.split("_", 1)[0] for path in (_FOLDER / "versions").glob("[0-9]*.py")]


def _is_head(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    found = connection.execute("select to_regclass('alembic_version')").fetchone()
    if found is None or found[0] is None:
        return False
    versions = [str(row[0]) for row in connection.execute("select version_num from alembic_version")]
    _check_known(versions)
    return versions == [head()]


def _connect(dsn: str) -> psycopg.Connection[tuple[object, ...]]:
    _check_address(dsn)
    try:
        return psycopg.connect(dsn, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        raise Unavailable(f"The database cannot be reached: {error}") from error


def _check_address(dsn: str) -> None:
    """Refuse what cannot be meant, before an error of the connection quotes a part of the password as a host."""
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise Unavailable(_MALFORMED) from None
    ports = str(parts.get("port") or "").split(",")
    if "@" in str(parts.get("host") or "") or not all(each.isdecimal() or not each for each in ports):
        raise Unavailable(_MALFORMED)


def _check_server(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    major = connection.info.server_version // 10000
    if major < OLDEST_SERVER:
        raise Unavailable(f"The database is PostgreSQL {major}; Tieline needs {OLDEST_SERVER} or later.")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise Unavailable(
            f"The database's encoding is {encoding}; Tieline needs UTF8:"
            " create database ... encoding 'UTF8' locale 'C' template template0."
        )


def _check_known(found: list[str]) -> None:
    if unknown := set(found) - set(_revisions()):
        raise Unavailable(
            f"The database was made by a newer Tieline (revision {', '.join(unknown)}): upgrade this one."
        )


def load_upgrade() -> None:
    """Load ahead what `migrate` loads when a database is not current: half a second, and 40 MB that others save."""
    import alembic.command  # noqa: F401, PLC0415


def _upgrade(dsn: str) -> None:
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    config.attributes["dsn"] = dsn
    command.upgrade(config, "head")
