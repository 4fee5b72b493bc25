"""What must not happen while git runs: leaks, followed redirects, processes left over, locks left over."""

import asyncio
import base64
import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.git.conftest import LOOPBACK, Host
from tests.git.http_backend import GitHandler, answering, git_server
from tests.git.repository import HostedRepository
from tieline.core.errors import (
    CredentialsRefused,
    GitFailed,
    RateLimited,
    RemoteBroken,
    RemoteMoved,
    RemoteNotFound,
    TielineError,
    Unavailable,
    Unreachable,
)
from tieline.core.remote import GitCredentials
from tieline.core.secret import Secret
from tieline.git.command import MEGABYTE, Command, conversing, environment_of, run
from tieline.git.failures import explain
from tieline.git.mirror import Mirror, Repositories, check_size
from tieline.git.storage import locked
from tieline.git.version import check_version, git_version
from tieline.net.client import GuardedClient
from tieline.net.resolve import resolve_pinned

PASSWORD = "pa55word-in-no-argv"
CREDENTIALS = GitCredentials("x-token-auth", Secret(PASSWORD))
BASIC = base64.b64encode(f"x-token-auth:{PASSWORD}".encode()).decode()


async def wait_until(is_so: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


def command_lines() -> dict[int, str]:
    lines = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                lines[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return lines


def processes_about(url: str) -> list[int]:
    return [pid for pid, line in command_lines().items() if url in line]


class Stall:
    """Lets git's requests wait until released."""

    def __init__(self) -> None:
        self.is_reached = threading.Event()
        self.release = threading.Event()

    def __call__(self, handler: GitHandler) -> bool:
        self.is_reached.set()
        self.release.wait(30)
        return False


async def test_credentials_are_in_no_command_line_and_no_file(host: Host, mirror: Mirror) -> None:
    sha = host.repository.commit("main")
    host.server.credentials = f"Basic {BASIC}"
    stall = Stall()
    host.server.fault = stall
    fetching = asyncio.create_task(mirror.fetch(host.remote(CREDENTIALS), "int", {"main": sha}))
    await wait_until(stall.is_reached.is_set)
    lines = command_lines()
    seen = processes_about(host.server.url("site.git"))
    stall.release.set()
    assert await fetching == {"main": sha}
    assert len(seen) >= 2, "git and its remote helper should have been running"
    assert not [line for line in lines.values() if PASSWORD in line or BASIC in line or "extraHeader" in line]
    for path in mirror.path.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes()
            assert BASIC.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("subcommand", "complaint", "reason"),
    [
        (
            "fetch",
            "fatal: write error: No space left on device\nfatal: fetch-pack: invalid index-pack output",
            "No space left on device",
        ),
        (
            "fetch",
            "fatal: unable to write loose object file: No space left on device\nfatal: unpack-objects failed",
            "No space left on device",
        ),
        (
            "fetch",
            "error: unable to create temporary file: Read-only file system\nfatal: failed to write object",
            "Read-only file system",
        ),
        (
            "update-ref",
            "fatal: cannot lock ref 'refs/heads/x': Unable to create '/data/refs/heads/x.lock': Permission denied",
            "Permission denied",
        ),
    ],
)
def test_a_disk_that_fails_is_the_operator_s_to_look_at(subcommand: str, complaint: str, reason: str) -> None:
    error = explain(subcommand, 128, complaint)
    assert isinstance(error, Unavailable)
    assert f"cannot store the repository: {reason}. Its operator" in str(error)
    assert "/data/" not in str(error)


def test_what_the_host_says_of_its_own_disk_is_the_host_s_trouble() -> None:
    said = "remote: fatal: write error: No space left on device\nfatal: early EOF"
    assert isinstance(explain("fetch", 128, said), RemoteBroken)


@pytest.mark.parametrize(
    ("complaint", "reason"),
    [
        ("Could not resolve host: git.example", "dns"),
        ("Failed to connect to git.example port 443 after 2 ms: Couldn't connect to server", "connection"),
        ("Failed to connect to git.example port 443 after 130 ms: Connection timed out", "timeout"),
        ("SSL certificate problem: self-signed certificate", "certificate"),
        ("server certificate verification failed. CAfile: none CRLfile: none", "certificate"),
        ("error:0A00010B:SSL routines::wrong version number", "tls"),
        ("Recv failure: Connection reset by peer", "closed"),
        ("Empty reply from server", "closed"),
    ],
)
def test_why_a_host_is_not_reached_is_told(complaint: str, reason: str) -> None:
    error = explain(
        "fetch", 128, f"fatal: unable to access 'https://git.example/acme/TLS-certificate.git/': {complaint}"
    )
    assert isinstance(error, Unreachable)
    assert error.reason == reason


async def test_a_data_folder_that_is_none_is_told(host: Host, http: GuardedClient, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    mirror = Repositories(tmp_path / "file", partial(resolve_pinned, LOOPBACK), http).open("abc234")
    with pytest.raises(Unavailable, match=r"cannot store the repository: (Not a directory|File exists)"):
        await mirror.fetch(host.remote(), "int", {"main": host.repository.commit("main")})


async def test_a_redirect_is_not_followed_and_gets_no_header(host: Host, mirror: Mirror, tmp_path: Path) -> None:
    sha = host.repository.commit("main")
    with git_server(tmp_path / "host") as elsewhere:
        host.server.fault = redirecting_to(elsewhere.origin)
        with pytest.raises(RemoteMoved) as moved:
            await mirror.fetch(host.remote(CREDENTIALS), "int", {"main": sha})
        with pytest.raises(RemoteMoved):
            await mirror.fetch_ref(host.remote(CREDENTIALS), "main", "refs/sync/int/pulls/1")
        assert elsewhere.seen == []
    assert PASSWORD not in str(moved.value)
    assert BASIC not in str(moved.value)


async def test_a_redirect_in_the_middle_is_not_followed(host: Host, mirror: Mirror, tmp_path: Path) -> None:
    sha = host.repository.commit("main")
    with git_server(tmp_path / "host") as elsewhere:
        host.server.fault = redirecting_to(elsewhere.origin, status=307, method="POST")
        with pytest.raises(RemoteMoved):
            await mirror.fetch(host.remote(CREDENTIALS), "int", {"main": sha})
        assert elsewhere.seen == []


def redirecting_to(origin: str, status: int = 301, method: str = "GET") -> Callable[[GitHandler], bool]:
    def fault(handler: GitHandler) -> bool:
        if handler.command != method:
            return False
        handler.answer(status, b"", {"Location": origin + handler.path})
        return True

    return fault


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, CredentialsRefused),
        (403, CredentialsRefused),
        (404, RemoteNotFound),
        (301, RemoteMoved),
        (302, RemoteMoved),
        (429, RateLimited),
        (500, RemoteBroken),
        (503, RemoteBroken),
    ],
)
async def test_what_a_refused_fetch_means(host: Host, mirror: Mirror, status: int, error: type[TielineError]) -> None:
    host.server.fault = answering(
        status, b"no", {"WWW-Authenticate": 'Basic realm="x"', "Location": "http://127.0.0.1:1/"}
    )
    with pytest.raises(error) as refusal:
        await mirror.fetch(host.remote(CREDENTIALS), "int", {"main": "a" * 40})
    assert PASSWORD not in str(refusal.value)
    assert await mirror.refs("refs/") == {}


