"""What activity scripts keep between runs."""

from tieline.store.sql import run

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run("0007_scripts.sql")
