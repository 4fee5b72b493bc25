"""Which refs of the project's repository move with a plan. Pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from tieline.core.documents import Environment
from tieline.git.refs import HEADS, PULLS, SYNC, RefUpdate, in_the_way, pull_ref
from tieline.sync.state import RemoteState, SourceSettings
from tieline.sync.steps import (
    AwaitNextApproval,
    CreatePull,
    FollowDefaultBranch,
    Plan,
    Push,
    RemoveEnvironment,
    UpdateHeads,
)


@dataclass(frozen=True)
class OwnRefs:
    """What the project's repository has: branches by name, pull requests and what was only fetched by full ref."""

    heads: Mapping[str, str]
    pulls: Mapping[str, str]
    staged: Mapping[str, str]


def own_refs(found: Mapping[str, str]) -> OwnRefs:
    """Refs by full name, sorted by what they are."""
    return OwnRefs(
        heads={name.removeprefix(HEADS): sha for name, sha in found.items() if name.startswith(HEADS)},
        pulls={name: sha for name, sha in found.items() if name.startswith(PULLS)},
        staged={name: sha for name, sha in found.items() if name.startswith(SYNC)},
    )


def followed_heads(remote: RemoteState, settings: SourceSettings, default_branch: str | None) -> dict[str, str]:
    """The branches that the project's repository has too."""
    if settings.fetch_branches:
        return dict(remote.heads)
    return {name: head for name, head in remote.heads.items() if name == default_branch}


def needed_heads(
    followed: Mapping[str, str], remote: RemoteState, environments: Collection[Environment]
) -> dict[str, str]:
    """The branches whose commits have to be fetched: those followed, and the sources of pull requests."""
    sources = {each.source_branch for each in remote.pulls.read.values() if each.state == "open" and not each.is_fork}
    sources |= {each.pull.source_branch for each in environments if each.pull is not None and not each.pull.is_fork}
    return {**followed, **{name: remote.heads[name] for name in sources if name is not None and name in remote.heads}}


def plan_refs(
    own: OwnRefs, followed: Mapping[str, str], remote: RemoteState, plan: Plan, environments: Collection[Environment]
) -> list[RefUpdate]:
    """The moves that make the project's refs those of the plan; none where they are right already.

    A branch that is gone from the host goes when its environment does, or when a new one could not exist
    beside it (`feature` beside `feature/one`); otherwise it stays with its environment. What was staged has a ref
    of its own by then, or nobody follows it.
    """
    moves = [
        RefUpdate(HEADS + name, own.heads.get(name), head)
        for name, head in sorted(followed.items())
        if own.heads.get(name) != head
    ]
    new = followed.keys() - own.heads.keys()
    doomed = set(_abandoned(own, remote, plan, environments)) | in_the_way(own.heads, new)
    deletes = [RefUpdate(HEADS + name, own.heads[name], None) for name in sorted(doomed)]
    unstaged = [RefUpdate(ref, sha, None) for ref, sha in sorted(own.staged.items())]
    return [*deletes, *unstaged, *moves, *_pull_moves(own, plan, environments)]


def _abandoned(own: OwnRefs, remote: RemoteState, plan: Plan, environments: Collection[Environment]) -> Iterator[str]:
    """Our branches that are not on the host and that no environment holds on to."""
    if not remote.heads:
        return
    removed = {step.environment_id for step in plan.steps if isinstance(step, RemoveEnvironment)}
    kept = {
        each.name for each in environments if each.pull is None and each.status != "deleting" and each.id not in removed
    }
    for name in own.heads:
        if name not in remote.heads and name not in kept:
            yield name


def _pull_moves(own: OwnRefs, plan: Plan, environments: Collection[Environment]) -> Iterator[RefUpdate]:
    numbers = {each.id: each.pull.number for each in environments if each.pull is not None}
    numbers |= {
        step.environment.id: step.environment.pull.number
        for step in plan.steps
        if isinstance(step, CreatePull) and step.environment.pull is not None
    }
    for environment_id, head in sorted(_new_heads(plan).items()):
        if environment_id in numbers:
            ref = pull_ref(numbers[environment_id])
            if own.pulls.get(ref) != head:
                yield RefUpdate(ref, own.pulls.get(ref), head)


def _new_heads(plan: Plan) -> dict[str, str]:
    """Environment id -> the commit that it moves to."""
    heads: dict[str, str] = {}
    for step in plan.steps:
        match step:
            case UpdateHeads():
                heads.update(step.heads)
            case AwaitNextApproval():
                heads[step.environment_id] = step.head
            case Push():
                heads[step.environment_id] = step.new
            case CreatePull() if step.environment.head_commit is not None:
                heads[step.environment.id] = step.environment.head_commit
            case FollowDefaultBranch() if step.push is not None:
                heads[step.environment_id] = step.push.new
            case _:
                pass
    return heads
