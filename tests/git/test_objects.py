"""Git's objects, read from what real git has written."""

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.git.repository import HostedRepository
from tieline.core.errors import GitFailed, NotFound, TooLarge
from tieline.git.command import MEGABYTE
from tieline.git.diffs import parse_diff
from tieline.git.mirror import Repositories
from tieline.git.objects import ObjectInfo, parse_commit, parse_info, parse_tree
from tieline.git.reader import LARGEST_BLOB, Reader, checked_size

ABSENT = "0" * 39 + "1"
COMMIT = b"tree %s\nauthor %s\ncommitter Ada <ada@example.com> 1767225600 +0000\n%s\n%s"
ADA = b"Ada <ada@example.com> 1767225600 +0530"


@pytest.fixture
def repository(tmp_path: Path) -> HostedRepository:
    return HostedRepository.create(tmp_path / "site.git")


@pytest.fixture
def reader(repository: HostedRepository) -> Reader:
    return Reader(repository.path)


def write(repository: HostedRepository, kind: str, content: bytes) -> str:
    return repository.git("hash-object", "-w", "--literally", "-t", kind, "--stdin", stdin=content)


def entry(mode: bytes, name: bytes, sha: str) -> bytes:
    return mode + b" " + name + b"\0" + bytes.fromhex(sha)


async def test_a_repository_that_was_never_made_is_empty_and_stays_unmade(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "never.git")
    assert await reader.heads() == {}
    for look in (reader.head("main"), reader.commit(ABSENT), reader.diff(ABSENT, ABSENT)):
        with pytest.raises(NotFound):
            await look
    assert list(tmp_path.iterdir()) == []


async def test_branches_are_shown_and_no_other_refs(repository: HostedRepository, reader: Reader) -> None:
    assert await reader.heads() == {}
    sha = repository.commit("main")
    for ref in ("refs/heads/feature/é", "refs/tieline/pulls/7", "refs/sync/int/heads/main", "refs/tags/v1"):
        repository.point(ref, sha)
    assert await reader.heads() == {"feature/é": sha, "main": sha}
    assert await reader.head("feature/é") == sha
    for name in (
        "feature",
        "main/",
        "mai",
        "m*n",
        "",
        "-h",
        "../tieline/pulls/7",
        "a\0b",
        "a\nb",
        "x" * 5000,
        "\ud800",
    ):
        with pytest.raises(NotFound):
            await reader.head(name)


async def test_a_commit_reads_as_git_shows_it(repository: HostedRepository, reader: Reader) -> None:
    first = repository.commit("main", message="Début\n\nLong text")
    second = repository.commit("main", "2", first)
    started, moved = await reader.commit(first), await reader.commit(second)
    assert (started.message, started.parents) == ("Début\n\nLong text\n", ())
    assert (started.author.name, started.author.email) == ("Ada", "ada@example.com")
    assert moved.parents == (first,)
    assert moved.tree == repository.git("rev-parse", f"{second}^{{tree}}")
    assert started.author.date.isoformat() == repository.git("log", "-1", "--format=%aI", first)


async def test_a_tree_reads_as_git_lists_it(repository: HostedRepository, reader: Reader) -> None:
    blob = write(repository, "blob", b"text")
    folder = write(repository, "tree", entry(b"100644", b"inside", blob))
    content = b"".join(
        (
            entry(b"100664", b"caf\xe9", blob),
            entry(b"40000", b"folder", folder),
            entry(b"120000", b"link", blob),
            entry(b"160000", b"module", ABSENT),
            entry(b"100755", "new\nline ü".encode(), blob),
        )
    )
    tree = write(repository, "tree", content)
    assert [(each.mode, each.kind, each.name, each.sha) for each in await reader.tree(tree)] == [
        ("100644", "blob", "caf\\xe9", blob),
        ("040000", "tree", "folder", folder),
        ("120000", "blob", "link", blob),
        ("160000", "commit", "module", ABSENT),
        ("100755", "blob", "new\nline ü", blob),
    ]
    empty = write(repository, "tree", b"")
    assert await reader.tree(empty) == ()


async def test_a_large_folder_keeps_nobody_waiting(repository: HostedRepository, reader: Reader) -> None:
    content = b"".join(entry(b"100644", b"%05d" % number, ABSENT) for number in range(100_000))
    tree = write(repository, "tree", content)
    begun = time.thread_time()
    parse_tree(content)
    seconds, longest = time.thread_time() - begun, 0.0
    reading = asyncio.create_task(reader.tree(tree))
    while not reading.done():
        # Of this thread alone, so that neither the one beside it nor a busy machine counts.
        begun = time.thread_time()
        await asyncio.sleep(0)
        longest = max(longest, time.thread_time() - begun)
    assert len(await reading) == 100_000
    assert longest < 0.5 * seconds


