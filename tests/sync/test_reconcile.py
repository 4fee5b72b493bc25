"""A repository lives, and its environments follow: real PostgreSQL, real git, a host over HTTP."""

from datetime import timedelta

from tests.sync.conftest import Lines, Room
from tieline.core import kinds
from tieline.core.clock import now
from tieline.store import activities, environments, projects
from tieline.sync.apply import Applier, Target
from tieline.sync.steps import Plan, Push, RemoveEnvironment, Retarget, UpdateHeads


async def test_the_first_fetch(room: Room) -> None:
    outcome, log = await room.fetch()

    assert outcome.result == "success"
    found = await room.environments()
    heads = room.forge.repository.heads()
    main, feature = found["main"], found["feature-a"]
    assert (main.status, main.type, main.is_main, main.parent) == ("active", "production", True, None)
    assert (feature.status, feature.parent, feature.name) == ("inactive", "main", "feature/a")
    assert {each.name: each.head_commit for each in found.values()} == heads
    assert await room.mirror.heads() == heads
    (push,) = await room.activities(kinds.PUSH)
    assert (push.environment_id, push.state, push.parameters["commit"]) == ("main", "pending", heads["main"])
    assert (push.payload["commits_count"], push.payload["commits"][0]["message"]) == (1, "Start")
    assert log == [
        "Created environment main (production) from branch main",
        f"Building environment main at {heads['main'][:7]}",
        "Created environment feature-a (inactive) from branch feature/a",
    ]
    async with room.database.connection() as conn:
        assert (await projects.get(conn, room.project_id)).default_branch == "main"
    integration = await room.integration()
    assert (integration.remote_id, integration.remote_default_branch) == ("{repository-1}", "main")
    assert integration.reconciled_at is not None
    assert integration.next_reconcile_at is not None
    assert timedelta(seconds=280) < integration.next_reconcile_at - now() <= timedelta(seconds=300)


async def test_nothing_changed(room: Room) -> None:
    await room.fetch()
    before = await room.environments()
    room.forge.asked.clear()

    outcome, log = await room.fetch()

    assert (outcome.result, log) == ("success", ["No changes since last fetch"])
    assert await room.environments() == before
    assert room.forge.asked == ["repository", "pulls"]
    assert len(await room.activities(kinds.PUSH)) == 1


async def test_a_push_event_costs_no_api_request(room: Room) -> None:
    await room.fetch()
    pushed = room.forge.repository.commit("main", "again", parent=room.forge.repository.heads()["main"])
    room.forge.asked.clear()
    room.forge.server.seen.clear()

    outcome, _ = await room.hook()

    assert outcome.result == "success"
    assert room.forge.asked == []
    assert len([each for each in room.forge.server.seen if each[0] == "GET"]) <= 2
    assert (await room.environments())["main"].head_commit == pushed
    assert (await room.mirror.heads())["main"] == pushed


async def test_a_newer_push_supersedes_one_that_waits(room: Room) -> None:
    await room.fetch()
    repository = room.forge.repository
    second = repository.commit("main", "two", parent=repository.heads()["main"], message="Two")
    third = repository.commit("main", "three", parent=second, message="Three")

    await room.hook()

    first, last = await room.activities(kinds.PUSH)
    assert (first.state, last.state, last.parameters["commit"]) == ("cancelled", "pending", third)
    assert [each["message"] for each in last.payload["commits"]] == ["Three", "Two"]
    assert last.payload["commits_count"] == 2


async def test_a_push_that_is_being_built_is_left_to_finish(room: Room) -> None:
    await room.fetch()
    (first,) = await room.activities(kinds.PUSH)
    async with room.database.transaction() as conn:
        await conn.execute("update activity set state = 'in_progress', attempt = 1 where id = %s", [first.id])
    room.forge.repository.commit("main", "two")

    await room.hook()

    first, last = await room.activities(kinds.PUSH)
    assert (first.state, first.cancel_requested_at, last.state) == ("in_progress", None, "pending")


