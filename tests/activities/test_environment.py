"""Environments that are built, taken down and removed, by a real deployer from a real repository."""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.activities.conftest import BOX, World
from tests.git.repository import HostedRepository
from tests.unit.core.samples import ANN, INTEGRATION, MAIN, PROJECT, PULL
from tieline.activities.environment import EnvironmentActivities, Workshop, ref_of
from tieline.activities.runner import Runner
from tieline.activities.trees import prepare_trees, remove_abandoned, tree_of
from tieline.core import kinds
from tieline.core.documents import Activity, Deployment, Environment, NewActivity
from tieline.core.ports import Outcome
from tieline.core.redact import Redactor
from tieline.deploy.command import CommandDeployer, Limits
from tieline.deploy.document import render_order
from tieline.git.mirror import Repositories
from tieline.net.client import GuardedClient
from tieline.net.egress import Policy, parse_networks
from tieline.store import activities, environments, integrations

DEPLOYER = """
import json, os, sys, time
order = json.load(sys.stdin)
tree = order["tree"]
with open(RECORD, "a") as record:
    files = sorted(os.listdir(tree)) if tree else None
    record.write(json.dumps({**order, "argument": sys.argv[1], "files": files, "pid": os.getpid()}) + "\\n")
print(sys.argv[1] + " of " + order["environment"]["id"], flush=True)
if tree and os.path.exists(tree + "/secret"):
    print("the secret is " + open(tree + "/secret").read())
if tree and os.path.exists(tree + "/wait"):
    time.sleep(600)
if os.path.exists(FAIL + sys.argv[1]):
    sys.exit(4)
if sys.argv[1] == "deploy":
    print(json.dumps({"urls": ["http://" + order["environment"]["id"] + ".localhost/"]}))
"""