async def test_a_blob_is_its_bytes(repository: HostedRepository, reader: Reader) -> None:
    for content in (b"", b"\0\xff\r\n", b"x" * 3_000_000):
        assert await reader.blob(write(repository, "blob", content)) == content


async def test_objects_are_named_by_full_hashes_of_their_kind(repository: HostedRepository, reader: Reader) -> None:
    commit = repository.commit("main")
    tree, blob = repository.git("rev-parse", "main^{tree}", "main:file.txt").split()
    tag = write(repository, "tag", f"object {commit}\ntype commit\ntag v1\ntagger A <a@b> 1 +0000\n\nv1\n".encode())
    names = (
        ABSENT,
        commit[:39],
        commit[:8],
        commit.upper(),
        "main",
        "HEAD",
        "--help",
        "",
        f"{commit}\n",
        f"{commit}^0",
    )
    for missing in (*names, tree, blob, tag):
        with pytest.raises(NotFound):
            await reader.commit(missing)
    for look in (
        reader.tree(commit),
        reader.tree(blob),
        reader.blob(tree),
        reader.blob(tag),
        reader.diff(commit, blob),
    ):
        with pytest.raises(NotFound, match=r"is a (commit|tree|blob|tag), not a"):
            await look


async def test_what_is_too_large_is_not_shown(repository: HostedRepository, reader: Reader) -> None:
    large = write(repository, "blob", b"\0" * (LARGEST_BLOB + 1))
    with pytest.raises(TooLarge, match=r"The blob [0-9a-f]{40} has 10,485,761 bytes; more than 10 MiB"):
        await reader.blob(large)
    many = write(repository, "blob", b"".join(b"%d\n" % number for number in range(700_000)))
    other = write(repository, "blob", b"".join(b"-%d\n" % number for number in range(500_000)))
    before = write(repository, "tree", entry(b"100644", b"a", many))
    after = write(repository, "tree", entry(b"100644", b"a", other))
    with pytest.raises(TooLarge, match="More than 1 MiB of changes"):
        await Reader(repository.path, largest_diff=MEGABYTE).diff(before, after)
    with pytest.raises(TooLarge, match="too large to be compared"):
        await Reader(repository.path, memory=8 * MEGABYTE).diff(before, after)
    with pytest.raises(TooLarge, match=r"longer than 0\.001 s"):
        await Reader(repository.path, diff_seconds=0.001).diff(before, after)
    assert await reader.diff(after, after) == ()


async def test_a_damaged_repository_says_so(repository: HostedRepository, reader: Reader) -> None:
    blob = write(repository, "blob", b"content that will be damaged")
    path = repository.path / "objects" / blob[:2] / blob[2:]
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:12])
    with pytest.raises(GitFailed):
        await reader.blob(blob)


async def test_every_kind_of_change_has_its_difference(repository: HostedRepository, reader: Reader) -> None:
    text = b"".join(b"line %d\n" % number for number in range(50))
    old = {
        b"binary": (b"100644", b"\0\1"),
        b"gone": (b"100644", b"a\n"),
        b"kind": (b"100644", b"target"),
        b"made executable": (b"100644", b"#!/bin/sh\n"),
        b"moved": (b"100644", text),
        b"text": (b"100644", b"diff --git a/x b/x\nkept\n"),
    }
    new = {
        b"binary": (b"100644", b"\0\2"),
        b"caf\xe9": (b"100644", b"caf\xe9\n"),
        b"empty": (b"100644", b""),
        b"kind": (b"120000", b"target"),
        b"made executable": (b"100755", b"#!/bin/sh\n"),
        b"text": (b"100644", b"diff --git a/x b/x\nkept\nadded\n"),
        b"was\nmoved": (b"100644", text + b"more\n"),
    }
    trees = []
    for files in (old, new):
        content = [entry(mode, name, write(repository, "blob", body)) for name, (mode, body) in files.items()]
        trees.append(write(repository, "tree", b"".join(content)))
    found = {each.path: each for each in await reader.diff(*trees)}

    assert [(each.old_path, each.new_path) for each in found.values()] == [
        ("binary", "binary"),
        (None, "caf\\xe9"),
        (None, "empty"),
        ("gone", None),
        ("kind", "kind"),
        ("made executable", "made executable"),
        ("text", "text"),
        ("moved", "was\nmoved"),
    ]
    assert found["gone"].new_id is None
    assert found["gone"].old_id == repository.git("hash-object", "--stdin", stdin=b"a\n")
    assert "Binary files a/binary and b/binary differ" in found["binary"].diff
    assert "+caf\\xe9\n" in found["caf\\xe9"].diff
    assert "new file mode 100644" in found["empty"].diff
    assert found["kind"].diff.count("diff --git ") == 2
    assert "new mode 100755" in found["made executable"].diff
    assert found["text"].diff.endswith("@@ -1,2 +1,3 @@\n diff --git a/x b/x\n kept\n+added\n")
    assert 'rename to "was\\nmoved"' in found["was\nmoved"].diff


