"""Keys that are being replaced are good for a while longer."""

from tieline.store.sql import run

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run("0008_keys.sql")
