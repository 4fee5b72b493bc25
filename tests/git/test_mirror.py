"""A project's repository follows a real host."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.git.conftest import Host
from tieline.core.errors import Conflict, GitFailed, NotFound, RemoteNotFound
from tieline.git.mirror import Mirror, Repositories
from tieline.git.refs import RefUpdate
from tieline.git.remote import Remote

ABSENT = "0" * 39 + "1"


async def follow(mirror: Mirror, host: Host) -> dict[str, str]:
    """What a reconcile does with refs: list, fetch, move. Gives the project's branches."""
    heads, wanted = await mirror.heads(), (await mirror.list_remote(host.remote())).heads
    missing = {name: sha for name, sha in wanted.items() if sha not in heads.values()}
    wanted |= await mirror.fetch(host.remote(), "int", missing)
    updates = [
        RefUpdate(f"refs/heads/{name}", heads.get(name), wanted.get(name))
        for name in wanted.keys() | heads.keys()
        if heads.get(name) != wanted.get(name)
    ]
    await mirror.move(updates)
    return await mirror.heads()


async def test_follows_every_kind_of_change(host: Host, mirror: Mirror) -> None:
    first = host.repository.commit("main", "1")
    host.repository.commit("feature", "2", first)
    assert await follow(mirror, host) == host.repository.heads()
    host.repository.commit("main", "3", first)
    host.repository.commit("feature", "forced")
    host.repository.commit("new/one", "4")
    assert await follow(mirror, host) == host.repository.heads()
    host.repository.delete("new/one")
    host.repository.commit("new", "5")
    assert await follow(mirror, host) == host.repository.heads()


@pytest.mark.parametrize(
    ("before", "after"), [("feature", "feature/one"), ("feature/one/two", "feature"), ("a/b", "a/b/c")]
)
async def test_renames_between_file_and_folder(host: Host, mirror: Mirror, before: str, after: str) -> None:
    sha = host.repository.commit("main")
    host.repository.point(f"refs/heads/{before}", sha)
    assert await follow(mirror, host) == host.repository.heads()
    host.repository.delete(before)
    host.repository.point(f"refs/heads/{after}", sha)
    for _ in range(2):
        assert await follow(mirror, host) == {"main": sha, after: sha}


async def test_hard_names_are_mirrored(host: Host, mirror: Mirror) -> None:
    sha = host.repository.commit("main")
    for name in (
        "-dash",
        "HEAD",
        "refs/heads/main",
        "\U0001f680",
        "x" * 250,
        '"quoted"',
        "$(touch)",
        "@",
        "tmp_x",
        "UP",
        "up",
        "next\u2028line",
        "next\x85line",
    ):
        host.repository.point(f"refs/heads/{name}", sha)
    host.repository.git("update-ref", b"refs/heads/\xff\xfe", sha)
    heads = await follow(mirror, host)
    assert (len(heads), set(heads.values())) == (14, {sha})
    assert await follow(mirror, host) == heads


async def test_tags_and_other_refs_stay_away(host: Host, mirror: Mirror) -> None:
    sha = host.repository.commit("main")
    host.repository.git("tag", "-m", "x", "v1", sha)
    host.repository.point("refs/pull/1/head", sha)
    await follow(mirror, host)
    assert set(await mirror.refs("refs/")) == {"refs/heads/main"}


async def test_nothing_to_fetch_asks_the_host_nothing(host: Host, mirror: Mirror) -> None:
    asked = len(host.server.seen)
    assert await mirror.fetch(host.remote(), "int", {}) == {}
    assert len(host.server.seen) == asked


async def test_a_branch_that_moved_after_the_listing(host: Host, mirror: Mirror) -> None:
    host.repository.commit("main", "1")
    later = host.repository.commit("main", "2")
    topic = host.repository.commit("topic/a", "3")
    wanted = {"main": ABSENT, "topic/a": topic}
    for _ in range(2):
        assert await mirror.fetch(host.remote(), "int", wanted) == {"main": later, "topic/a": topic}
    assert await mirror.has(later)
    assert await mirror.refs("refs/") == {}


