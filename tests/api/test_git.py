"""The project's repository, read as the clients read it: from a branch to the bytes of a file."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import structlog

from tests.api.conftest import PUBLIC_URL, Client, Instance, NewUser, create_project, in_shared_loop
from tests.git.repository import HostedRepository
from tieline.api.responses import PIECE
from tieline.api.turns import MOST, Turns
from tieline.git.reader import LARGEST_BLOB, LARGEST_TREE

ABSENT = "0" * 39 + "1"


@in_shared_loop
async def repository(instance: Instance, project: str) -> AsyncIterator[HostedRepository]:
    """That of the test's project."""
    yield HostedRepository.create(instance.repositories / f"{project}.git")


async def test_a_file_is_found_from_its_branch(client: Client, project: str, repository: HostedRepository) -> None:
    sha = repository.commit("main", "hello")
    for prefix in ("", "/api"):
        git = f"{prefix}/projects/{project}/git"
        ref = await client.get(f"{git}/refs/heads%2Fmain")
        commit = await client.get(f"{git}/commits/{ref['sha']}")
        tree = await client.get(f"{git}/trees/{commit['tree']}")
        blob = await client.get(f"{git}/blobs/{tree['tree'][0]['sha']}")
        link = f"{PUBLIC_URL}/api/projects/{project}/git"
        assert ref == {
            "id": "heads/main",
            "ref": "refs/heads/main",
            "object": {"type": "commit", "sha": sha},
            "sha": sha,
            "_links": {"self": {"href": f"{link}/refs/heads%2Fmain"}},
        }
        assert commit == {
            "id": sha,
            "sha": sha,
            "author": commit["committer"],
            "committer": {
                "date": repository.git("log", "-1", "--format=%cI"),
                "name": "Ada",
                "email": "ada@example.com",
            },
            "message": "Work\n",
            "tree": tree["sha"],
            "parents": [],
            "_links": {"self": {"href": f"{link}/commits/{sha}"}},
        }
        assert tree == {
            "id": tree["sha"],
            "sha": tree["sha"],
            "tree": [{"path": "file.txt", "mode": "100644", "type": "blob", "sha": blob["sha"]}],
            "_links": {"self": {"href": f"{link}/trees/{tree['sha']}"}},
        }
        assert blob == {
            "id": blob["sha"],
            "sha": blob["sha"],
            "size": 5,
            "encoding": "base64",
            "content": "aGVsbG8=",
            "_links": {"self": {"href": f"{link}/blobs/{blob['sha']}"}},
        }


async def test_refs_are_those_of_branches(client: Client, project: str, repository: HostedRepository) -> None:
    git = f"/projects/{project}/git"
    assert await client.get(f"{git}/refs") == []
    sha = repository.commit("feature/ü%2F1")
    for hidden in ("refs/tieline/pulls/7", "refs/sync/int/heads/main"):
        repository.point(hidden, sha)
    [shown] = await client.get(f"{git}/refs")
    assert shown["id"] == "heads/feature/ü%2F1"
    for path in ("heads%2Ffeature%2F%C3%BC%252F1", "heads/feature/%C3%BC%252F1"):
        assert await client.get(f"{git}/refs/{path}") == shown
    hidden_ones = ("tieline/pulls/7", "tieline%2Fpulls%2F7", "sync/int/heads/main", "heads/../tieline/pulls/7")
    for path in (*hidden_ones, "refs/heads/main", "heads", "heads/", "heads/feature", "heads/%00", "heads/%FF", "%0A"):
        answer = await client("GET", f"{git}/refs/{path}")
        assert answer.status == 404, path


async def test_what_is_not_there_is_answered_404(client: Client, project: str, repository: HostedRepository) -> None:
    sha = repository.commit("main")
    tree = repository.git("rev-parse", "main^{tree}")
    git = f"/projects/{project}/git"
    for path in (
        *(
            f"{kind}/{name}"
            for kind in ("commits", "trees", "blobs")
            for name in (ABSENT, sha[:12], "HEAD", "%00", "-h")
        ),
        *(f"diffs/{sha}/{name}" for name in (ABSENT, "HEAD", sha[:12])),
        f"commits/{tree}",
        f"trees/{sha}",
        f"blobs/{tree}",
    ):
        answer = await client("GET", f"{git}/{path}")
        assert answer.status == 404, path
        assert answer.json["message"].endswith(".")
    wrong = await client("GET", f"{git}/blobs/{tree}")
    assert wrong.json["message"] == f"{tree} is a tree, not a blob."


async def test_differences_are_listed_by_file(client: Client, project: str, repository: HostedRepository) -> None:
    first = repository.commit("main", "1\n")
    second = repository.commit_tree({"file.txt": "2\n", "new.txt": ""}, first)
    git = f"/projects/{project}/git/diffs"
    changed, added = await client.get(f"{git}/{first}/{second}")
    assert (changed["id"], changed["old_path"], changed["new_path"]) == ("file.txt", "file.txt", "file.txt")
    assert changed["diff"].endswith("@@ -1 +1 @@\n-1\n+2\n")
    assert (added["id"], added["old_path"], added["old_id"], added["new_path"]) == ("new.txt", None, None, "new.txt")
    assert [each["id"] for each in await client.get(f"{git}/{second}/{first}")] == ["file.txt", "new.txt"]
    assert await client.get(f"{git}/{first}/{first}") == []