async def test_a_pull_request_from_open_to_merge(room: Room) -> None:
    await room.fetch()
    await room.end_activities()
    repository, forge = room.forge.repository, room.forge
    forge.open_pull(7, "feature/a")
    forge.asked.clear()

    await room.hook(7)

    assert forge.asked == ["pull 7"]
    pull = (await room.environments())["pr-7"]
    assert (pull.status, pull.parent, pull.title, pull.is_pull) == ("active", "main", "PR #7: Change 7", True)
    (push,) = [each for each in await room.activities(kinds.PUSH) if each.environment_id == "pr-7"]
    assert push.payload["commits_count"] == 1, "only what the target does not have"
    assert await room.mirror.refs("refs/tieline/pulls/7") == {"refs/tieline/pulls/7": repository.heads()["feature/a"]}

    pushed = repository.commit("feature/a", "better", parent=repository.heads()["feature/a"])
    await room.hook()
    assert (await room.environments())["pr-7"].head_commit == pushed

    repository.commit("base", "base")
    forge.change_pull(7, target_branch="base", title="Better")
    await room.hook(7)
    pull = (await room.environments())["pr-7"]
    assert (pull.parent, pull.title) == ("base", "PR #7: Better")

    forge.change_pull(7, state="merged")
    _, log = await room.hook(7)
    assert log == ["Removing environment pr-7: pull request 7 was merged"]
    assert (await room.environments())["pr-7"].status == "deleting"
    mine = [each for each in await room.activities() if each.environment_id == "pr-7"]
    assert [(each.type, each.state) for each in mine] == [
        (kinds.PUSH, "cancelled"),
        (kinds.PUSH, "cancelled"),
        (kinds.DELETE, "pending"),
    ]


async def test_a_removal_asks_a_running_build_to_end(room: Room) -> None:
    await room.fetch()
    room.forge.open_pull(7, "feature/a")
    await room.hook(7)
    async with room.database.transaction() as conn:
        await conn.execute("update activity set state = 'in_progress', attempt = 1 where environment_id = 'pr-7'")
    room.forge.change_pull(7, state="declined")

    await room.hook(7)

    push, delete = [each for each in await room.activities() if each.environment_id == "pr-7"]
    assert (push.state, push.cancel_requested_at is not None) == ("in_progress", True)
    assert (delete.type, delete.state) == (kinds.DELETE, "pending")


async def test_a_branch_is_deleted_and_comes_back(room: Room) -> None:
    await room.fetch()
    room.forge.repository.delete("feature/a")

    _, log = await room.hook()

    assert log == ["Removing environment feature-a: branch feature/a is gone"]
    assert "feature/a" not in await room.mirror.heads()
    head = room.forge.repository.commit("feature/a", "back")
    await room.hook()
    assert (await room.environments())["feature-a"].status == "deleting"
    await room.finish_removals()
    await room.fetch()
    assert (await room.environments())["feature-a"].head_commit == head
    assert (await room.mirror.heads())["feature/a"] == head


async def test_a_branch_becomes_a_folder_and_a_file_again(room: Room) -> None:
    await room.fetch()
    repository = room.forge.repository
    repository.delete("feature/a")
    repository.commit("feature/a/deep", "deep")
    await room.hook()
    assert set(await room.mirror.heads()) == {"main", "feature/a/deep"}
    repository.delete("feature/a/deep")
    repository.commit("feature", "flat")
    await room.hook()
    assert set(await room.mirror.heads()) == {"main", "feature"}


async def test_a_branch_becomes_a_folder_while_its_environment_stays(room: Room) -> None:
    await room.configure(prune_branches=False)
    await room.fetch()
    room.forge.repository.delete("feature/a")
    room.forge.repository.commit("feature/a/deep", "deep")

    outcome, _ = await room.hook()

    assert outcome.result == "success"
    found = await room.environments()
    assert (found["feature-a"].has_remote, found["feature-a-deep"].has_remote) == (False, True)


