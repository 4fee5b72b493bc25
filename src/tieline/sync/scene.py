"""One observation next to what Tieline has, with the look-ups that planning needs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from tieline.core import ids
from tieline.core.documents import Environment, is_below
from tieline.sync.state import Known, RemoteState, SourceSettings

LONGEST_NAME: Final = 1000
_RUNNING: Final = ("active", "dirty")


def is_storable(branch: str) -> bool:
    """Git allows any bytes in a name; what is not UTF-8, or absurdly long, cannot be shown or stored."""
    if branch.isascii():
        return len(branch) <= LONGEST_NAME and "\0" not in branch
    try:
        return len(branch.encode()) <= LONGEST_NAME
    except UnicodeEncodeError:
        return False


def is_running(environment: Environment) -> bool:
    """Whether a new commit is built there: it is active, or being activated at this moment.

    An activation builds the commit it began with. What is pushed meanwhile has to follow it as a build of its own.
    Where a stranger's commit waits for approval, none is built, though one that was approved before may run.
    """
    if environment.awaiting_approval:
        return False
    return environment.status in _RUNNING or environment.has_pending_activity


@dataclass(frozen=True)
class Scene:
    """Planning's input. `remote` holds only branches that can be stored; `removed` are on their way out."""

    remote: RemoteState
    settings: SourceSettings
    environments: Collection[Environment]
    known: Known
    now: datetime
    removed: frozenset[str] = frozenset()

    @cached_property
    def standing(self) -> list[Environment]:
        """Those that are not being deleted already; nothing is planned for the others."""
        return [each for each in self.environments if each.status != "deleting"]

    @cached_property
    def surviving(self) -> frozenset[str]:
        """The ids that are there when this plan was applied."""
        made = self.new_branches.values()
        return frozenset(each.id for each in self.standing if each.id not in self.removed).union(made)

    @cached_property
    def branches(self) -> Mapping[str, Environment]:
        """Branch -> its environment, those in `deleting` too: their name is not free yet."""
        return {each.name: each for each in self.environments if each.pull is None}

    @cached_property
    def pulls(self) -> Mapping[int, Environment]:
        """Pull request -> its environment, those in `deleting` too."""
        return {each.pull.number: each for each in self.environments if each.pull is not None}

    @cached_property
    def main(self) -> Environment | None:
        return next((each for each in self.standing if each.is_main), None)

    @cached_property
    def announced(self) -> str | None:
        """What the host calls its default branch, if that branch is there."""
        name = self.remote.default_branch
        return name if name is not None and name in self.remote.heads else None

    @cached_property
    def default_branch(self) -> str | None:
        """The host's when it changed (or is seen first), the project's own otherwise."""
        if self.announced is not None and self.announced != self.known.remote_default_branch:
            return self.announced
        mine = self.known.default_branch
        if mine is not None and (mine in self.remote.heads or (self.main is not None and self.main.name == mine)):
            return mine
        return self.main.name if self.main is not None else self.announced

    @cached_property
    def default_id(self) -> str | None:
        """The default environment; None while there is none, or the one of before is being deleted."""
        if self.default_branch is None:
            return None
        found = self.branches.get(self.default_branch)
        if found is None:
            return self.new_branches.get(self.default_branch)
        return None if found.status == "deleting" else found.id

    @cached_property
    def new_branches(self) -> Mapping[str, str]:
        """Branch -> environment id, for branches that have none yet.

        The default branch claims its id first, then those whose name is its own slug, then the rest by name.
        """
        wanted = self.remote.heads if self.settings.fetch_branches else {self.default_branch} & self.remote.heads.keys()
        missing = [name for name in wanted if name is not None and name not in self.branches]
        missing.sort(key=lambda name: (name != self.default_branch, ids.slug(name) != name, name))
        taken = {each.id for each in self.environments}
        claimed: dict[str, str] = {}
        for name in missing:
            claimed[name] = ids.environment_id(name, taken)
            taken.add(claimed[name])
        return claimed

    def parent_for(self, target: str | None, child: str | None = None) -> str | None:
        """The environment of a target branch.

        The default one where that is missing, on its way out, or was put below `child` itself.
        """
        found = self.branches.get(target) if target is not None else None
        candidate = found.id if found is not None else self.new_branches.get(target or "")
        if candidate not in self.surviving:
            return self.default_id
        is_circle = child is not None and is_below(candidate, child, self._by_id)
        return self.default_id if is_circle else candidate

    @cached_property
    def _by_id(self) -> Mapping[str, Environment]:
        return {each.id: each for each in self.environments}

    def make(self, id: str, name: str, **fields: Any) -> Environment:
        """A new environment of this project, as the settings want it to begin."""
        common = {
            "title": name,
            "type": "development",
            "is_main": False,
            "parent": self.default_id,
            "init_resources": self.settings.init_resources,
        }
        return Environment(
            id=id,
            project_id=self.known.project_id,
            integration_id=self.known.integration_id,
            name=name,
            machine_name=ids.machine_name(self.known.project_id, id),
            created_at=self.now,
            updated_at=self.now,
            **{**common, **fields},
        )
