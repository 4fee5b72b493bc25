"""The steps of a plan. Each is applied in one transaction and says in `lines` what it does."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tieline.core.documents import Environment, PullInfo

_SHOWN: Final = 10
_HOW_TO_CONFIRM: Final = (
    "A second complete listing at least a minute later has to agree, or a person: "
    'POST .../integrations/{id}/sync with {"confirm_prune": true}.'
)


def _listing(names: Iterable[str]) -> str:
    """Names for a sentence, cut after a few."""
    every = list(names)
    more = len(every) - _SHOWN
    return ", ".join(every[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class Push:
    """An active environment moves to another commit and is built. `old` is None when it never had one."""

    environment_id: str
    branch: str
    old: str | None
    new: str

    def lines(self) -> list[str]:
        was = f" (was {self.old[:7]})" if self.old and self.old != self.new else ""
        return [f"Building environment {self.environment_id} at {self.new[:7]}{was}"]


@dataclass(frozen=True)
class FollowDefaultBranch:
    """`branch` is the default one: its environment is production, active, and parent of the rest.

    `create` is the environment when there is none yet; `former` loses its place and hangs below it, with
    `children` that hung below `former`. `announced` is what the host calls its default branch.
    """

    branch: str
    environment_id: str
    announced: str | None
    create: Environment | None = None
    former: str | None = None
    children: tuple[str, ...] = ()
    push: Push | None = None

    def lines(self) -> list[str]:
        made = [f"Created environment {self.environment_id} (production) from branch {self.branch}"]
        follows = [f"Following default branch {self.branch}: environment {self.environment_id} is production"]
        return (made if self.create else follows) + (self.push.lines() if self.push else [])


@dataclass(frozen=True)
class CreateBranches:
    """Branches appeared: their environments begin inactive."""

    environments: tuple[Environment, ...]

    def lines(self) -> list[str]:
        return [f"Created environment {each.id} (inactive) from branch {each.name}" for each in self.environments]


@dataclass(frozen=True)
class UpdateHeads:
    """Environments that are not running moved: id -> new commit. Nothing is built."""

    heads: Mapping[str, str]

    def lines(self) -> list[str]:
        return [f"Updated environment {name} to {head[:7]} (not built)" for name, head in self.heads.items()]


@dataclass(frozen=True)
class CreatePull:
    """A pull request appeared. Without `push` it comes from a fork and waits for approval."""

    environment: Environment
    push: Push | None

    def lines(self) -> list[str]:
        number = self.environment.pull.number if self.environment.pull else 0
        if self.push:
            return [f"Created environment {self.environment.id} from pull request {number}", *self.push.lines()]
        made = f"Created environment {self.environment.id} (inactive) from pull request {number} of a fork"
        return [f"{made}: it is built once an administrator activates it"]


@dataclass(frozen=True)
class UpdatePull:
    """What an environment remembers of its pull request changed, its title for instance."""

    environment_id: str
    pull: PullInfo
    title: str
    name: str

    def lines(self) -> list[str]:
        return [f'Updated environment {self.environment_id}: "{self.title}"']


@dataclass(frozen=True)
class Retarget:
    """An environment hangs below another parent."""

    environment_id: str
    parent: str

    def lines(self) -> list[str]:
        return [f"Moved environment {self.environment_id} below {self.parent}"]


@dataclass(frozen=True)
class AwaitApproval:
    """A pull request that was built now comes from a fork: it stops following until somebody agrees."""

    environment_id: str

    def lines(self) -> list[str]:
        return [f"Environment {self.environment_id} waits for approval: its pull request comes from a fork now"]


@dataclass(frozen=True)
class AwaitNextApproval:
    """A fork whose pull request was approved has another commit now. What runs stays as it was approved."""

    environment_id: str
    head: str

    def lines(self) -> list[str]:
        waits = f"Environment {self.environment_id} waits for approval of {self.head[:7]}, which was pushed to a fork"
        return [f"{waits}: it is built once an administrator activates the environment"]


@dataclass(frozen=True)
class RemoveEnvironment:
    """It is proven that what the environment followed is gone."""

    environment_id: str
    reason: str

    def lines(self) -> list[str]:
        return [f"Removing environment {self.environment_id}: {self.reason}"]


@dataclass(frozen=True)
class HoldRemovals:
    """Removals that a second listing, one that begins a minute after `since`, or a person has to agree to."""

    environments: tuple[str, ...]
    since: datetime

    def lines(self) -> list[str]:
        return []


@dataclass(frozen=True)
class ReleaseHold:
    """Nothing waits for a second listing any more."""

    def lines(self) -> list[str]:
        return []


@dataclass(frozen=True)
class MarkRemote:
    """Say of environments whether their branch is there on the host."""

    environments: tuple[str, ...]
    has_remote: bool

    def lines(self) -> list[str]:
        said = "is on the host again" if self.has_remote else "is gone from the host; the environment stays"
        return [f"The branch of environment {each} {said}" for each in self.environments]


@dataclass(frozen=True)
class Adopt:
    """Environments that a removed integration left behind follow this one."""

    environments: tuple[str, ...]

    def lines(self) -> list[str]:
        return [f"Following {_listing(self.environments)}, left by an earlier integration"]


Step = (
    HoldRemovals
    | ReleaseHold
    | FollowDefaultBranch
    | CreateBranches
    | UpdateHeads
    | Push
    | CreatePull
    | UpdatePull
    | Retarget
    | AwaitApproval
    | AwaitNextApproval
    | RemoveEnvironment
    | MarkRemote
    | Adopt
)


@dataclass(frozen=True)
class Refusal:
    """What this listing would remove and nobody has agreed to yet. It makes the reconcile a failure."""

    environments: tuple[str, ...]
    population: int

    @property
    def sentence(self) -> str:
        count = f"{len(self.environments)} of {self.population}"
        return f"Not removing {count} environments: {_listing(self.environments)}."

    def lines(self) -> list[str]:
        return [f"{self.sentence} {_HOW_TO_CONFIRM}"]


@dataclass(frozen=True)
class Plan:
    """Steps in the order they are applied, and notes for the person who reads the log.

    `default_branch` is the one that is production once they are applied.
    """

    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    default_branch: str | None = None
    refusal: Refusal | None = None

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def lines(self) -> list[str]:
        """What is said before anything is done."""
        return [*self.notes, *(self.refusal.lines() if self.refusal else [])]

    @property
    def hold(self) -> HoldRemovals | None:
        """The hold that this plan begins or changes."""
        return next((each for each in self.steps if isinstance(each, HoldRemovals)), None)