async def test_commits_are_compared_by_their_trees(repository: HostedRepository, reader: Reader) -> None:
    first = repository.commit("main", "1\n")
    second = repository.commit("main", "2\n", first)
    tree = repository.git("rev-parse", f"{second}^{{tree}}")
    [change] = await reader.diff(first, second)
    assert (change.path, change.diff.splitlines()[-2:]) == ("file.txt", ["-1", "+2"])
    assert await reader.diff(first, tree) == (change,)
    assert await reader.diff(second, tree) == ()


async def test_reading_does_not_wait_for_a_writer(repositories: Repositories) -> None:
    mirror = repositories.open("abc234")
    async with mirror._held():
        assert await repositories.read("abc234").heads() == {}


@pytest.mark.parametrize(
    ("line", "name", "email", "date"),
    [
        (ADA, "Ada", "ada@example.com", "2026-01-01T05:30:00+05:30"),
        (b"Ada <a@b> 1767225600 -0030", "Ada", "a@b", "2025-12-31T23:30:00-00:30"),
        (b" <> 0 +0000", "", "", "1970-01-01T00:00:00+00:00"),
        (b"Ada <a@b>", "Ada", "a@b", "1970-01-01T00:00:00+00:00"),
        (b"Ada <a@b> 999999999999999999 +0000", "Ada", "a@b", "1970-01-01T00:00:00+00:00"),
        (b"Ada <a@b> 253402300799 +1400", "Ada", "a@b", "1970-01-01T00:00:00+00:00"),
        (b"Ada <a@b> 1767225600 +9999", "Ada", "a@b", "1970-01-01T00:00:00+00:00"),
        (b"A <a@b> c> 1767225600 +0000", "A", "a@b", "2026-01-01T00:00:00+00:00"),
        (b"nonsense", "nonsense", "", "1970-01-01T00:00:00+00:00"),
    ],
)
def test_signatures_are_read_however_they_were_written(line: bytes, name: str, email: str, date: str) -> None:
    author = parse_commit(COMMIT % (ABSENT.encode(), line, b"", b"m")).author
    assert (author.name, author.email, author.date.isoformat()) == (name, email, date)


@pytest.mark.parametrize(
    ("encoding", "message", "text"),
    [
        (b"", "é".encode(), "é"),
        (b"", b"caf\xe9", "caf\\xe9"),
        (b"encoding ISO-8859-1\n", b"caf\xe9", "café"),
        (b"encoding Shift_JIS\n", "日本".encode("shift_jis"), "日本"),
        (b"encoding idna\n", b"caf\xe9", "caf\\xe9"),
        (b"encoding cp9999\n", b"caf\xe9", "caf\\xe9"),
        (b"encoding unicode_escape\n", b"\xe9\\ud800", "\\xe9\\ud800"),
        (b"gpgsig -----BEGIN\n \n author Eve <e@e> 1 +0000\n -----END\n", b"m\n\nbody\n", "m\n\nbody\n"),
    ],
)
def test_messages_are_text_in_any_encoding(encoding: bytes, message: bytes, text: str) -> None:
    commit = parse_commit(COMMIT % (ABSENT.encode(), ADA, encoding, message))
    assert (commit.message, commit.author.name) == (text, "Ada")


@given(st.binary(max_size=300))
def test_no_bytes_are_beyond_reading(content: bytes) -> None:
    commit = parse_commit(COMMIT % (content, content, content, content))
    f"{commit}".encode()
    for parse in (parse_tree, parse_info):
        try:
            parse(content)
        except GitFailed:
            continue


NAMES = st.binary(min_size=1, max_size=8).filter(lambda name: b"\0" not in name and b"/" not in name)


@given(
    st.lists(st.tuples(st.sampled_from([b"40000", b"100644", b"160000"]), NAMES, st.binary(min_size=20, max_size=20)))
)
def test_trees_are_read_back(entries: list[tuple[bytes, bytes, bytes]]) -> None:
    content = b"".join(mode + b" " + name + b"\0" + sha for mode, name, sha in entries)
    found = parse_tree(content)
    assert [each.sha for each in found] == [sha.hex() for _, _, sha in entries]
    assert [each.mode for each in found] == [mode.decode().zfill(6) for mode, _, _ in entries]
    if content:
        with pytest.raises(GitFailed):
            parse_tree(content[:-1])


def test_what_git_says_of_an_object() -> None:
    assert parse_info(f"{ABSENT} missing".encode()) is None
    assert parse_info(f"{ABSENT} blob 17".encode()) == ObjectInfo("blob", 17)
    assert checked_size(ABSENT, ObjectInfo("blob", 17), ("blob",), 17) == 17
    record = f":100644 100644 {ABSENT} {ABSENT} M\0x\0\0".encode()
    with pytest.raises(GitFailed, match="2 patches for 1 files"):
        parse_diff(record + b"diff --git a/x b/x\n" * 2)
