"""How Alembic reaches the database: psycopg on the DSN that `store.migrate` hands over."""

import psycopg
from alembic import context
from sqlalchemy import create_engine, pool


def run() -> None:
    """One transaction per revision, so that a kill in between leaves a known version."""
    dsn = context.config.attributes["dsn"]
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()


run()
