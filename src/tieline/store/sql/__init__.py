"""Schema changes as plain SQL files."""

from pathlib import Path

from alembic import op


def run(name: str) -> None:
    """Execute a file of this folder within the running migration."""
    statements = (Path(__file__).parent / name).read_text()
    # The driver itself, because SQLAlchemy would read `:name` and `%` in functions as parameters.
    cursor = op.get_bind().connection.cursor()
    cursor.execute(statements)
