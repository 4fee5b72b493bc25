"""One reconcile: look at the host, fetch what is new, and apply what follows."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from tieline.core.clock import now
from tieline.core.documents import Activity, Environment, Integration, Project
from tieline.core.errors import (
    Cancelled,
    Conflict,
    GitFailed,
    NotFound,
    RemoteError,
    RemoteNotFound,
    Unavailable,
    Unreachable,
)
from tieline.core.kinds import fetch_scope, integration_actor
from tieline.core.ports import Log
from tieline.core.remote import Scope
from tieline.core.together import both
from tieline.git.mirror import Mirror, Repositories
from tieline.git.refs import HEADS, PULLS, staging
from tieline.integrations.base import Registry, Source
from tieline.store import due, fetches, integrations, projects
from tieline.store.database import Connection, Database
from tieline.store.environment_memory import EnvironmentMemory
from tieline.store.seal import SecretBox
from tieline.sync.access import KnownRepositories, RepositoryAccess, repository_name
from tieline.sync.apply import CHANGED_MEANWHILE, Applier, Target
from tieline.sync.observe import Observation, Observer
from tieline.sync.plan import plan
from tieline.sync.prune import AGREEMENT_AFTER
from tieline.sync.refs import followed_heads, needed_heads, own_refs, plan_refs
from tieline.sync.state import Known, RemoteState, SourceSettings
from tieline.sync.steps import FollowDefaultBranch, Plan

QUICK_SECONDS: Final = 120.0
RECHECK_AFTER: Final = timedelta(seconds=10)
# The host cannot be followed now, for a reason that a person is told.
FAULTS: Final = (RemoteError, Conflict, GitFailed, Unavailable)


@dataclass(frozen=True)
class Surroundings:
    """What reconciling needs of the other rooms. `hook_url` is where a host sends an integration's hooks."""

    db: Database
    box: SecretBox
    registry: Registry
    repositories: Repositories
    hook_url: Callable[[Integration], str]
    reconcile_seconds: float = 300.0
    quick_seconds: float = QUICK_SECONDS
    known: KnownRepositories = field(default_factory=KnownRepositories)
    environments: EnvironmentMemory = field(default_factory=EnvironmentMemory)

    @property
    def interval(self) -> timedelta:
        return timedelta(seconds=self.reconcile_seconds)

    def patience(self, integration: Integration) -> float | None:
        """How many seconds reading and fetching may take, or None for any.

        Where all was well the last time it shares its places with what others wait for, elsewhere it has its own.
        """
        was_well = integration.reconciled_at is not None and integration.last_error is None
        return self.quick_seconds if was_well else None

    def title(self, integration: Integration) -> str:
        return self.registry[integration.type].title

    async def save(self, integration_id: str, **state: object) -> None:
        """Remember something of an integration, as `store.integrations.save_state` does."""
        async with self.db.transaction() as conn:
            await integrations.save_state(conn, integration_id, **state)

    async def ask_for_fetch(self, conn: Connection, integration: Integration, scope: Scope, reason: str) -> None:
        """In the name of the integration itself; see `store.fetches.request_fetch`."""
        project = await projects.get(conn, integration.project_id)
        title = self.title(integration)
        actor = integration_actor(integration, title)
        await fetches.request_fetch(conn, project, integration, actor, title, scope, reason=reason)


@dataclass(frozen=True)
class Situation:
    """What Tieline has, at one moment."""

    project: Project
    integration: Integration
    environments: Sequence[Environment]

    @property
    def settings(self) -> SourceSettings:
        return SourceSettings.from_config(self.integration.config)

    def plan(self, seen: Observation, *, confirmed: bool) -> Plan:
        """What follows from the host as it was seen."""
        known = Known(
            self.project.id,
            self.integration.id,
            self.project.default_branch,
            self.integration.remote_default_branch,
            self.integration.prune_hold,
            confirmed,
        )
        return plan(seen.remote, self.settings, self.environments, known, seen.began)