@pytest.mark.parametrize("body", [b"<html>back soon</html>", b"<html>\nback\nsoon\n</html>\n", b""])
async def test_a_fetch_from_a_page_fails(host: Host, mirror: Mirror, body: bytes) -> None:
    host.server.fault = answering(200, body, {"Content-Type": "text/html"})
    with pytest.raises(TielineError):
        await mirror.fetch(host.remote(), "int", {"main": "a" * 40})
    assert await mirror.refs("refs/") == {}


async def test_a_host_that_is_down_is_unreachable(host: Host, mirror: Mirror) -> None:
    remote = host.remote()
    gone = replace(remote, url="http://127.0.0.1:1/site.git", allowed_prefixes=("http://127.0.0.1:1/",))
    with pytest.raises(Unreachable):
        await mirror.fetch(gone, "int", {"main": "a" * 40})
    with pytest.raises(Unreachable):
        await mirror.list_remote(gone)


async def test_a_hostile_tree_is_refused(host: Host, mirror: Mirror) -> None:
    blob = host.repository.git("hash-object", "-w", "--stdin", stdin=b"x")
    tree = host.repository.git("mktree", stdin=f"100644 blob {blob}\t.git\n".encode())
    host.repository.point("refs/heads/main", host.repository.git("commit-tree", tree, "-m", "x"))
    with pytest.raises(RemoteBroken, match="hasDotgit"):
        await mirror.fetch(host.remote(), "int", host.repository.heads())
    assert await mirror.refs("refs/") == {}