async def test_a_branch_that_vanished_after_the_listing(host: Host, mirror: Mirror) -> None:
    host.repository.commit("main")
    with pytest.raises(RemoteNotFound):
        await mirror.fetch(host.remote(), "int", {"gone": ABSENT})
    assert await mirror.refs("refs/") == {}


async def test_a_fork_is_fetched_into_the_same_repository(host: Host, mirror: Mirror) -> None:
    base = host.repository.commit("main")
    await follow(mirror, host)
    fork = type(host.repository).create(host.server.root / "fork.git")
    fork.git("fetch", "--quiet", str(host.repository.path), base)
    head = fork.commit("fix", "fixed", base)
    into = "refs/sync/int/pulls/7"
    assert await mirror.fetch_ref(host.remote(name="fork.git"), "fix", into) == head
    assert await mirror.refs("refs/sync/int/pulls") == {into: head}
    assert await mirror.has(head)


@pytest.mark.parametrize(
    "branch",
    ["gone", "a b", "x\n+refs/heads/main:refs/heads/evil", "main:refs/heads/evil", "*", "\ud800", "--upload-pack=x"],
)
async def test_a_branch_that_cannot_be_fetched(host: Host, mirror: Mirror, branch: str) -> None:
    host.repository.commit("main")
    with pytest.raises(RemoteNotFound):
        await mirror.fetch_ref(host.remote(), branch, "refs/sync/int/pulls/1")
    assert await mirror.refs("refs/") == {}


async def test_a_wrong_old_value_moves_nothing(host: Host, mirror: Mirror) -> None:
    one, two = host.repository.commit("main", "1"), host.repository.commit("gone", "2")
    await follow(mirror, host)
    before = await mirror.heads()
    for bad in (
        RefUpdate("refs/heads/main", two, one),
        RefUpdate("refs/heads/main", None, two),
        RefUpdate("refs/heads/other", one, two),
    ):
        with pytest.raises(Conflict):
            await mirror.move([RefUpdate("refs/heads/fresh", None, one), bad])
        assert await mirror.heads() == before
    for bad in (RefUpdate("refs/heads/main", two, one), RefUpdate("refs/heads/nope", one, None)):
        with pytest.raises(Conflict):
            await mirror.move([RefUpdate("refs/heads/gone", two, None), bad])
        assert await mirror.heads() == before


async def test_the_head_of_the_project_follows(host: Host, mirror: Mirror) -> None:
    host.repository.commit("trunk")
    await follow(mirror, host)
    await mirror.set_head("trunk")
    assert (mirror.path / "HEAD").read_text() == "ref: refs/heads/trunk\n"


async def test_staging_is_hidden_from_those_who_clone(host: Host, mirror: Mirror) -> None:
    host.repository.commit("main")
    await follow(mirror, host)
    await mirror.fetch_ref(host.remote(), "main", "refs/sync/int/pulls/1")
    shown = host.repository.git("ls-remote", str(mirror.path))
    assert "refs/heads/main" in shown
    assert "refs/sync" not in shown


async def test_dropping_an_integration_leaves_the_project(host: Host, mirror: Mirror) -> None:
    host.repository.commit("main")
    heads = await follow(mirror, host)
    await mirror.fetch_ref(host.remote(), "main", "refs/sync/int/pulls/1")
    await mirror.drop_staging("int")
    await mirror.drop_staging("int")
    assert await mirror.refs("refs/sync") == {}
    assert await mirror.heads() == heads


async def test_abbreviations(host: Host, mirror: Mirror) -> None:
    sha = host.repository.commit("main")
    tree = host.repository.git("rev-parse", f"{sha}^{{tree}}")
    # A branch may be called like the beginning of a hash, and must not be taken for it.
    host.repository.commit(sha[:12], "other")
    await follow(mirror, host)
    assert await mirror.resolve(sha[:12]) == await mirror.resolve(sha) == sha
    for useless in (tree[:12], tree, ABSENT[:12], "abc", "", "main", "HEAD", "--all", "A" * 12):
        assert await mirror.resolve(useless) is None
    assert await mirror.has(sha)
    for useless in (tree, ABSENT, sha[:12], "main", "--all"):
        assert not await mirror.has(useless)


