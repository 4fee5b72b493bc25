"""The tables of Tieline."""

from tieline.store.sql import run

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run("0002_tieline.sql")
