"""Indexes for every way that activities are listed."""

from tieline.store.sql import run

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run("0005_activity_lists.sql")
