"""docs/cli.md is true: its commands run, in their order, and its table of exit statuses is that of the program."""

import re
import subprocess
from pathlib import Path

from tests.cli.programs import ADMIN_TOKEN, TIELINE, Bitbucket, CommandLine, clean_environment
from tieline.cli.failure import MEANING

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
SIMULATE, SERVE, *CLIENT = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_what_is_started_is_started_here_too(bitbucket: Bitbucket) -> None:
    """The fixtures of these tests run both, at other ports."""
    assert SIMULATE == "tieline simulate bitbucket\n"
    *exports, serve = SERVE.splitlines()
    assert serve == "tieline serve"
    settings = dict(line.removeprefix("export ").split("=", 1) for line in exports)
    elsewhere = {name: value.replace("http://127.0.0.1:8421", bitbucket.url) for name, value in settings.items()}
    assert elsewhere == bitbucket.settings


def test_every_command_does_what_it_is_there_for(tieline: CommandLine, tmp_path: Path) -> None:
    """By somebody who sees no other project; accounts and access are then given by the administrator."""
    tieline("user", "create", "writer", "--email", "writer@example.com")
    token = tieline("token", "create", "docs", "--user", "writer").out.strip()
    become_admin = f"export TIELINE_PROJECT=$(tieline project list | sed -n '2s/ .*//p') TIELINE_TOKEN={ADMIN_TOKEN}\n"
    script = "".join(become_admin + block if "tieline user" in block else block for block in CLIENT)
    environment = clean_environment(**{**tieline.settings, "TIELINE_TOKEN": token})
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={**environment, "PATH": f"{TIELINE.parent}:{environment['PATH']}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def test_the_exit_statuses_are_those_of_the_program(alone: CommandLine) -> None:
    documented = dict(re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.MULTILINE))
    assert documented == {str(status.value): meaning for status, meaning in MEANING.items()}
    shown = alone("--help").out
    assert all(f"{status}  {meaning}" in shown for status, meaning in documented.items())
