"""What happens in the activities of an environment: its commit is built and deployed, or it is taken down."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tieline.activities.log import Superseded
from tieline.activities.runner import failure_reason_of
from tieline.activities.steps import Steps
from tieline.activities.trees import tree_of
from tieline.core import kinds
from tieline.core.clock import now
from tieline.core.deployments import deployment_of, render_deployed
from tieline.core.documents import JSON, Activity, Commit, Deployment, Environment, Project
from tieline.core.errors import Cancelled, Conflict, DeployFailed
from tieline.core.ports import ActivityHandler, Deployer, DeploySubject, Log, OrderWriter, Outcome
from tieline.core.wire import render_environment, without_passwords
from tieline.git.folders import remove_folder
from tieline.git.mirror import Repositories
from tieline.git.refs import HEADS, RefUpdate, pull_ref
from tieline.store import activities, due, environments, integrations, projects
from tieline.store.database import Connection, Database
from tieline.store.seal import SecretBox

Work = Callable[[Activity, Steps], Awaitable[None]]


@dataclass(frozen=True)
class Workshop:
    """What environments are built with. `trees` is a folder for checkouts, on this machine alone.

    `bring_commits` fetches what an integration's Git host has into this machine's repository: the machine that
    noticed a commit need not be the one that builds it.
    """

    db: Database
    box: SecretBox
    repositories: Repositories
    deployer: Deployer
    write_order: OrderWriter
    trees: Path
    bring_commits: Callable[[str], Awaitable[None]]


class EnvironmentActivities:
    """The handlers of everything that happens to one environment."""

    def __init__(self, workshop: Workshop) -> None:
        self._shop = workshop

    def handlers(self) -> Mapping[str, ActivityHandler]:
        """By type of activity."""
        return {
            kinds.PUSH: self._handler(self._push),
            kinds.ACTIVATE: self._handler(self._activate),
            kinds.RESUME: self._handler(self._activate),
            kinds.REDEPLOY: self._handler(self._redeploy),
            kinds.SYNCHRONIZE: self._handler(self._synchronize),
            kinds.PAUSE: self._handler(self._pause),
            kinds.DEACTIVATE: self._handler(self._deactivate),
            kinds.DELETE: self._delete,
        }

    def _handler(self, work: Work) -> ActivityHandler:
        async def handle(activity: Activity, log: Log) -> Outcome:
            subject = await self._load(activity)
            if subject.environment.status == "deleting":
                raise Cancelled("The environment is being removed, so nothing is done.")
            return await self._run(activity, self._steps(subject, log), work)

        return handle

    async def _run(self, activity: Activity, steps: Steps, work: Work) -> Outcome:
        try:
            await work(activity, steps)
        except DeployFailed as error:
            await steps.log.write(str(error))
            outcome = Outcome("failure", failure_reason_of(error))
        else:
            outcome = Outcome()
        payload = await self._payload(activity, steps.subject.project, is_changed=outcome.result == "success")
        return replace(outcome, timings=steps.timings, payload=payload, commands=tuple(steps.commands))

    async def _payload(self, activity: Activity, project: Project, *, is_changed: bool) -> JSON:
        """What the activity tells of the environment when it ends: how it is, if that changed, and what runs."""
        environment = await self._find(activity)
        if environment is None:
            return {}
        deployment = deployment_of(environment)
        return {
            **({"environment": without_passwords(render_environment(environment, project))} if is_changed else {}),
            **({"deployment": render_deployed(environment, deployment, project)} if deployment else {}),
        }

    async def _push(self, activity: Activity, steps: Steps) -> None:
        status = steps.subject.environment.status
        if status in ("inactive", "paused"):
            raise Cancelled(f"The environment is {status}, so this commit is not built.")
        await self._build_and_deploy(activity, steps)

    async def _activate(self, activity: Activity, steps: Steps) -> None:
        await self._build_and_deploy(activity, steps)
        await self._save(activity, status="active")
        await self._catch_up(activity, steps)

    async def _catch_up(self, activity: Activity, steps: Steps) -> None:
        """Have built, or approved, what was pushed meanwhile: nobody builds for an environment that is not active."""
        built = required_commit(steps.subject)
        environment = await self._find(activity)
        if environment is None or not is_behind(environment, built):
            return
        commits, total = await self._commits(environment, built)
        actor = kinds.actor_of(activity)
        async with self._shop.db.transaction() as conn:
            current = await environments.get(conn, activity.project_id, environment.id, lock=True)
            key = kinds.environment_key(current.project_id, current.id)
            if is_behind(current, built) and current.pull is not None and current.pull.is_fork:
                # The approval was for the commit that was built.
                await environments.save(conn, current.project_id, current.id, awaiting_approval=True)
            elif is_behind(current, built) and await activities.pending_of(conn, key, kinds.PUSH) is None:
                push = kinds.push(steps.subject.project, current, commits, total, actor, {"old_commit": built})
                await activities.create(conn, push)
            await _require_current(conn, activity)

    async def _commits(self, environment: Environment, built: str) -> tuple[Sequence[Commit], int]:
        repository, head = self._shop.repositories.open(environment.project_id), environment.head_commit or built
        return await repository.commits(built, head) if await repository.has(head) else ((), 0)

    async def _redeploy(self, activity: Activity, steps: Steps) -> None:
        if steps.subject.environment.deployment is None:
            await self._build_and_deploy(activity, steps)
            return
        async with self._tree(activity, steps) as tree:
            await self._deploy(activity, steps, tree)

    async def _synchronize(self, activity: Activity, steps: Steps) -> None:
        parent = steps.subject.parent
        if parent is None:
            raise Conflict("The environment has no parent to copy data from.")
        if parent.deployment is None or steps.subject.environment.deployment is None:
            raise Conflict(f"Both {steps.subject.environment.id} and {parent.id} must be deployed to copy data.")
        await self._sync_data(activity, steps, parent)

    async def _pause(self, activity: Activity, steps: Steps) -> None:
        await steps.run("pause")
        await self._save(activity, status="paused")

    async def _deactivate(self, activity: Activity, steps: Steps) -> None:
        await steps.run("delete")
        await self._save(activity, status="inactive", deployment=None, data_synced_at=None)

    async def _build_and_deploy(self, activity: Activity, steps: Steps) -> None:
        async with self._tree(activity, steps) as tree:
            await self._sync_data_before_build(activity, steps)
            await steps.run("build", tree)
            await self._deploy(activity, steps, tree)

    async def _sync_data_before_build(self, activity: Activity, steps: Steps) -> None:
        environment, parent = steps.subject.environment, steps.subject.parent
        if parent is None or not (starts_as_copy(environment) or await self._resyncs(environment)):
            return
        if parent.deployment is None:
            await steps.log.write(f"The parent {parent.id} is not deployed yet, so there is no data to copy from it.")
            return
        await self._sync_data(activity, steps, parent)

    async def _sync_data(self, activity: Activity, steps: Steps, parent: Environment) -> None:
        await steps.log.write(f"Copying data from {parent.id}")
        await steps.run("sync-data")
        await self._save(activity, data_synced_at=now())

    async def _deploy(self, activity: Activity, steps: Steps, tree: Path) -> None:
        answer = await steps.run("deploy", tree)
        former = steps.subject.environment.deployment
        urls = answer.urls or (former.urls if former else ())
        deployment = Deployment(commit=required_commit(steps.subject), urls=urls, deployed_at=now())
        await self._save(activity, deployment=deployment, last_active_at=deployment.deployed_at)
        for url in deployment.urls:
            await steps.log.write(f"Environment URL: {url}")

    async def _resyncs(self, environment: Environment) -> bool:
        if not environment.is_pull or environment.integration_id is None:
            return False
        async with self._shop.db.connection() as conn:
            integration = await integrations.find_any(conn, self._shop.box, environment.integration_id)
        return integration is not None and bool(integration.config.get("resync_pull_requests"))

    async def _delete(self, activity: Activity, log: Log) -> Outcome:
        """Take it down, then forget it; running it twice is fine."""
        environment = await self._find(activity)
        if environment is None:
            await log.write("The environment is gone already.")
            return Outcome()
        steps = self._steps(await self._load(activity), log)
        outcome = await self._run(activity, steps, self._take_down)
        if outcome.result == "failure":
            # Not left as `deleting`: the next reconcile sees it again and tries to remove it again.
            await self._save(activity, status="inactive")
            return outcome
        await self._remove_ref(environment)
        await self._forget(activity, environment)
        return outcome

    async def _take_down(self, activity: Activity, steps: Steps) -> None:
        if await self._was_ever_up(activity, steps.subject.environment):
            await steps.run("delete")

    async def _was_ever_up(self, activity: Activity, environment: Environment) -> bool:
        if environment.deployment or environment.last_active_at or environment.data_synced_at:
            return True
        async with self._shop.db.connection() as conn:
            return await activities.ever_began(conn, activity.project_id, environment.id)

    async def _remove_ref(self, environment: Environment) -> None:
        repository = self._shop.repositories.open(environment.project_id)
        ref = ref_of(environment)
        if ref in await repository.refs(ref):
            await repository.move([RefUpdate(ref, None, None)])

    async def _forget(self, activity: Activity, environment: Environment) -> None:
        async with self._shop.db.transaction() as conn:
            await environments.remove(conn, environment.project_id, environment.id)
            if environment.integration_id is not None:
                await _reconcile_soon(conn, environment.integration_id)
            await _require_current(conn, activity)

    def _steps(self, subject: DeploySubject, log: Log) -> Steps:
        return Steps(self._shop.deployer, self._shop.write_order, subject, log)

    async def _find(self, activity: Activity) -> Environment | None:
        async with self._shop.db.connection() as conn:
            return await environments.find(conn, activity.project_id, activity.environment_id or "")

    async def _load(self, activity: Activity) -> DeploySubject:
        async with self._shop.db.connection() as conn:
            project = await projects.get(conn, activity.project_id)
            environment = await environments.get(conn, project.id, activity.environment_id or "")
            parent = await environments.find(conn, project.id, environment.parent) if environment.parent else None
        return DeploySubject(project, environment, parent, kinds.commit_of(activity, environment), activity.id)

    async def _save(self, activity: Activity, **columns: object) -> None:
        """Change the environment, as long as this attempt still counts."""
        async with self._shop.db.transaction() as conn:
            environment_id = activity.environment_id or ""
            current = await environments.get(conn, activity.project_id, environment_id, lock=True)
            if has_other_plans(current, activity):
                columns = {name: value for name, value in columns.items() if name != "status"}
            if columns:
                await environments.save(conn, activity.project_id, environment_id, **columns)
            await _require_current(conn, activity)

    @asynccontextmanager
    async def _tree(self, activity: Activity, steps: Steps) -> AsyncIterator[Path]:
        """The files of the commit, in a folder that is removed afterwards."""
        commit = required_commit(steps.subject)
        tree = tree_of(self._shop.trees, activity)
        await remove_folder(tree.parent)
        try:
            await steps.log.write(f"Checking out {commit}")
            await self._checkout(steps.subject.environment, commit, tree)
            yield tree
        finally:
            await remove_folder(tree.parent)

    async def _checkout(self, environment: Environment, commit: str, tree: Path) -> None:
        repository = self._shop.repositories.open(environment.project_id)
        if not await repository.has(commit) and environment.integration_id is not None:
            await self._shop.bring_commits(environment.integration_id)
        if not await repository.has(commit):
            raise DeployFailed(f"The commit {commit} is not to be had any more: it is gone from the Git host.")
        await repository.checkout(commit, tree)


def starts_as_copy(environment: Environment) -> bool:
    """Whether its first deployment begins with the data of its parent."""
    return environment.deployment is None and environment.clone_parent_on_create


def is_behind(environment: Environment, built: str) -> bool:
    """Whether it runs, and follows another commit than the one that was built."""
    follows = environment.status == "active" and not environment.awaiting_approval
    return follows and environment.head_commit not in (None, built)


def has_other_plans(environment: Environment, activity: Activity) -> bool:
    """Whether its status was decided by somebody else meanwhile: it goes."""
    return environment.status == "deleting" and activity.type != kinds.DELETE


def ref_of(environment: Environment) -> str:
    """The ref of ours that follows the environment's commits."""
    return HEADS + environment.name if environment.pull is None else pull_ref(environment.pull.number)


def required_commit(subject: DeploySubject) -> str:
    """Raises `Conflict` when there is nothing to build."""
    if subject.commit is None:
        raise Conflict(f"The environment {subject.environment.id} has no commit to build yet.")
    return subject.commit


async def _require_current(conn: Connection, activity: Activity) -> None:
    if not await activities.is_current(conn, activity):
        raise Superseded("Another attempt runs this activity now, or it has ended.")


async def _reconcile_soon(conn: Connection, integration_id: str) -> None:
    """The branch may have come back while its environment was being removed."""
    await integrations.save_state(conn, integration_id, next_reconcile_at=now())
    await due.wake_probe(conn, integration_id)