async def test_a_message_without_end_is_cut_and_hides_only_what_is_older(host: Host, mirror: Mirror) -> None:
    first = host.repository.commit("main", "0", message="First")
    for number, length in enumerate((5_000_000, 20_000)):
        body = f"data {length}\n{'m' * length}\nfrom {first}\n"
        commit = f"commit refs/heads/main\ncommitter Ada <ada@example.com> {number} +0000\n{body}"
        host.repository.git("fast-import", "--quiet", "--force", stdin=commit.encode())
        first = host.repository.heads()["main"]
    await follow(mirror, host)
    newest, total = await mirror.commits(None, first)
    assert ([len(commit.message) for commit in newest], total) == ([10_000, 10_000], 3)


async def test_commits_between(host: Host, mirror: Mirror) -> None:
    shas = [host.repository.commit("main", "0", message="First")]
    for number in range(1, 25):
        shas.append(host.repository.commit("main", str(number), shas[-1], message=f"Number {number}\n\nBody \u00fc"))
    await follow(mirror, host)
    newest, total = await mirror.commits(shas[21], shas[-1])
    assert ([commit.sha for commit in newest], total) == ([shas[24], shas[23], shas[22]], 3)
    assert newest[0].message == "Number 24\n\nBody \u00fc"
    assert newest[0].parents == (shas[23],)
    assert (newest[0].author_name, newest[0].author_email) == ("Ada", "ada@example.com")
    assert newest[0].date > 1_600_000_000
    for old in (None, ABSENT):
        first, total = await mirror.commits(old, shas[-1], limit=2)
        assert ([commit.sha for commit in first], total) == ([shas[24], shas[23]], 25)
    assert await mirror.commits(shas[-1], shas[-1]) == ((), 0)
    with pytest.raises(GitFailed):
        await mirror.commits(None, "--all")


async def test_a_message_that_is_not_utf8_is_shown(host: Host, mirror: Mirror) -> None:
    tree = host.repository.git("mktree")
    raw = (
        f"tree {tree}\nauthor A <a@b> 1700000000 +0000\ncommitter A <a@b> 1700000000 +0000\n\n".encode()
        + b"caf\xe9 \xff"
    )
    sha = host.repository.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=raw)
    host.repository.point("refs/heads/main", sha)
    await follow(mirror, host)
    (commit,), _ = await mirror.commits(None, sha)
    assert commit.message.startswith("caf")


async def test_checkout_writes_bytes_as_committed(host: Host, mirror: Mirror, tmp_path: Path) -> None:
    repository = host.repository
    marker = tmp_path / "marker"
    blobs = {
        ".gitattributes": "*.txt text eol=crlf filter=evil ident\n*.bin filter=lfs\n",
        "a.txt": "one\ntwo $Id$\n",
        "b.bin": "version https://git-lfs.github.com/spec/v1\n",
        "sub": "nested/file",
    }
    written = {
        name: repository.git("hash-object", "-w", "--stdin", stdin=text.encode()) for name, text in blobs.items()
    }
    inner = repository.git("mktree", stdin=f"100755 blob {written['a.txt']}\trun.sh\n".encode())
    entries = [f"100644 blob {written[name]}\t{name}\n" for name in (".gitattributes", "a.txt", "b.bin")]
    entries += [
        f"120000 blob {written['sub']}\tlink\n",
        f"040000 tree {inner}\tnested\n",
        f"160000 commit {ABSENT}\tmodule\n",
    ]
    sha = repository.git(
        "commit-tree", repository.git("mktree", "--missing", stdin="".join(entries).encode()), "-m", "x"
    )
    repository.point("refs/heads/main", sha)
    await follow(mirror, host)
    hooks = mirror.path / "hooks"
    hooks.mkdir()
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {marker}\n")
    (hooks / "post-checkout").chmod(0o755)
    into = tmp_path / "tree"
    await mirror.checkout(sha, into)
    assert (into / "a.txt").read_text() == blobs["a.txt"]
    assert (into / "b.bin").read_text() == blobs["b.bin"]
    assert (into / "link").readlink() == Path("nested/file")
    assert os.access(into / "nested/run.sh", os.X_OK)
    assert list((into / "module").iterdir()) == []
    assert not (into / ".git").exists()
    assert not marker.exists()
    with pytest.raises(GitFailed, match="not empty"):
        await mirror.checkout(sha, into)


