"""Variables of integrations."""

from tieline.store.sql import run

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run("0004_variables.sql")
