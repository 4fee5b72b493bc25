"""Organizations, refresh tokens and revoked access tokens."""

from tieline.store.sql import run

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run("0003_organizations.sql")
