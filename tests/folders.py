"""Folders of servers that tests start."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def open_folder() -> Iterator[Path]:
    """A new folder that PostgreSQL's own account can reach."""
    made = Path(tempfile.mkdtemp(prefix="tieline-tests-"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made)


def copy_data(data: Path, folder: Path) -> None:
    """Have a server whose data folder is `data` in this folder find its database there."""
    subprocess.run(["cp", "-a", str(data), str(folder / "data")], check=True)
