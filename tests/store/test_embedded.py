"""The embedded PostgreSQL: starts on new data, survives kill -9 of its owner, is shared, leaves nothing behind."""

import contextlib
import os
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
def folder() -> Iterator[Path]:
    """A data folder that PostgreSQL's own account can reach, with an awkward name."""
    path = Path(tempfile.mkdtemp(prefix="tieline 'embedded' "))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@contextlib.contextmanager
def owner(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process on the folder, and what it says of itself."""
    script = Path(__file__).with_name("owner.py")
    process = subprocess.Popen([sys.executable, str(script), str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
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
    record = folder / "postgres" / "data" / "postmaster.pid"
    wait_gone(pid)
    record.write_text(record.read_text().replace(str(pid), str(os.getpid()), 1))
    with running(folder) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


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


def test_a_server_that_ends_by_itself_is_revived(folder: Path) -> None:
    with running(folder) as server:
        assert not server.revive()
        os.kill(postmaster(folder), 9)
        deadline = time.monotonic() + 10
        while not server.revive():
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
    with running(folder):
        pass
    (folder / "postgres" / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(Unavailable, match="made by PostgreSQL 17"), running(folder):
        pass


def test_it_starts_fast_once_the_data_is_there(folder: Path) -> None:
    with running(folder):
        pass
    began = time.monotonic()
    with running(folder):
        assert time.monotonic() - began < 5