async def test_a_fork_waits_for_approval(room: Room) -> None:
    await room.fetch()
    stranger = room.forge.fork("stranger.git")
    head = stranger.commit("topic", "nice", parent=stranger.heads()["main"])
    room.forge.open_pull(3, "topic", fork="stranger.git")

    await room.hook(3)

    pull = (await room.environments())["pr-3"]
    assert (pull.status, pull.awaiting_approval, pull.head_commit) == ("inactive", True, head)
    assert [each for each in await room.activities() if each.environment_id == "pr-3"] == []
    assert await room.mirror.refs("refs/tieline", "refs/sync") == {"refs/tieline/pulls/3": head}

    room.forge.asked.clear()
    await room.fetch()
    assert "fork" not in room.forge.asked, "a head that did not move is not fetched again"

    async with room.database.transaction() as conn:
        await environments.save(conn, room.project_id, "pr-3", status="active", awaiting_approval=False)
    for text in ("nicer", "nicest"):
        head = stranger.commit("topic", text, parent=head)
        room.forge.change_pull(3, head=head[:12])
        await room.hook(3)
        pull = (await room.environments())["pr-3"]
        assert (pull.status, pull.awaiting_approval, pull.head_commit) == ("active", True, head)
        assert await room.mirror.has(head)
    assert [each for each in await room.activities() if each.environment_id == "pr-3"] == [], (
        "each is approved by itself"
    )


async def test_a_fork_that_cannot_be_read_stops_nothing_else(room: Room) -> None:
    await room.fetch()
    stranger = room.forge.fork("stranger.git")
    stranger.commit("topic", "nice")
    room.forge.open_pull(3, "topic", fork="stranger.git")
    room.forge.change_pull(3, source_repository="hidden.git")
    pushed = room.forge.repository.commit("feature/a", "more")

    outcome, log = await room.fetch()

    assert outcome.result == "success"
    assert "The fork of pull request 3 cannot be read: hidden.git is not there, or private." in log
    found = await room.environments()
    assert ("pr-3" in found, found["feature-a"].head_commit) == (False, pushed)


async def test_the_default_branch_moves(room: Room) -> None:
    await room.fetch()
    head = room.forge.repository.commit("trunk", "trunk")
    await room.fetch()
    room.forge.repository.git("symbolic-ref", "HEAD", "refs/heads/trunk")
    room.forge.default_branch = "trunk"
    room.forge.asked.clear()

    await room.hook()

    assert room.forge.asked == ["repository"], "the API confirms what git says of the default branch"
    found = await room.environments()
    trunk, main = found["trunk"], found["main"]
    assert (trunk.type, trunk.is_main, trunk.status, trunk.parent) == ("production", True, "active", None)
    assert (main.type, main.is_main, main.parent) == ("development", False, "trunk")
    assert found["feature-a"].parent == "trunk"
    async with room.database.connection() as conn:
        assert (await projects.get(conn, room.project_id)).default_branch == "trunk"
    pushes = [each for each in await room.activities(kinds.PUSH) if each.environment_id == "trunk"]
    assert [each.parameters["commit"] for each in pushes] == [head]
    (record,) = await room.activities("project.modify.default_branch")
    assert record.state == "complete"
    assert await room.mirror._read("symbolic-ref", "HEAD") == b"refs/heads/trunk\n"


async def test_without_fetch_only_production_is_mirrored(room: Room) -> None:
    await room.configure(fetch_branches=False)
    room.forge.open_pull(1, "feature/a")

    await room.fetch()

    assert sorted(await room.environments()) == ["main", "pr-1"]
    assert set(await room.mirror.heads()) == {"main"}
    assert await room.mirror.has(room.forge.repository.heads()["feature/a"])


async def test_what_a_removed_integration_left_is_followed(room: Room) -> None:
    await room.fetch()
    async with room.database.transaction() as conn:
        await conn.execute("update environment set integration_id = null")
    _, log = await room.fetch()
    assert log == ["Following feature-a, main, left by an earlier integration"]
    assert {each.integration_id for each in (await room.environments()).values()} == {"integration23"}


