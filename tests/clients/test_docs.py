"""docs/use-with-upsun-tools.md is true: its commands run, in their order, as they are on the page."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.programs import ADMIN_TOKEN, TIELINE, Server
from tests.clients.installed import HAS_UPSUN, NODE, PACKAGES, UPSUN, WHY_NO_UPSUN, present
from tests.clients.pages import DOCS, blocks

PAGE = (DOCS / "use-with-upsun-tools.md").read_text()
DOCUMENTED = "http://127.0.0.1:8420"


def code(heading: str, language: str = "sh") -> str:
    """All code of a language below a heading."""
    return "".join(blocks(PAGE, heading, language))


def is_there(heading: str) -> bool:
    """Whether this machine has what a section is about; only curl does not come with the project."""
    return heading != "curl" or shutil.which("curl") is not None


@pytest.fixture
def folder_of_the_reader(tmp_path: Path) -> Path:
    """Where the page is followed: the server was started here, and the packages of npm are here."""
    (tmp_path / "tieline-data").mkdir()
    (tmp_path / "tieline-data" / "admin-token").write_text(ADMIN_TOKEN)
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    return tmp_path


@pytest.mark.skipif(not HAS_UPSUN, reason=WHY_NO_UPSUN)
def test_what_the_page_says_is_what_happens(server: Server, folder: Path, folder_of_the_reader: Path) -> None:
    (folder_of_the_reader / "shop.cjs").write_text(code("platformsh-client", "js"))
    there = [each for each in ("Use it with Upsun's tools", "upsun", "platformsh-client", "curl") if is_there(each)]
    script = "".join(code(each) for each in there).replace(DOCUMENTED, server.url)
    tools = ":".join(str(present(each).parent) for each in (TIELINE, NODE, UPSUN))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={"HOME": str(folder), "PATH": f"{tools}:/usr/bin:/bin", "UPSUN_CLI_NO_INTERACTION": "1"},
        cwd=folder_of_the_reader,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert "active\n" in done.stdout
    assert "All new, all blue" in done.stdout
    assert "bitbucket 2 activities\n" in done.stdout
    assert "success\n" in done.stdout
