"""The embedded PostgreSQL: starts on new data, survives kill -9 of its owner, is shared, leaves nothing behind."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tieline.core.errors import Unavailable
from tieline.store.embedded import EmbeddedServer


@pytest.fixture
def new_folder() -> Iterator[Path]:
    """A data folder that PostgreSQL's own account can reach, with an awkward name and nothing in it."""
    path = Path(tempfile.mkdtemp(prefix="tieline 'embedded' "))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A data folder whose server ran before: making one takes longer than a copy of it."""
    path = Path(tempfile.mkdtemp(prefix="tieline-made-"))
    path.chmod(0o755)
    with running(path):
        pass
    yield path
    shutil.rmtree(path)


@pytest.fixture
def folder(new_folder: Path, made: Path) -> Path:
    """A data folder whose server ran before."""
    subprocess.run(["cp", "-a", f"{made}/.", str(new_folder)], check=True)
    return new_folder


@contextlib.contextmanager
def owner(folder: Path, *, is_awaited: bool = True) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process on the folder, and what it says of itself; nothing when it is not awaited."""
    script = Path(__file__).with_name("owner.py")
    process = subprocess.Popen([sys.executable, str(script), str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip() if is_awaited else ""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def postmaster(folder: Path) -> int:
    return int((folder / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])


def all_command_lines() -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes())
    return found


def wait_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)


def test_kill_nine_of_the_owner_ends_the_server_and_keeps_every_commit(folder: Path) -> None:
    with owner(folder) as (process, said):
        assert said == "owns alone"
        server = EmbeddedServer(folder)
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("create table kept (n integer)")
            connection.execute("insert into kept select generate_series(1, 1000)")
        pid = postmaster(folder)
        process.kill()
        process.wait()
        wait_gone(pid)
    with running(folder) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (1000,)


def test_kill_nine_of_owner_and_server_at_once_starts_again(folder: Path) -> None:
    with owner(folder) as (process, _):
        pid = postmaster(folder)
        process.kill()
        os.kill(pid, 9)
    with running(folder) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_an_id_of_a_dead_server_that_something_else_has_now_is_no_hindrance(folder: Path) -> None:
    with owner(folder) as (process, _):
        pid = postmaster(folder)
        process.kill()
        os.kill(pid, 9)
    home = folder / "postgres"
    wait_gone(pid)
    # Whom PostgreSQL asks by a signal whether it lives, and may.
    something_else = subprocess.Popen(["sleep", "60"], user=home.stat().st_uid)
    for record in (home / "data" / "postmaster.pid", home / ".s.PGSQL.5432.lock"):
        record.write_text(record.read_text().replace(str(pid), str(something_else.pid), 1))
    with running(folder) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    something_else.kill()
    something_else.wait()


def test_killed_while_it_makes_its_data_it_leaves_nobody_writing_and_starts_anew(new_folder: Path) -> None:
    with owner(new_folder, is_awaited=False) as (process, _):
        deadline = time.monotonic() + 20
        while not list(new_folder.glob("postgres/data.new*/PG_VERSION")):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.kill()
        process.wait()
    with running(new_folder) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    assert not [line for line in all_command_lines() if b"initdb" in line and bytes(new_folder) in line]


def test_the_server_of_another_user_s_folder_runs_as_that_user(folder: Path) -> None:
    """As after a restore, or once with sudo."""
    if os.getuid() != 0:
        pytest.skip("only root may give folders away")
    stranger = pwd.getpwnam("daemon").pw_uid
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, stranger, -1)
    with running(folder) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
        assert Path(f"/proc/{postmaster(folder)}").stat().st_uid == stranger


def test_a_server_that_cannot_start_says_why_at_once(folder: Path) -> None:
    (folder / "postgres" / "data" / "postgresql.conf").write_text("shared_buffers = banana\n")
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"configuration file .* contains errors"), running(folder):
        pass
    assert time.monotonic() - began < 5


def test_a_second_process_attaches_and_ends_without_harm(folder: Path) -> None:
    with running(folder) as server:
        assert server.is_owner
        with owner(folder) as (_, said):
            assert said.startswith("attached")
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_the_next_owner_knows_of_a_process_that_stayed(folder: Path) -> None:
    with owner(folder) as (first, said):
        assert said == "owns alone"
        with owner(folder) as (_, attached):
            assert attached.startswith("attached")
            first.kill()
            first.wait()
            with running(folder) as server:
                assert server.is_owner
                assert not server.is_alone
    with running(folder) as server:
        assert server.is_alone


def test_who_attached_takes_over_when_the_owner_is_gone(folder: Path) -> None:
    with owner(folder) as (first, said), running(folder) as server:
        assert said == "owns alone"
        assert not server.is_owner
        assert not server.keep_up()
        first.kill()
        first.wait()
        assert server.keep_up()
        assert server.is_owner
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_a_server_that_ends_by_itself_is_revived(folder: Path) -> None:
    with running(folder) as server:
        assert not server.keep_up()
        os.kill(postmaster(folder), 9)
        deadline = time.monotonic() + 10
        while not server.keep_up():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_only_this_user_may_enter_and_nothing_listens_on_the_network(folder: Path) -> None:
    with running(folder) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("",)
        assert connection.execute("show server_encoding").fetchone() == ("UTF8",)
        assert connection.execute("show fsync").fetchone() == ("on",)
        rules = connection.execute("select type, auth_method from pg_hba_file_rules").fetchall()
        assert rules == [("local", "peer")]


@pytest.mark.skipif(os.getuid() != 0, reason="only root has folders that PostgreSQL's account cannot reach")
def test_a_private_folder_of_root_is_left_private(folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    with running(private) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    assert private.stat().st_mode & 0o777 == 0o700
    elsewhere = (private / "postgres").resolve()
    assert elsewhere.parent == Path("/var/lib/tieline")

    shutil.rmtree(elsewhere)
    with pytest.raises(Unavailable, match="which is gone"):
        EmbeddedServer(private)


@pytest.mark.parametrize("name", ["long-name-" * 9, "one,two"])
def test_a_deep_folder_gets_a_short_socket(folder: Path, name: str) -> None:
    deep = folder / name
    deep.mkdir()
    with running(deep) as server, psycopg.connect(server.dsn) as connection:
        shown = connection.execute("show unix_socket_directories").fetchone()
        assert shown is not None
        assert len(shown[0]) < 80
        assert not shown[0].startswith(str(folder))
    shutil.rmtree(shown[0].strip('"'))


def test_data_of_another_major_version_is_refused_with_a_way_out(folder: Path) -> None:
    (folder / "postgres" / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(Unavailable, match="made by PostgreSQL 17"), running(folder):
        pass


def test_it_starts_fast_once_the_data_is_there(folder: Path) -> None:
    began = time.monotonic()
    with running(folder):
        assert time.monotonic() - began < 5
