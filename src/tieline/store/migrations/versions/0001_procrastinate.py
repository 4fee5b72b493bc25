"""The tables of the job engine, as Procrastinate 3.10 ships them.

Our own copy of the file, so that a later version of the library does not change what this revision did.
"""

from tieline.store.sql import run

revision = "0001"
down_revision = None


def upgrade() -> None:
    run("0001_procrastinate.sql")
