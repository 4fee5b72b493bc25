"""What a plan is made from: the host's side, the settings, and what Tieline knew before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from tieline.core.documents import JSON, PruneHold
from tieline.core.remote import PullRequest


@dataclass(frozen=True)
class RemotePulls:
    """What the host said about the pull requests it was asked for.

    `read` holds those it answered, whatever their state; `gone` those it answered 404 for. `complete` says
    that every open one is in `read`. `fork_heads` are full hashes: the host abbreviates them, and only git
    can tell. A fork that cannot be read is missing there.
    """

    read: Mapping[int, PullRequest] = field(default_factory=dict)
    gone: frozenset[int] = frozenset()
    complete: bool = False
    fork_heads: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RemoteState:
    """A host as one observation saw it. `heads` is every branch with its full hash; none means that it is empty."""

    heads: Mapping[str, str]
    default_branch: str | None
    pulls: RemotePulls = field(default_factory=RemotePulls)


@dataclass(frozen=True)
class SourceSettings:
    """The fields of a source integration that decide what its repository becomes."""

    fetch_branches: bool = True
    prune_branches: bool = True
    build_pull_requests: bool = True
    clone_parent_data: bool = True
    init_resources: str = "default"

    @classmethod
    def from_config(cls, config: JSON) -> Self:
        """From an integration's stored fields; pruning without fetching is off."""
        fetches = bool(config.get("fetch_branches", True))
        return cls(
            fetch_branches=fetches,
            prune_branches=fetches and bool(config.get("prune_branches", True)),
            build_pull_requests=bool(config.get("build_pull_requests", True)),
            clone_parent_data=bool(config.get("pull_requests_clone_parent_data", True)),
            init_resources=str(config.get("environment_init_resources") or "default"),
        )


@dataclass(frozen=True)
class Known:
    """What Tieline knew before this observation.

    `default_branch` is the project's, `remote_default_branch` the host's as it was last seen. `confirmed`
    says that a person agreed to the removals that `hold` lists.
    """

    project_id: str
    integration_id: str
    default_branch: str | None = None
    remote_default_branch: str | None = None
    hold: PruneHold | None = None
    confirmed: bool = False