async def test_a_repository_that_is_empty_and_then_is_not(room: Room) -> None:
    for branch in ("main", "feature/a"):
        room.forge.repository.delete(branch)
    room.forge.default_branch = None
    outcome, log = await room.fetch()
    assert (outcome.result, log) == ("success", ["No changes since last fetch"])
    room.forge.repository.commit("main", "first")
    room.forge.default_branch = "main"
    await room.hook()
    assert (await room.environments())["main"].is_main


async def test_two_thousand_branches(room: Room) -> None:
    head = room.forge.repository.heads()["main"]
    lines = "".join(f"create refs/heads/branch-{number} {head}\n" for number in range(2000))
    room.forge.repository.git("update-ref", "--stdin", stdin=lines.encode())

    outcome, log = await room.fetch()

    assert outcome.result == "success"
    assert len(await room.environments()) == 2002
    assert len(await room.mirror.heads()) == 2002
    assert len(log) == 2003
    began = now()
    _, log = await room.hook()
    assert log == ["No changes since last fetch"]
    assert now() - began < timedelta(seconds=3)


async def test_odd_branches(room: Room) -> None:
    head = room.forge.repository.heads()["main"]
    odd = ["🚀", "Feature/A", "pr-1", "HEAD", "-dash", "x" * 250, "refs/heads/main"]
    for name in odd:
        room.forge.repository.git("update-ref", f"refs/heads/{name}", head)
    outcome, _ = await room.fetch()
    assert outcome.result == "success"
    found = {each.name: each.id for each in (await room.environments()).values()}
    assert found.keys() == {"main", "feature/a", *odd}
    assert set(await room.mirror.heads()) == found.keys()


async def test_a_branch_git_cannot_mirror_is_said(room: Room) -> None:
    head = room.forge.repository.heads()["main"]
    packed = room.forge.repository.path / "packed-refs"
    packed.write_bytes(b"# pack-refs with: peeled fully-peeled sorted \n" + head.encode() + b" refs/heads/caf\xe9\n")
    outcome, log = await room.fetch()
    assert outcome.result == "success"
    assert r"Skipping branch b'caf\xe9': its name cannot be mirrored" in log


async def test_a_person_acts_between_plan_and_step(room: Room) -> None:
    """A plan is a moment old when it is applied: what was deactivated since is not built, what is going stays."""
    await room.fetch()
    await room.end_activities()
    integration = await room.integration()
    async with room.database.transaction() as conn:
        project = await projects.get(conn, room.project_id)
        actor = kinds.integration_actor(integration, "Forge")
        asked = await activities.create(conn, kinds.register_hooks(project, integration, "Forge", actor))
        await activities.begin(conn, asked.id)
        begun = await activities.begin(conn, asked.id)
        await environments.set_status(conn, room.project_id, "main", "inactive")
        await environments.set_status(conn, room.project_id, "feature-a", "deleting")
    assert begun is not None
    head = room.forge.repository.heads()["main"]
    applier = Applier(room.database, Target(project, integration, room.mirror, begun, actor), {}, Lines())

    steps = (
        Push("main", "main", None, head),
        Push("feature-a", "feature/a", None, head),
        UpdateHeads({"feature-a": head}),
        RemoveEnvironment("feature-a", "it is gone"),
        RemoveEnvironment("main", "it is gone"),
        Retarget("nowhere", "main"),
    )
    await applier.apply(Plan(steps))

    found = await room.environments()
    assert (found["main"].status, found["main"].head_commit) == ("inactive", head)
    assert found["feature-a"].head_commit != head
    assert len(await room.activities(kinds.PUSH)) == 1
    assert await room.activities(kinds.DELETE) == []


async def test_a_repository_is_tidied_when_it_is_worn(room: Room) -> None:
    await room.fetch()
    assert await waiting_maintenance(room) == [{"project_id": room.project_id}]
    await room.work.maintain(room.project_id)
    assert not await room.mirror.is_worn()
    assert await room.mirror.heads() == room.forge.repository.heads()


async def waiting_maintenance(room: Room) -> list[dict[str, str]]:
    async with room.database.connection() as conn:
        cursor = await conn.execute("select args from procrastinate_jobs where task_name = 'maintain'")
        return [row["args"] for row in await cursor.fetchall()]