def nested(repository: HostedRepository, entry: str, depth: int, width: int = 1) -> str:
    """A commit whose tree has `width` such entries in each of `width` folders, and so on down."""
    for level in range(depth):
        names = [f"{level:x}{number:x}" for number in range(width)]
        tree = repository.git("mktree", stdin="".join(f"{entry}\t{name}\n" for name in names).encode())
        entry = f"040000 tree {tree}"
    return repository.git("commit-tree", entry.split()[-1], "-m", "nested")


async def test_a_few_objects_that_stand_for_a_million_files_are_not_checked_out(
    host: Host, mirror: Mirror, tmp_path: Path
) -> None:
    blob = host.repository.git("hash-object", "-w", "--stdin", stdin=b"x")
    sha = nested(host.repository, f"100644 blob {blob}", depth=9, width=10)
    host.repository.point("refs/heads/main", sha)
    await mirror.fetch(host.remote(), "int", {"main": sha})
    with pytest.raises(GitFailed, match="more than 1,000,000 files"):
        await mirror.checkout(sha, tmp_path / "tree")
    assert list((tmp_path / "tree").iterdir()) == []


def test_a_tree_that_is_larger_than_it_looks_is_not_checked_out() -> None:
    check_size(b"      -\n      1\n" + b"1000000\n" * 17, room=17_000_001)
    with pytest.raises(GitFailed, match="larger than 16 MiB"):
        check_size(b"1000000\n" * 18, room=17_000_001)


async def test_a_pack_that_is_larger_than_there_is_room_for_is_not_kept(host: Host, mirror: Mirror) -> None:
    sha = host.repository.commit("main", "".join(f"{random.random()}" for _ in range(20_000)))
    await mirror.heads()
    fetching = Command(
        ("fetch", "--quiet", host.server.url("site.git"), sha),
        config={**host.remote().config("127.0.0.1"), "fetch.unpackLimit": "1"},
        environment={"GIT_DIR": str(mirror.path)},
        largest_file=10_000,
    )
    with pytest.raises(RemoteBroken, match="index-pack"):
        await run(fetching)
    assert not await mirror.has(sha)


async def test_an_object_that_is_larger_than_it_looks_does_not_eat_all_memory(host: Host) -> None:
    size = 64 * MEGABYTE
    tree = host.repository.git("hash-object", "-t", "tree", "--literally", "-w", "--stdin", stdin=bytes(size))
    reading = Command(("cat-file", "tree", tree), environment={"GIT_DIR": str(host.repository.path)}, max_bytes=size)
    assert len(await run(reading)) == size
    with pytest.raises(GitFailed, match="Out of memory"):
        await run(replace(reading, memory=size))


@pytest.mark.parametrize("how", ["cancel", "time limit"])
async def test_nothing_of_git_is_left_running(host: Host, mirror: Mirror, how: str) -> None:
    sha = host.repository.commit("main")
    stall = Stall()
    host.server.fault = stall
    url = host.server.url("site.git")
    if how == "cancel":
        work = asyncio.create_task(mirror.fetch(host.remote(), "int", {"main": sha}))
    else:
        config = host.remote().config("127.0.0.1")
        work = asyncio.create_task(as_bytes(Command(("ls-remote", url), config=config, seconds=2.0)))
    await wait_until(lambda: stall.is_reached.is_set() and len(processes_about(url)) >= 2)
    if how == "cancel":
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    else:
        with pytest.raises(GitFailed, match="longer than 2 s"):
            await work
    await wait_until(lambda: processes_about(url) == [])
    stall.release.set()
    host.server.fault = None
    assert await mirror.fetch(host.remote(), "int", {"main": sha}) == {"main": sha}


async def test_a_git_that_has_more_to_say_than_anybody_reads_is_ended(host: Host) -> None:
    blob = host.repository.git("hash-object", "-w", "--stdin", stdin=b"x" * 8 * MEGABYTE)
    talking = Command(("cat-file", "--batch"), environment={"GIT_DIR": str(host.repository.path)}, seconds=1)
    async with asyncio.timeout(20):
        with pytest.raises(GitFailed, match="longer than 1 s"):
            async with conversing(talking) as git:
                assert await git.ask(blob.encode()) == f"{blob} blob {8 * MEGABYTE}".encode()
                await asyncio.Event().wait()


async def as_bytes(command: Command) -> dict[str, str]:
    return {"": (await run(command)).decode()}


