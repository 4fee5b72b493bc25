"""Orders as the server writes them, and a log that keeps what it is given."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.unit.core.samples import COMMIT, NOW, PROJECT
from tieline.core.documents import Environment
from tieline.core.ids import machine_name
from tieline.core.ports import Action, DeployOrder, DeploySubject
from tieline.deploy.document import render_order

EXAMPLES = Path(__file__).parents[2] / "examples" / "deployers"


class Lines:
    """A log."""

    def __init__(self) -> None:
        self.text = ""

    async def write(self, text: str) -> None:
        self.text += text if text.endswith("\n") else text + "\n"


def environment(name: str, **changes: Any) -> Environment:
    """An active environment of a branch."""
    plain = Environment(
        id=name,
        project_id=PROJECT.id,
        name=name,
        machine_name=machine_name(PROJECT.id, name),
        title=name,
        type="development",
        status="active",
        parent="main",
        is_main=False,
        created_at=NOW,
        updated_at=None,
    )
    return replace(plain, **changes)


def order(
    action: Action, subject: Environment, tree: Path | None = None, parent: Environment | None = None
) -> DeployOrder:
    """What the server hands to its deployer."""
    document = render_order(action, DeploySubject(PROJECT, subject, parent, COMMIT, "x4opi5tjv3yfd"), tree)
    return DeployOrder(action, document, tree)


def write_wrapper(path: Path, variables: dict[str, str], executable: Path, *folders: Path) -> Path:
    """The script by which an operator sets an example's variables; these folders come first on its PATH."""
    search = ":".join(map(str, (*folders, Path(sys.executable).parent, os.environ["PATH"])))
    exports = "".join(f"export {name}='{value}'\n" for name, value in {**variables, "PATH": search}.items())
    path.write_text(f'#!/bin/sh\n{exports}exec {executable} "$@"\n')
    path.chmod(0o755)
    return path


@contextmanager
def bottomless(folder: Path) -> Iterator[None]:
    """It has folders in folders, more than Python's own functions can remove."""
    subprocess.run(["mkdir", "-p", "/".join("d" * 1500)], cwd=folder, check=True)
    try:
        yield
    finally:
        subprocess.run(["rm", "-rf", folder / "d"], check=True)
