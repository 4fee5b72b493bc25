"""What a Git host tells us, and what we tell it, in words that fit every host."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Literal

from tieline.core.secret import Secret


@dataclass(frozen=True)
class GitCredentials:
    """What git over HTTPS needs. The password goes into the environment, never into argv or URLs."""

    username: str
    password: Secret


@dataclass(frozen=True)
class RemoteRepository:
    """A repository at its host. `id` outlives renames; `default_branch` is None while it is empty."""

    id: str
    full_name: str
    clone_url: str
    default_branch: str | None = None


@dataclass(frozen=True)
class PullRequest:
    """A pull or merge request as last read.

    `source_repository` is the full name; None when the fork or branch is gone. `head` may be an
    abbreviation (Bitbucket Cloud gives 12 characters): only git can tell the full hash.
    """

    number: int
    title: str
    state: Literal["open", "merged", "declined"]
    source_branch: str | None
    source_repository: str | None
    target_branch: str | None
    head: str | None
    is_fork: bool
    url: str = ""
    author: str = ""


@dataclass(frozen=True)
class PullListing:
    """Open pull requests. `complete` is False when a page limit cut the list: absence then proves nothing."""

    pulls: tuple[PullRequest, ...]
    complete: bool


@dataclass(frozen=True)
class Scope:
    """What a hint says has changed; the host is then asked about just that.

    `pulls` is "all", or the numbers to read one by one (empty: pull requests need no REST request, the
    branches they are built from are read from git anyway).
    """

    pulls: Literal["all"] | frozenset[int] = "all"
    repository: bool = True

    def merge(self, other: "Scope") -> "Scope":
        """The smallest scope that covers both."""
        pulls = "all" if "all" in (self.pulls, other.pulls) else frozenset(self.pulls) | frozenset(other.pulls)
        return Scope(pulls=pulls, repository=self.repository or other.repository)  # type: ignore[arg-type]


def merge_scopes(scopes: Sequence[Scope]) -> Scope:
    """The smallest scope that covers all of them; there must be one."""
    return reduce(Scope.merge, scopes)


@dataclass(frozen=True)
class HookEvent:
    """A hook that matters. `name` is the host's own event name; the repository's are None where it does not say."""

    name: str
    scope: Scope
    repository_id: str | None = None
    repository_name: str | None = None


@dataclass(frozen=True)
class Ignored:
    """A hook that needs nothing done, and why."""

    reason: str


@dataclass(frozen=True)
class RegisteredHook:
    """A webhook as it stands at the host."""

    id: str
    url: str
    active: bool
    events: frozenset[str] = field(default_factory=frozenset)


BuildState = Literal["running", "succeeded", "failed", "stopped"]


@dataclass(frozen=True)
class BuildStatus:
    """The outcome of one commit in one environment. `key` is stable per environment; `refname` is a branch.

    `fork` is the full name of the repository that the commit is from, where that is not the integration's own.
    """

    commit: str
    key: str
    state: BuildState
    name: str
    description: str
    url: str
    refname: str | None = None
    fork: str | None = None