@dataclass
class Reconciler:
    """Looks at hosts, and makes environments follow them."""

    around: Surroundings

    async def situation(self, integration_id: str) -> Situation:
        """Raises `NotFound` for an integration that is gone or being removed."""
        async with self.around.db.snapshot() as conn:
            integration = await integrations.get_any(conn, self.around.box, integration_id)
            if integration.deleted_at is not None:
                raise NotFound("The integration was removed.")
            project = await projects.get(conn, integration.project_id)
            return Situation(project, integration, await self.around.environments.load_all(conn, project.id))

    async def look(self, situation: Situation, scope: Scope, registry: Registry | None = None) -> Observation:
        """Read the host, with the sources of another registry if one is given. Raises as `Observer.observe` does."""
        integration = situation.integration
        make_source = partial(_source, registry or self.around.registry)
        access = RepositoryAccess(integration, make_source, self.around.known)
        mirror = self.around.repositories.open(integration.project_id)
        return await Observer(access, mirror, situation.settings, situation.environments).observe(scope)

    async def reconcile(self, activity: Activity, log: Log) -> Plan:
        """Look, fetch and apply, as the activity's parameters say; gives the plan that was applied.

        Raises a `RemoteError`, `Conflict` or `GitFailed` when the host cannot be read, `NotFound` when the
        integration is gone, and `Cancelled` when another worker has taken over or somebody changed the integration.
        """
        situation = await self.situation(activity.integration_id or "")
        scope = fetch_scope(activity.parameters)
        confirmed = bool(activity.parameters.get("confirm_prune"))
        observation = await self._look_and_fetch_in_time(situation, scope)
        await self._remember(situation.integration, observation, log)
        # Minutes may have gone by with fetching, and people do not wait for it.
        situation = await self.situation(situation.integration.id)
        if repository_name(situation.integration) != observation.name:
            raise Cancelled(CHANGED_MEANWHILE)
        planned = situation.plan(observation, confirmed=confirmed)
        for line in (*observation.notes, *planned.lines):
            await log.write(line)
        if planned or scope.repository:
            await self._move_refs(situation, observation.remote, planned)
        await self._apply(situation, observation.remote, planned, activity, log)
        await self._settle(situation.integration, activity, planned)
        return planned

    async def bring(self, integration_id: str) -> None:
        """Fetch the commits that the host has now, and change nothing else: another machine applied them.

        Raises as `reconcile` does.
        """
        await self._look_and_fetch(await self.situation(integration_id), Scope())

    def _mirror(self, integration: Integration) -> Mirror:
        return self.around.repositories.open(integration.project_id)

    async def _look_and_fetch_in_time(self, situation: Situation, scope: Scope) -> Observation:
        seconds = self.around.patience(situation.integration)
        try:
            async with asyncio.timeout(seconds):
                return await self._look_and_fetch(situation, scope)
        except TimeoutError as error:
            sentence = (
                f"Reading the Git host took longer than {seconds:g} s. The next fetch gets all the time it needs."
            )
            raise Unreachable(sentence, "timeout") from error

    async def _look_and_fetch(self, situation: Situation, scope: Scope) -> Observation:
        """The observation with its commits here; once more when a branch vanished between the two."""
        # Its own refs are listed while the host is asked: a commit is not gone because its ref is.
        observation, refs = await both(self.look(situation, scope), self._mirror(situation.integration).refs())
        present = frozenset(refs.values())
        try:
            return await self._fetch(situation, scope, observation, present)
        except RemoteNotFound:
            return await self._fetch(situation, scope, await self.look(situation, scope), present)

    async def _fetch(
        self, situation: Situation, scope: Scope, observation: Observation, present: Collection[str]
    ) -> Observation:
        """Bring the commits here. A branch that moved since it was listed counts as it is now."""
        remote = observation.remote
        planned = situation.plan(observation, confirmed=False)
        if not planned and not scope.repository:
            return observation
        followed = followed_heads(remote, situation.settings, planned.default_branch)
        needed = needed_heads(followed, remote, situation.environments)
        missing = {name: sha for name, sha in needed.items() if sha not in present}
        if not missing:
            return observation
        mirror, integration_id = self._mirror(situation.integration), situation.integration.id
        fetched = await observation.access.run(lambda address: mirror.fetch(address, integration_id, missing))
        return replace(observation, remote=replace(remote, heads={**remote.heads, **fetched}))

    async def _remember(self, integration: Integration, observation: Observation, log: Log) -> None:
        """Keep which repository this is before anything of it is applied, and its name of today."""
        repository = observation.repository
        if repository is None:
            return
        async with self.around.db.transaction() as conn:
            fresh = await integrations.get_any(conn, self.around.box, integration.id, lock=True)
            if repository_name(fresh) != repository_name(integration):
                raise Cancelled(CHANGED_MEANWHILE)
            if fresh.remote_id is None:
                await integrations.save_state(conn, integration.id, remote_id=repository.id)
            if observation.new_name is None:
                return
            config = {**fresh.config, "repository": observation.new_name}
            await integrations.update(conn, self.around.box, fresh, config=config)
        self.around.known.forget(integration.id)
        await log.write(f"The repository is named {observation.new_name} now")

    async def _move_refs(self, situation: Situation, remote: RemoteState, planned: Plan) -> None:
        mirror = self._mirror(situation.integration)
        try:
            await self._move_refs_once(mirror, situation, remote, planned)
        except Conflict:
            # A removal that ends just now deletes refs too.
            await self._move_refs_once(mirror, situation, remote, planned)
        if any(isinstance(step, FollowDefaultBranch) for step in planned.steps) and planned.default_branch:
            await mirror.set_head(planned.default_branch)

    async def _move_refs_once(self, mirror: Mirror, situation: Situation, remote: RemoteState, planned: Plan) -> None:
        followed = followed_heads(remote, situation.settings, planned.default_branch)
        own = own_refs(await mirror.refs(HEADS, PULLS, staging(situation.integration.id)))
        await mirror.move(plan_refs(own, followed, remote, planned, situation.environments))

    async def _apply(
        self, situation: Situation, remote: RemoteState, planned: Plan, activity: Activity, log: Log
    ) -> None:
        integration = situation.integration
        actor = integration_actor(integration, self.around.title(integration))
        target = Target(situation.project, integration, self._mirror(integration), activity, actor)
        await Applier(self.around.db, target, remote.heads, log).apply(planned)
        if not planned and planned.refusal is None:
            await log.write("No changes since last fetch")

    async def _settle(self, integration: Integration, activity: Activity, planned: Plan) -> None:
        moment = now()
        refusal = planned.refusal
        state: dict[str, object] = {"last_error": refusal.sentence if refusal else None}
        if fetch_scope(activity.parameters) == Scope():
            state |= {"reconciled_at": moment}
        following = self._next_look(integration, activity, planned, moment)
        if following is not None:
            state |= {"next_reconcile_at": following}
        is_worn = await self._mirror(integration).is_worn()
        async with self.around.db.transaction() as conn:
            await integrations.save_state(conn, integration.id, **state)
            if is_worn:
                await due.wake_maintenance(conn, integration.project_id)

    def _next_look(
        self, integration: Integration, activity: Activity, planned: Plan, moment: datetime
    ) -> datetime | None:
        """When the timer looks next; None leaves it as it is."""
        hold = planned.hold or integration.prune_hold
        if planned.refusal is not None and hold is not None:
            return max(moment, hold.since + AGREEMENT_AFTER)
        regular = next_full_look(integration, moment, self.around.interval)
        if fetch_scope(activity.parameters) == Scope():
            return regular
        if planned or activity.parameters.get("reason") != "hook":
            return None
        # A hook can be faster than the host's own replicas: what it announced may be visible only now.
        return min(integration.next_reconcile_at or regular, moment + RECHECK_AFTER)


def _source(registry: Registry, integration: Integration) -> Source:
    source = registry.source(integration)
    if source is None:
        raise NotFound(f"An integration of type {integration.type} has no repository to read.")
    return source


def is_full_look_due(integration: Integration, moment: datetime, interval: timedelta) -> bool:
    """Whether the timer has to look at everything: not where all was well less than half an interval ago."""
    last = integration.reconciled_at
    if last is None or integration.last_error is not None or integration.prune_hold is not None:
        return True
    return moment - last >= interval / 2


def next_full_look(integration: Integration, moment: datetime, interval: timedelta) -> datetime:
    """After the interval, or as soon as a second listing may confirm what is held back."""
    hold = integration.prune_hold
    if hold is not None and moment < hold.since + AGREEMENT_AFTER:
        return min(moment + interval, hold.since + AGREEMENT_AFTER)
    return moment + interval
