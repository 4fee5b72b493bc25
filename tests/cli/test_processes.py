"""Starting the server and its parts: what it says when it cannot, and that it ends as it should."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.cli.programs import (
    Bitbucket,
    CommandLine,
    Server,
    read_until,
    started,
    wait_until,
)
from tests.cli.running import simulated_bitbucket
from tieline.core.errors import Invalid
from tieline.settings import Settings


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that somebody else listens at."""
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        yield f"127.0.0.1:{somebody.getsockname()[1]}"


@pytest.mark.parametrize("command", ["serve", "worker", "migrate"])
def test_wrong_settings_are_named_one_by_one(alone: CommandLine, command: str, tmp_path: Path) -> None:
    wrong = {
        "TIELINE_LISTEN": "nowhere",
        "TIELINE_DATABAS_URL": "x",
        "TIELINE_DEPLOYER": "command:/opt/MyDeployer",
        "TIELINE_EGRESS_ALLOW": "10.0.0.0/8,10.0.0.1/8",
    }
    ended = alone(command, **wrong, TIELINE_DATA=str(tmp_path / "data"))
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.splitlines() == [
        "The settings are wrong.",
        "TIELINE_DATABAS_URL: There is no such setting; did you mean TIELINE_DATABASE_URL?",
        "TIELINE_LISTEN: Must be address:port, e.g. 127.0.0.1:8420.",
        "TIELINE_EGRESS_ALLOW: 10.0.0.1/8 has host bits set; write networks like 10.1.0.0/16,fd00::/8.",
        "TIELINE_DEPLOYER: /opt/MyDeployer is not an executable file.",
    ]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("given", [",", ""])
def test_a_server_does_not_start_without_a_key(given: str, tmp_path: Path) -> None:
    (tmp_path / "secret-key").touch()
    settings = Settings(secret_key=SecretStr(given), data=tmp_path)
    with pytest.raises(Invalid) as caught:
        settings.keys()
    place = "This setting" if given else f"The file {tmp_path}/secret-key"
    assert caught.value.detail == {"TIELINE_SECRET_KEY": f"{place} holds no key."}


def test_an_address_that_is_taken_is_said_before_anything_is_begun(
    alone: CommandLine, taken: str, tmp_path: Path
) -> None:
    ended = alone("serve", TIELINE_LISTEN=taken, TIELINE_DATA=str(tmp_path / "data"))
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == f"{taken} cannot be listened on: Address already in use. Set TIELINE_LISTEN.\n"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://tieline:hunter2@127.0.0.1:1/tieline", "The database cannot be reached: "),
        ("hunter2", "TIELINE_DATABASE_URL is not like postgresql://user:password@host:5432/database."),
    ],
)
def test_a_database_that_is_not_there_is_said_without_its_password(
    alone: CommandLine, url: str, sentence: str, tmp_path: Path
) -> None:
    ended = alone("migrate", TIELINE_DATABASE_URL=url, TIELINE_DATA=str(tmp_path))
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith(sentence)
    assert "hunter2" not in ended.err


def test_a_data_folder_that_cannot_be_is_said(alone: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = alone("migrate", TIELINE_DATA=str(tmp_path / "file"))
    assert (ended.status, ended.err) == (1, f"{tmp_path}/file: File exists.\n")


def test_a_simulator_without_an_address_is_said(alone: CommandLine, taken: str) -> None:
    ended = alone("simulate", "bitbucket", "--listen", taken)
    assert ended.status == 1
    assert ended.err.startswith(f"The simulator cannot serve at {taken}: Address already in use")
    assert alone("simulate", "bitbucket", "--listen", "8421").status == 2


def test_the_halves_of_the_server_run_on_one_database_until_ctrl_c(server: Server) -> None:
    settings = {**server.settings, "TIELINE_LISTEN": "127.0.0.1:0"}
    with started("worker", settings=settings) as worker, started("serve", "--no-worker", settings=settings) as half:
        read_until(worker.stdout, b"Tieline works.")
        read_until(half.stdout, b"is ready at")
        for process in (worker, half):
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
            assert process.returncode == 0
            assert b"Traceback" not in err


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells how far a process is")
def test_ctrl_c_while_it_still_starts_leaves_no_traceback(tmp_path: Path) -> None:
    with started("serve", settings={"TIELINE_LISTEN": "127.0.0.1:0", "TIELINE_DATA": str(tmp_path)}) as process:
        libraries = Path(f"/proc/{process.pid}/maps")
        wait_until(lambda: b"pydantic_core" in libraries.read_bytes(), "the program to load its libraries")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 130
        assert b"Traceback" not in err


def test_a_help_text_loads_nothing_that_takes_long() -> None:
    heavy = {"aiohttp", "alembic", "asyncio", "fastapi", "http.client", "psycopg", "pydantic", "rich", "ssl", "uvicorn"}
    script = (
        "import sys; from tieline.cli import main\nsys.argv = ['tieline', '--help']\n"
        f"try: main()\nfinally: print(sorted({heavy!r} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "[]"


def test_the_program_says_its_version(alone: CommandLine) -> None:
    assert re.fullmatch(r"Tieline \d+\.\d+\.\d+\n", alone("--version").out)


@pytest.fixture
def own_bitbucket(tmp_path: Path) -> Iterator[Bitbucket]:
    with simulated_bitbucket(tmp_path) as host:
        yield host


def test_a_person_can_be_the_developer_of_the_simulated_repository(own_bitbucket: Bitbucket, tmp_path: Path) -> None:
    """Every line that it prints to be pasted, pasted."""
    said = own_bitbucket.wait_until_described()
    settings = dict(re.findall(r"^  export (TIELINE_\w+)=(\S+)$", said, re.MULTILINE))
    assert settings == own_bitbucket.settings

    lines = [line[2:] for line in said[said.index("Be its developer:") :].splitlines() if line.startswith("  ")]
    script = "\n".join(lines).replace("curl ", "curl --fail ")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    states = {number: own_bitbucket.repository("GET", f"/pullrequests/{number}")["state"] for number in (1, 2)}
    assert states == {1: "DECLINED", 2: "MERGED"}
    branches = {each["name"]: each for each in own_bitbucket.repository("GET", "/refs/branches")["values"]}
    assert "mine" not in branches
    log = subprocess.run(
        ["git", "log", "--oneline", "origin/mine"], cwd=tmp_path / "site", capture_output=True, check=False
    )
    assert log.returncode != 0