async def test_a_large_file_arrives_whole_and_one_that_is_too_large_not_at_all(
    client: Client, project: str, repository: HostedRepository
) -> None:
    content = bytes(range(256)) * 2048
    blob, too_large = (
        repository.git("hash-object", "-w", "--stdin", stdin=each) for each in (content, bytes(LARGEST_BLOB + 1))
    )
    path = f"/projects/{project}/git/blobs"
    answer = await client("GET", f"{path}/{blob}")
    assert len(answer.body) > PIECE
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert b64decode(answer.json["content"]) == content
    known = await client("GET", f"{path}/{blob}", headers={"If-None-Match": answer.headers["ETag"]})
    assert (known.status, known.body) == (304, b"")
    head = await client("HEAD", f"{path}/{blob}")
    assert (head.status, head.headers["Content-Length"]) == (200, answer.headers["Content-Length"])
    refused = await client("GET", f"{path}/{too_large}")
    assert (refused.status, refused.json["title"]) == (413, "Request Entity Too Large")
    assert "more than 10 MiB" in refused.json["message"]


async def test_a_folder_of_too_many_files_is_refused(
    client: Client, project: str, repository: HostedRepository
) -> None:
    entry = b"100644 " + b"n" * 200 + b"\0" + bytes(20)
    tree = repository.git(
        "hash-object", "-w", "--literally", "-t", "tree", "--stdin", stdin=entry * (LARGEST_TREE // len(entry) + 1)
    )
    refused = await client("GET", f"/projects/{project}/git/trees/{tree}")
    assert (refused.status, "more than 4 MiB" in refused.json["message"]) == (413, True)


async def test_a_damaged_repository_is_no_fault_of_the_reader(
    client: Client, project: str, repository: HostedRepository
) -> None:
    blob = repository.git("hash-object", "-w", "--stdin", stdin=b"content that will be damaged")
    path = repository.path / "objects" / blob[:2] / blob[2:]
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:12])
    with structlog.testing.capture_logs() as logged:
        answer = await client("GET", f"/projects/{project}/git/blobs/{blob}")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert str(repository.path).encode() not in answer.body
    assert [each["event"] for each in logged] == ["git.unreadable"]


async def test_a_viewer_reads_its_own_project_only(
    instance: Instance, client: Client, project: str, repository: HostedRepository, new_user: NewUser
) -> None:
    sha = repository.commit("main")
    viewer = await new_user("viewer", project, "viewer")
    assert (await viewer.get(f"/projects/{project}/git/commits/{sha}"))["sha"] == sha
    other = await create_project(client)
    HostedRepository.create(instance.repositories / f"{other}.git").commit("main", "other")
    for path in ("refs", f"commits/{sha}", f"diffs/{sha}/{sha}"):
        foreign = await viewer("GET", f"/projects/{other}/git/{path}")
        missing = await viewer("GET", f"/projects/{'a' * 13}/git/{path}")
        assert (foreign.status, foreign.body) == (404, missing.body)
    assert (await client("GET", f"/projects/{other}/git/commits/{sha}")).status == 404


async def test_whoever_does_not_take_large_answers_waits_alone(
    client: Client, project: str, repository: HostedRepository, new_user: NewUser
) -> None:
    blob = repository.git("hash-object", "-w", "--stdin", stdin=bytes(LARGEST_BLOB))
    slow, quick = await new_user("slow", project, "viewer"), await new_user("quick", project, "viewer")
    where = urlsplit(client.url)
    asked = (
        f"GET /projects/{project}/git/blobs/{blob} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {slow.token}\r\n\r\n"
    )
    async with AsyncExitStack() as stack:
        for _ in range(MOST):
            reader, writer = await asyncio.open_connection(where.hostname, where.port)
            stack.callback(writer.close)
            writer.write(asked.encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        waiting = asyncio.create_task(slow.get(f"/projects/{project}/git/refs"))
        assert await quick.get(f"/projects/{project}/git/refs") == []
        assert await slow.get(f"/projects/{project}")
        assert not waiting.done()
    # Whoever hangs up waits no longer.
    assert await waiting == []


async def test_an_account_takes_turns_and_keeps_nobody_else_waiting() -> None:
    turns = Turns(most=2)
    running: list[str] = []
    most = 0
    bob_came, release = asyncio.Event(), asyncio.Event()

    async def read(account: str) -> None:
        nonlocal most
        async with turns.take(account):
            running.append(account)
            most = max(most, running.count("ada"))
            if account == "bob":
                bob_came.set()
            await release.wait()
            running.remove(account)

    async with asyncio.TaskGroup() as group:
        for account in ("ada",) * 5 + ("bob",):
            group.create_task(read(account))
        await bob_came.wait()
        assert sorted(running) == ["ada", "ada", "bob"]
        release.set()
    assert (most, running, len(turns._lines)) == (2, [], 0)