@dataclass
class Site:
    """The world with a repository and a deployer."""

    world: World
    folder: Path
    repositories: Repositories
    runner: Runner
    hosted: list[str]
    """Repositories that hold what the Git host has and this machine has not."""

    @property
    def repository(self) -> HostedRepository:
        return HostedRepository(self.repositories.open(PROJECT.id).path)

    def orders(self) -> list[dict[str, Any]]:
        record = self.folder / "record"
        return [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []

    def actions(self) -> list[str]:
        return [order["argument"] for order in self.orders()]

    def fail(self, action: str) -> None:
        (self.folder / f"fail-{action}").touch()

    async def commit(self, environment: Environment, **files: str) -> Environment:
        """The environment at a new commit with these files."""
        await self.repositories.open(PROJECT.id).refs("refs/heads")
        sha = self.repository.commit_tree(files or {"index.html": "hello"})
        self.repository.point(ref_of(environment), sha)
        return await self.save(environment.id, head_commit=sha)

    async def save(self, environment_id: str, **columns: Any) -> Environment:
        async with self.world.db.transaction() as conn:
            await environments.save(conn, PROJECT.id, environment_id, **columns)
            return await environments.get(conn, PROJECT.id, environment_id)

    async def deployed(self, environment: Environment) -> Environment:
        return await self.save(environment.id, deployment=Deployment("d" * 40, ("http://former/",), PROJECT.created_at))

    async def run(self, new: NewActivity) -> Activity:
        created = await self.world.create(new)
        await self.runner.run(created.id)
        return await self.world.activity(created)

    async def push(self, environment: Environment) -> Activity:
        return await self.run(kinds.push(PROJECT, environment, [], 1, ANN))


@pytest.fixture
async def site(world: World, tmp_path: Path) -> Any:
    executable = tmp_path / "deployer"
    constants = f"RECORD = {str(tmp_path / 'record')!r}\nFAIL = {str(tmp_path / 'fail-')!r}"
    executable.write_text(f"#!{sys.executable}\n{constants}\n{DEPLOYER}")
    executable.chmod(0o755)
    client = GuardedClient(Policy(parse_networks("127.0.0.0/8")), "tieline-test")

    async def resolve(_host: str, _port: int) -> str:
        raise AssertionError("activities reach no host")

    async def redactor_of(_activity: Activity) -> Redactor:
        return Redactor(["hunter22"])

    repositories = Repositories(tmp_path / "repositories", resolve, client)
    hosted: list[str] = []

    async def bring_commits(integration_id: str) -> None:
        """What another machine has fetched already."""
        assert integration_id == INTEGRATION.id
        for path in hosted:
            HostedRepository(repositories.open(PROJECT.id).path).git("fetch", "--quiet", path, "main")

    deployer = CommandDeployer(executable, tmp_path / "runs", Limits(seconds=30, grace_seconds=0.5, linger_seconds=0.2))
    shop = Workshop(world.db, BOX, repositories, deployer, render_order, tmp_path / "trees", bring_commits)
    runner = Runner(world.db, world.signals, EnvironmentActivities(shop).handlers(), redactor_of)
    yield Site(world, tmp_path, repositories, runner, hosted)
    await client.close()
    assert list((tmp_path / "trees").glob("*")) == []


async def test_the_first_build_of_a_pull_request_starts_with_its_parents_data(site: Site) -> None:
    await site.deployed(MAIN)
    pull = await site.commit(PULL, **{"index.html": "hello", "app.py": "pass"})
    done = await site.push(pull)
    assert (done.result, done.failure_reason) == ("success", None)
    assert site.actions() == ["sync-data", "build", "deploy"]
    sync, build, deploy = site.orders()
    assert (sync["parent"]["id"], sync["tree"]) == ("main", None)
    assert build["files"] == ["app.py", "index.html"]
    assert build["tree"] == deploy["tree"]
    assert deploy["commit"] == pull.head_commit
    assert done.timings.keys() == {"wait", "sync_data", "build", "deploy", "execute"}
    assert [command["exit_code"] for command in done.commands] == [0, 0, 0]
    assert done.payload["deployment"]["urls"] == ["http://pr-7.localhost/"]
    assert done.payload["deployment"]["routes"]["http://pr-7.localhost/"]["primary"] is True
    assert done.payload["environment"]["has_deployment"] is True
    now = await site.world.environment("pr-7")
    assert now is not None
    assert now.deployment is not None
    assert (now.deployment.commit, now.deployment.urls) == (pull.head_commit, ("http://pr-7.localhost/",))
    assert now.data_synced_at is not None
    text = await site.world.text(done)
    assert "Copying data from main\nsync-data of pr-7\n" in text
    assert text.endswith("Environment URL: http://pr-7.localhost/\n")


@pytest.mark.parametrize(
    ("resync", "expected"), [(False, ["build", "deploy"]), (True, ["sync-data", "build", "deploy"])]
)
async def test_later_builds_copy_data_again_only_when_asked_to(site: Site, resync: bool, expected: list[str]) -> None:  # noqa: FBT001
    async with site.world.db.transaction() as conn:
        config = {**INTEGRATION.config, "resync_pull_requests": resync}
        await integrations.update(conn, BOX, INTEGRATION, config=config)
    await site.deployed(MAIN)
    pull = await site.commit(await site.deployed(PULL))
    assert (await site.push(pull)).result == "success"
    assert site.actions() == expected


async def test_data_is_not_copied_when_the_field_is_off(site: Site) -> None:
    await site.deployed(MAIN)
    await site.save("pr-7", clone_parent_on_create=False)
    await site.push(await site.commit(PULL))
    assert site.actions() == ["build", "deploy"]


async def test_there_is_nothing_to_copy_from_a_parent_that_is_not_deployed(site: Site) -> None:
    done = await site.push(await site.commit(PULL))
    assert site.actions() == ["build", "deploy"]
    assert "main is not deployed yet" in await site.world.text(done)


async def test_a_failed_build_keeps_the_former_deployment(site: Site) -> None:
    main = await site.commit(await site.deployed(MAIN))
    site.fail("build")
    done = await site.push(main)
    assert (done.state, done.result, done.failure_reason) == ("complete", "failure", "shell")
    assert done.commands == ({"app": "main", "type": "build", "exit_code": 4},)
    assert "build" in done.timings
    assert done.payload["deployment"]["urls"] == ["http://former/"]
    assert (await site.world.text(done)).endswith("The deployer's build ended with exit status 4.\n")
    now = await site.world.environment("main")
    assert now is not None
    assert now.deployment is not None
    assert now.deployment.urls == ("http://former/",)


async def test_a_commit_that_is_not_there_fails_with_a_sentence(site: Site) -> None:
    await site.repositories.open(PROJECT.id).refs("refs/heads")
    done = await site.push(await site.save("main", head_commit="f" * 40))
    assert (done.result, done.failure_reason) == ("failure", "error")
    assert site.orders() == []


async def test_what_a_killed_worker_checked_out_goes_when_its_activity_is_over(site: Site) -> None:
    trees = prepare_trees(site.folder / "trees")
    assert trees.stat().st_mode & 0o777 == 0o700
    push = await site.world.push(MAIN)
    async with site.world.db.transaction() as conn:
        running = await activities.begin(conn, push.id)
    assert running is not None
    for folder in (tree_of(trees, running), trees / "of-nobody" / "1"):
        folder.mkdir(parents=True)
        (folder / "index.html").touch()

    await remove_abandoned(trees, site.world.db)
    assert [each.name for each in trees.iterdir()] == [push.id]
    async with site.world.db.transaction() as conn:
        await activities.finish(conn, running, Outcome())
    await remove_abandoned(trees, site.world.db)
    assert list(trees.iterdir()) == []


async def test_a_tree_of_a_thousand_levels_is_built_and_cleared_away(site: Site) -> None:
    main = await site.commit(MAIN)
    deep = f"M 100644 inline {'d/' * 1500}file\ndata 1\nx\n"
    commit = f"commit refs/heads/main\ncommitter Ada <ada@example.com> 1 +0000\ndata 1\nx\n{deep}"
    site.repository.git("fast-import", "--quiet", "--force", stdin=commit.encode())
    main = await site.save("main", head_commit=site.repository.heads()["main"])
    assert (await site.push(main)).result == "success"
    assert site.orders()[-1]["files"] == ["d"]


@pytest.mark.parametrize("status", ["inactive", "paused", "deleting"])
async def test_an_environment_that_does_not_run_is_not_built(site: Site, status: str) -> None:
    main = await site.commit(MAIN)
    created = await site.world.push(main)
    await site.save("main", status=status)
    await site.runner.run(created.id)
    assert (await site.world.activity(created)).state == "cancelled"
    assert site.orders() == []


async def test_activation_builds_and_deploys(site: Site) -> None:
    await site.save("main", status="inactive")
    main = await site.commit(MAIN)
    done = await site.run(kinds.activate(PROJECT, main, ANN))
    assert done.result == "success"
    assert site.actions() == ["build", "deploy"]
    assert done.payload["environment"]["status"] == "active"
    now = await site.world.environment("main")
    assert now is not None
    assert (now.status, now.has_remote) == ("active", True)


async def test_a_failed_activation_leaves_it_inactive(site: Site) -> None:
    await site.save("main", status="inactive")
    site.fail("deploy")
    done = await site.run(kinds.activate(PROJECT, await site.commit(MAIN), ANN))
    assert "deployment" not in done.payload
    now = await site.world.environment("main")
    assert now is not None
    assert (now.status, now.deployment) == ("inactive", None)


async def test_there_is_nothing_to_activate_without_a_commit(site: Site) -> None:
    empty = await site.save("main", head_commit=None, status="inactive")
    done = await site.run(kinds.activate(PROJECT, empty, ANN))
    assert done.result == "failure"
    assert "no commit" in await site.world.text(done)


async def test_down_and_up_again(site: Site) -> None:
    main = await site.commit(MAIN)
    await site.push(main)

    async def status_after(make: Callable[..., NewActivity]) -> tuple[str, bool]:
        now = await site.world.environment("main")
        assert now is not None
        assert (await site.run(make(PROJECT, now, ANN))).result == "success"
        now = await site.world.environment("main")
        assert now is not None
        return now.status, now.deployment is not None

    assert await status_after(kinds.redeploy) == ("active", True)
    assert await status_after(kinds.pause) == ("paused", True)
    assert await status_after(kinds.resume) == ("active", True)
    assert await status_after(kinds.deactivate) == ("inactive", False)
    assert site.actions() == ["build", "deploy", "deploy", "pause", "build", "deploy", "delete"]


async def test_a_redeploy_never_brings_back_what_was_deployed_when_it_was_asked_for(site: Site) -> None:
    first = await site.commit(MAIN, a="1")
    await site.push(first)
    second = await site.commit(MAIN, b="2")
    push = await site.world.create(kinds.push(PROJECT, second, [], 1, ANN))
    redeploy = await site.world.create(kinds.redeploy(PROJECT, second, ANN))
    assert redeploy.parameters["commit"] == first.head_commit

    await site.runner.run(push.id)
    await site.runner.run(redeploy.id)

    assert [order["commit"] for order in site.orders()] == [first.head_commit] * 2 + [second.head_commit] * 3


async def test_what_was_pushed_while_an_environment_was_being_activated_is_built_next(site: Site) -> None:
    first = await site.commit(await site.save("pr-7", status="inactive"), a="1")
    activation = await site.world.create(kinds.activate(PROJECT, first, ANN))
    second = await site.commit(PULL, b="2")

    await site.runner.run(activation.id)

    async with site.world.db.connection() as conn:
        push = await activities.pending_of(conn, kinds.environment_key(PROJECT.id, "pr-7"), kinds.PUSH)
    assert push is not None
    assert push.parameters["commit"] == second.head_commit
    assert push.payload["user"] == activation.payload["user"]
    await site.runner.run(push.id)
    found = await site.world.environment("pr-7")
    assert found is not None
    assert found.deployment is not None
    assert found.deployment.commit == second.head_commit


async def test_what_a_fork_pushed_during_its_activation_waits_for_approval(site: Site) -> None:
    assert PULL.pull is not None
    fork = await site.save("pr-7", status="inactive", pull=replace(PULL.pull, is_fork=True))
    approved = await site.commit(fork, a="1")
    activation = await site.world.create(kinds.activate(PROJECT, approved, ANN))
    await site.commit(fork, b="2")

    await site.runner.run(activation.id)

    found = await site.world.environment("pr-7")
    assert found is not None
    assert found.deployment is not None
    assert (found.awaiting_approval, found.deployment.commit) == (True, approved.head_commit)
    async with site.world.db.connection() as conn:
        assert await activities.open_of(conn, kinds.environment_key(PROJECT.id, "pr-7")) == []


async def test_a_commit_that_another_machine_noticed_is_fetched_and_built(site: Site, tmp_path: Path) -> None:
    elsewhere = HostedRepository.create(tmp_path / "elsewhere.git")
    commit = elsewhere.commit_tree({"index.html": "hello"})
    elsewhere.point("refs/heads/main", commit)
    await site.save("main", head_commit=commit)
    main = await site.world.environment("main")
    assert main is not None

    failed = await site.push(main)
    assert (failed.result, failed.failure_reason) == ("failure", "error")
    assert f"The commit {commit} is not to be had any more" in await site.world.text(failed)

    site.hosted.append(str(elsewhere.path))
    assert (await site.push(main)).result == "success"
    assert [order["files"] for order in site.orders()] == [["index.html"]] * 2


async def test_an_approved_commit_is_deployed_although_a_newer_one_waits(site: Site) -> None:
    pull = await site.commit(PULL)
    await site.save("pr-7", status="inactive")
    approved = await site.world.create(kinds.activate(PROJECT, pull, ANN))
    await site.save("pr-7", awaiting_approval=True, head_commit="f" * 40)

    await site.runner.run(approved.id)

    found = await site.world.environment("pr-7")
    assert found is not None
    assert found.deployment is not None
    assert (found.status, found.awaiting_approval, found.deployment.commit) == ("active", True, pull.head_commit)


async def test_synchronize_copies_data_between_two_that_are_deployed(site: Site) -> None:
    await site.deployed(MAIN)
    assert (await site.run(kinds.synchronize(PROJECT, PULL, ANN))).result == "failure"
    assert (await site.run(kinds.synchronize(PROJECT, await site.deployed(PULL), ANN))).result == "success"
    assert (await site.run(kinds.synchronize(PROJECT, MAIN, ANN))).result == "failure"
    assert site.actions() == ["sync-data"]


async def test_a_removed_environment_leaves_nothing(site: Site) -> None:
    pull = await site.commit(await site.deployed(PULL))
    await site.save("main", parent="pr-7")
    await site.save("pr-7", status="deleting", parent=None)
    created = await site.world.create(kinds.delete(PROJECT, pull, ANN))
    await site.runner.run(created.id)
    assert (await site.world.activity(created)).result == "success"
    assert site.actions() == ["delete"]
    assert await site.world.environment("pr-7") is None
    assert await site.repositories.open(PROJECT.id).refs("refs/tieline") == {}
    child = await site.world.environment("main")
    assert child is not None
    assert child.parent is None
    async with site.world.db.connection() as conn:
        integration = await integrations.get(conn, BOX, PROJECT.id, INTEGRATION.id)
    assert integration.next_reconcile_at is not None
    assert [job["args"] for job in await site.world.jobs("probe")] == [{"integration_id": INTEGRATION.id}]


async def test_a_removal_that_was_cut_off_is_finished_by_the_next_attempt(site: Site) -> None:
    created = await site.world.create(kinds.delete(PROJECT, PULL, ANN))
    async with site.world.db.transaction() as conn:
        await activities.begin(conn, created.id)
        await environments.remove(conn, PROJECT.id, "pr-7")
    await site.runner.run(created.id)
    assert (await site.world.activity(created)).result == "success"
    assert "gone already" in await site.world.text(created)


async def test_the_deployer_is_not_asked_to_delete_what_it_never_saw(site: Site) -> None:
    await site.run(kinds.delete(PROJECT, await site.commit(PULL), ANN))
    assert site.orders() == []
    assert await site.world.environment("pr-7") is None


async def test_what_a_failed_build_left_behind_is_deleted_too(site: Site) -> None:
    site.fail("build")
    pull = await site.commit(PULL)
    await site.push(pull)
    await site.run(kinds.delete(PROJECT, pull, ANN))
    assert site.actions() == ["build", "delete"]


async def test_a_failed_removal_can_be_tried_again(site: Site) -> None:
    pull = await site.commit(await site.deployed(PULL))
    await site.save("pr-7", status="deleting")
    site.fail("delete")
    assert (await site.run(kinds.delete(PROJECT, pull, ANN))).result == "failure"
    left = await site.world.environment("pr-7")
    assert left is not None
    assert left.status == "inactive"
    (site.folder / "fail-delete").unlink()
    assert (await site.run(kinds.delete(PROJECT, left, ANN))).result == "success"
    assert await site.world.environment("pr-7") is None


async def running(site: Site, environment: Environment) -> tuple[Activity, asyncio.Task[None]]:
    created = await site.world.push(environment)
    task = asyncio.create_task(site.runner.run(created.id))
    await site.world.wait_for_text(created, "build of main\n")
    return created, task


async def test_cancelling_ends_the_deployer(site: Site) -> None:
    created, task = await running(site, await site.commit(MAIN, wait=""))
    async with site.world.db.transaction() as conn:
        await activities.cancel(conn, PROJECT.id, created.id)
    async with asyncio.timeout(5):
        await task
    assert (await site.world.activity(created)).state == "cancelled"
    now = await site.world.environment("main")
    assert now is not None
    assert now.deployment is None


async def test_a_worker_that_stops_takes_its_deployer_with_it_and_the_next_starts_over(site: Site) -> None:
    created, task = await running(site, await site.commit(MAIN, wait=""))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await site.world.activity(created)).state == "in_progress"
    (first,) = site.orders()
    assert not await asyncio.to_thread(Path(f"/proc/{first['pid']}").exists)
    second = asyncio.create_task(site.runner.run(created.id))
    await site.world.wait_for_text(created, "(attempt 2).\nChecking out")
    async with site.world.db.transaction() as conn:
        await activities.cancel(conn, PROJECT.id, created.id)
    await second
    assert (await site.world.activity(created)).state == "cancelled"


async def test_secrets_that_a_deployer_prints_are_masked(site: Site) -> None:
    done = await site.push(await site.commit(MAIN, secret="hunter22"))
    text = await site.world.text(done)
    assert "the secret is ********\n" in text
    assert "hunter22" not in text


async def test_a_status_that_somebody_else_decided_meanwhile_stays(site: Site) -> None:
    await site.save("main", status="inactive")
    main = await site.commit(MAIN, wait="")
    created = await site.world.create(kinds.activate(PROJECT, main, ANN))
    task = asyncio.create_task(site.runner.run(created.id))
    await site.world.wait_for_text(created, "build of main\n")
    await site.save("main", status="deleting")
    async with site.world.db.transaction() as conn:
        await activities.request_cancel(conn, created)
    await task
    now = await site.world.environment("main")
    assert now is not None
    assert now.status == "deleting"
