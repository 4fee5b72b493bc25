"""Make a plan so: refs first, then one transaction per step.

Why that order: plans come from comparing rows with the host. Killed between the refs and the rows, the next
reconcile plans the same steps again and finds the refs in place. With the rows first it would plan nothing, and
the refs, or the very commits that are to be built, would be missing for good.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from tieline.core import kinds
from tieline.core.documents import Activity, Actor, Commit, Environment, Integration, Project, PruneHold
from tieline.core.errors import Cancelled, NotFound
from tieline.core.ports import Log
from tieline.git.mirror import Mirror
from tieline.store import activities, environments, integrations, projects
from tieline.store.database import Connection, Database
from tieline.sync import steps
from tieline.sync.scene import is_running

SHOWN_COMMITS: Final = kinds.SHOWN_COMMITS
CHANGED_MEANWHILE: Final = "The integration was changed while the host was read. The next fetch goes by its new fields."
Commits = tuple[Sequence[Commit], int]


@dataclass(frozen=True)
class Target:
    """What a plan is applied to, and in whose name.

    Every transaction is rolled back if `activity` is not current any more, or `integration` another one by now.
    """

    project: Project
    integration: Integration
    mirror: Mirror
    activity: Activity
    actor: Actor


@dataclass
class Applier:
    """Applies the steps of one plan. `heads` are the host's branches, to count a pull request's own commits."""

    db: Database
    target: Target
    heads: Mapping[str, str]
    log: Log

    async def apply(self, plan: steps.Plan) -> None:
        """Raises `Cancelled` when another worker has taken over, or somebody changed the integration."""
        for step in plan.steps:
            commits = await self._commits(step)
            async with self.db.transaction() as conn:
                await self._apply(conn, step, commits)
                await self._fence(conn)
            for line in step.lines():
                await self.log.write(line)

    async def _fence(self, conn: Connection) -> None:
        """Last in each transaction: whoever changes activities has taken their lock by then."""
        if not await activities.is_current(conn, self.target.activity):
            raise Cancelled("Another worker has taken over.")
        if not await integrations.is_unchanged(conn, self.target.integration):
            raise Cancelled(CHANGED_MEANWHILE)

    async def _commits(self, step: steps.Step) -> Commits:
        """The commits that a step brings, read before its transaction begins."""
        match step:
            case steps.Push():
                return await self.target.mirror.commits(step.old, step.new, SHOWN_COMMITS)
            case steps.FollowDefaultBranch() if step.push is not None:
                return await self.target.mirror.commits(step.push.old, step.push.new, SHOWN_COMMITS)
            case steps.CreatePull() if step.push is not None and step.environment.pull is not None:
                base = self.heads.get(step.environment.pull.target_branch or "")
                return await self.target.mirror.commits(base, step.push.new, SHOWN_COMMITS)
            case _:
                return (), 0

    async def _apply(self, conn: Connection, step: steps.Step, commits: Commits) -> None:  # noqa: C901, PLR0912
        project_id = self.target.project.id
        match step:
            case steps.FollowDefaultBranch():
                await self._follow_default(conn, step, commits)
            case steps.CreateBranches():
                await environments.create_many(conn, step.environments)
            case steps.UpdateHeads():
                await environments.update_heads(conn, project_id, step.heads)
            case steps.Push():
                await self._push(conn, step, commits)
            case steps.CreatePull():
                await self._create_pull(conn, step, commits)
            case steps.UpdatePull():
                await self._save(conn, step.environment_id, pull=step.pull, title=step.title, name=step.name)
            case steps.Retarget():
                await self._save(conn, step.environment_id, parent=step.parent)
            case steps.AwaitApproval():
                await self._await_approval(conn, step)
            case steps.AwaitNextApproval():
                await self._save(conn, step.environment_id, awaiting_approval=True, head_commit=step.head)
            case steps.RemoveEnvironment():
                await self._remove(conn, step)
            case steps.HoldRemovals():
                hold = PruneHold(step.environments, step.since)
                await integrations.save_state(conn, self.target.integration.id, prune_hold=hold)
            case steps.ReleaseHold():
                await integrations.save_state(conn, self.target.integration.id, prune_hold=None)
            case steps.MarkRemote():
                await environments.set_remote(conn, project_id, step.environments, has_remote=step.has_remote)
            case steps.Adopt():
                await environments.adopt(conn, project_id, step.environments, self.target.integration.id)

    async def _save(self, conn: Connection, environment_id: str, **columns: object) -> None:
        # Its removal may have ended since the plan was made; then there is nothing to follow.
        with suppress(NotFound):
            await environments.save(conn, self.target.project.id, environment_id, **columns)

    async def _follow_default(self, conn: Connection, step: steps.FollowDefaultBranch, commits: Commits) -> None:
        project = await projects.get(conn, self.target.project.id, lock=True)
        if step.create is not None:
            # It becomes the main one below: a project has one at a time.
            await environments.create(conn, replace(step.create, is_main=False))
        await environments.make_main(conn, project.id, step.environment_id)
        await environments.set_parents(conn, project.id, step.children, step.environment_id)
        followed = await projects.save(conn, project.id, default_branch=step.branch)
        await integrations.save_state(conn, self.target.integration.id, remote_default_branch=step.announced)
        if step.push is not None:
            await environments.set_status(conn, project.id, step.environment_id, "active")
            await self._build(conn, step.push, commits)
        if project.default_branch not in (None, step.branch):
            record = kinds.project_modified(
                followed, "default_branch", self.target.actor, project.default_branch, step.branch
            )
            await activities.create(conn, record)

    async def _push(self, conn: Connection, step: steps.Push, commits: Commits) -> None:
        environment = await environments.find(conn, self.target.project.id, step.environment_id, lock=True)
        if environment is None or environment.status == "deleting":
            return
        if is_running(environment):
            await self._build(conn, step, commits)
        else:
            # A person deactivated it since the plan was made.
            await environments.update_heads(conn, environment.project_id, {environment.id: step.new})

    async def _build(self, conn: Connection, step: steps.Push, commits: Commits) -> None:
        """Move the environment and have it built; a build of an older commit that waits still is superseded."""
        project_id = self.target.project.id
        await environments.save(conn, project_id, step.environment_id, head_commit=step.new)
        environment = await environments.get(conn, project_id, step.environment_id)
        for each in await activities.open_of(conn, kinds.environment_key(project_id, environment.id)):
            if each.type == kinds.PUSH and each.state == "pending":
                await activities.cancel_pending(conn, each)
        newest, total = commits
        moved = {"old_commit": step.old}
        push = kinds.push(self.target.project, environment, newest, total, self.target.actor, moved)
        await activities.create(conn, push)

    async def _create_pull(self, conn: Connection, step: steps.CreatePull, commits: Commits) -> None:
        created = await environments.create_many(conn, [step.environment])
        if created and step.push is not None:
            await self._build(conn, step.push, commits)

    async def _await_approval(self, conn: Connection, step: steps.AwaitApproval) -> None:
        """What runs is taken down: the next commit would be a stranger's."""
        project_id = self.target.project.id
        environment = await environments.find(conn, project_id, step.environment_id, lock=True)
        if environment is None or environment.status == "deleting":
            return
        await environments.save(conn, project_id, environment.id, awaiting_approval=True, status="inactive")
        if is_running(environment) or environment.deployment is not None:
            await self._end_all(conn, environment)
            await activities.create(conn, kinds.deactivate(self.target.project, environment, self.target.actor))

    async def _remove(self, conn: Connection, step: steps.RemoveEnvironment) -> None:
        project = self.target.project
        environment = await environments.find(conn, project.id, step.environment_id, lock=True)
        if environment is None or environment.status == "deleting" or environment.is_main:
            return
        await environments.set_status(conn, project.id, environment.id, "deleting")
        await self._end_all(conn, environment)
        await activities.create(conn, kinds.delete(project, environment, self.target.actor))

    async def _end_all(self, conn: Connection, environment: Environment) -> None:
        """Cancel what waits for the environment, and ask what runs to end."""
        for each in await activities.open_of(conn, kinds.environment_key(environment.project_id, environment.id)):
            if not await activities.cancel_pending(conn, each):
                await activities.request_cancel(conn, each)