async def test_checkout_of_an_empty_tree_and_of_nothing(host: Host, mirror: Mirror, tmp_path: Path) -> None:
    sha = host.repository.git("commit-tree", host.repository.git("mktree"), "-m", "empty")
    host.repository.point("refs/heads/main", sha)
    await follow(mirror, host)
    await mirror.checkout(sha, tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []
    for nothing in (ABSENT, "main", "--help"):
        with pytest.raises(GitFailed):
            await mirror.checkout(nothing, tmp_path / "nothing")


async def test_many_checkouts_at_once(host: Host, mirror: Mirror, tmp_path: Path) -> None:
    shas = [host.repository.commit(f"b{number}", str(number)) for number in range(6)]
    await follow(mirror, host)
    await asyncio.gather(*(mirror.checkout(sha, tmp_path / sha) for sha in shas))
    assert [(tmp_path / sha / "file.txt").read_text() for sha in shas] == ["0", "1", "2", "3", "4", "5"]


async def test_maintenance_gathers_packs_and_keeps_everything(host: Host, mirror: Mirror) -> None:
    host.repository.commit("main")
    heads = await follow(mirror, host)
    assert await mirror.is_worn()
    for number in range(3):
        heads = {"main": host.repository.commit("main", str(number), heads["main"])}
        assert await follow(mirror, host) == heads
    await mirror.maintain()
    assert not await mirror.is_worn()
    assert await mirror.heads() == heads
    assert len(list((mirror.path / "objects/pack").glob("*.pack"))) == 1
    assert list((mirror.path / "objects/info/commit-graphs").glob("*.graph"))


async def test_once_a_week_git_collects_what_is_left_over(host: Host, mirror: Mirror) -> None:
    host.repository.commit("main")
    await follow(mirror, host)
    await mirror.maintain()
    stamp = mirror.path / "gc-stamp"
    week_ago = stamp.stat().st_mtime - 8 * 86_400
    os.utime(stamp, (week_ago, week_ago))
    heads = await mirror.heads()
    await mirror.maintain()
    assert stamp.stat().st_mtime > week_ago
    assert await mirror.heads() == heads


async def test_a_first_fetch_of_many_branches_packs_them(host: Host, mirror: Mirror) -> None:
    sha = host.repository.commit("main")
    host.repository.git(
        "update-ref", "--stdin", stdin="".join(f"create refs/heads/b{n} {sha}\n" for n in range(600)).encode()
    )
    assert len(await follow(mirror, host)) == 601
    assert list((mirror.path / "refs/heads").iterdir()) == []
    assert await follow(mirror, host) == host.repository.heads()


async def test_repositories_are_opened_once(host: Host, repositories: Repositories) -> None:
    mirror = repositories.open("abc234")
    assert repositories.open("abc234") is mirror
    assert await mirror.heads() == {}
    assert mirror.path.exists()
    for bad in ("", "../x", "a/b", "-x", "A", ".hidden"):
        with pytest.raises(NotFound):
            repositories.open(bad)


async def test_two_processes_make_one_repository(repositories: Repositories) -> None:
    other = Repositories(repositories._root, repositories._resolve, repositories._http)
    mirrors = [each.open("abc234") for each in (repositories, other) for _ in range(3)]
    assert await asyncio.gather(*(mirror.heads() for mirror in mirrors)) == [{}] * 6
    assert [path.name for path in repositories._root.iterdir()] == ["abc234.git"]


async def test_a_remote_is_the_same_whatever_its_spelling(host: Host, mirror: Mirror) -> None:
    sha = host.repository.commit("main")
    spelled = host.server.url("site.git").replace("http://", "http://somebody:s3cret@")
    remote = Remote(spelled, None, (host.server.origin,))
    assert "s3cret" not in repr(remote)
    assert await mirror.fetch(remote, "int", {"main": sha}) == {"main": sha}