async def test_locks_of_a_killed_git_do_not_stay(host: Host, mirror: Mirror) -> None:
    sha = host.repository.commit("main")
    await mirror.fetch(host.remote(), "int", {"main": sha})
    with pytest.raises(RuntimeError):
        await die_holding(mirror.path)
    later = host.repository.commit("main", "2")
    assert await mirror.fetch(host.remote(), "int", {"main": later}) == {"main": later}
    assert not list(mirror.path.rglob("*.lock"))
    assert not list(mirror.path.rglob("tmp_pack*"))


async def die_holding(path: Path) -> None:
    async with locked(path):
        for name in ("refs/sync/int/heads/main.lock", "packed-refs.lock", "HEAD.lock", "objects/pack/tmp_pack_1"):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).touch()
        raise RuntimeError("as if killed here")


async def test_a_git_that_outlives_us_still_holds_the_repository(mirror: Mirror) -> None:
    await mirror.heads()
    reader, writer = os.pipe()
    async with locked(mirror.path) as lock:
        # As a fetch that goes on after its Tieline was killed: a process that only has the descriptor.
        orphan = await asyncio.create_subprocess_exec(
            "cat", stdin=reader, stdout=asyncio.subprocess.DEVNULL, pass_fds=(lock,)
        )
    os.close(reader)
    with pytest.raises(Unavailable, match="in use"):
        async with locked(mirror.path, seconds=0.2):
            pytest.fail("two hold the lock")
    os.close(writer)
    await orphan.wait()
    async with locked(mirror.path, seconds=5):
        pass


async def test_writers_of_one_repository_take_turns(host: Host, mirror: Mirror) -> None:
    shas = {f"b{number}": host.repository.commit(f"b{number}", str(number)) for number in range(5)}
    await asyncio.gather(*(mirror.fetch(host.remote(), "int", {name: sha}) for name, sha in shas.items()))
    assert all([await mirror.has(sha) for sha in shas.values()])


async def test_what_the_operators_environment_says_does_not_reach_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = Planted\n")
    for name, value in {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "GIT_CONFIG_PARAMETERS": "'user.name=Planted'",
        "GIT_SSH_COMMAND": "touch planted",
        "GIT_TRACE": "1",
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "TIELINE_SECRET_KEY": "s3cret-key",
    }.items():
        monkeypatch.setenv(name, value)
    environment = environment_of(Command(("version",)))
    assert not {"GIT_CONFIG_PARAMETERS", "GIT_SSH_COMMAND", "GIT_TRACE", "HTTPS_PROXY", "TIELINE_SECRET_KEY"} & set(
        environment
    )
    assert b"Planted" not in await run(Command(("config", "--list")))


@pytest.mark.parametrize("url", ["file:///etc", "ext::sh -c id", "http://127.0.0.1:1/x", "git://127.0.0.1/x", "/etc"])
async def test_git_itself_refuses_other_protocols(url: str, host: Host) -> None:
    config = replace(host.remote(), url="https://example.org/x", allowed_prefixes=("https://example.org/",)).config(
        "192.0.2.1"
    )
    with pytest.raises(TielineError, match="not allowed"):
        await run(Command(("ls-remote", "--", url), config=config))


async def test_output_is_capped(host: Host, mirror: Mirror) -> None:
    for number in range(20):
        host.repository.commit(f"b{number}")
    command = Command(("for-each-ref",), environment={"GIT_DIR": str(host.repository.path)}, max_bytes=100)
    with pytest.raises(GitFailed, match="more than 100 bytes"):
        await run(command)


async def test_complaints_are_redacted(host: Host) -> None:
    remote = host.remote(CREDENTIALS)
    command = Command(("rev-parse", "--verify", f"x-{PASSWORD}-{BASIC}"), redactor=remote.redactor())
    command = replace(command, environment={"GIT_DIR": str(host.repository.path)})
    with pytest.raises(GitFailed) as failure:
        await run(command)
    assert PASSWORD not in str(failure.value)
    assert BASIC not in str(failure.value)


async def test_the_version_is_known_and_old_ones_are_refused() -> None:
    assert (await git_version()).startswith("2.")
    assert check_version("git version 2.39.5 (Apple Git-154)") == "2.39.5"
    assert check_version("git version 3.0.0\n") == "3.0.0"
    for old in ("git version 2.38.9", "git version 1.99.0", "nonsense"):
        with pytest.raises(Unavailable, match=r"2\.39"):
            check_version(old)


async def test_a_machine_without_git_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="not installed"):
        await git_version()
