"""What follows from a repository as it is now. Pure: the same observation always gives the same plan.

A plan that was applied whole plans to nothing, and one that was applied in part plans to the rest: rows are
compared with the host, so a reconcile that was killed anywhere is healed by the next one.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from tieline.core.documents import Environment
from tieline.sync.prune import Absences, find_absences, judge
from tieline.sync.pulls import explain_pulls, plan_pulls
from tieline.sync.scene import Scene, is_running, is_storable
from tieline.sync.state import Known, RemoteState, SourceSettings
from tieline.sync.steps import (
    Adopt,
    CreateBranches,
    FollowDefaultBranch,
    HoldRemovals,
    MarkRemote,
    Plan,
    Push,
    Retarget,
    Step,
    UpdateHeads,
)


def plan(
    remote: RemoteState,
    settings: SourceSettings,
    environments: Collection[Environment],
    known: Known,
    now: datetime,
) -> Plan:
    """The steps that make the environments follow the host, which was asked at the time `now`.

    A new hold comes first and its release last, so that no crash between two steps forgets a refusal.
    """
    scene = Scene(_storable(remote), settings, environments, known, now)
    absences = find_absences(scene.remote, settings, scene.standing, scene.default_branch)
    verdict = judge(absences, len(scene.standing), known, now)
    scene = replace(scene, removed=frozenset(each.environment_id for each in verdict.remove))
    holds = isinstance(verdict.hold, HoldRemovals)
    steps: list[Step] = [verdict.hold] if verdict.hold is not None and holds else []
    steps += _merge_heads([*_follow_default(scene), *_create(scene), *_move(scene), *plan_pulls(scene)])
    steps += _parents(scene)
    steps += verdict.remove
    steps += [*_mark(scene, absences), *_adopt(scene)]
    steps += [verdict.hold] if verdict.hold is not None and not holds else []
    return Plan(tuple(steps), tuple(_explain(scene, remote)), scene.default_branch, verdict.refusal)


def _storable(remote: RemoteState) -> RemoteState:
    if all(map(is_storable, remote.heads)):
        return remote
    return replace(remote, heads={name: head for name, head in remote.heads.items() if is_storable(name)})


def _follow_default(scene: Scene) -> Iterator[FollowDefaultBranch]:
    """One step when the default environment is missing, is another one, or the records are behind."""
    branch, target = scene.default_branch, scene.default_id
    if branch is None or target is None:
        return
    existing = scene.branches.get(branch)
    announced = scene.announced or scene.known.remote_default_branch
    recorded = branch == scene.known.default_branch and announced == scene.known.remote_default_branch
    if existing is not None and existing.is_main and recorded:
        return
    former = scene.main.id if scene.main is not None and scene.main.id != target else None
    yield FollowDefaultBranch(
        branch=branch,
        environment_id=target,
        announced=announced,
        create=None if existing is not None else _production(scene, branch, target),
        former=former,
        children=_children(scene, former, target),
        push=_default_push(scene, branch, target, existing),
    )


def _production(scene: Scene, branch: str, target: str) -> Environment:
    head = scene.remote.heads[branch]
    return scene.make(target, branch, type="production", is_main=True, parent=None, status="active", head_commit=head)


def _children(scene: Scene, former: str | None, target: str) -> tuple[str, ...]:
    """Branches that hung below the former default; pull requests go by their target instead."""
    if former is None:
        return ()
    below = (each for each in scene.standing if each.parent == former and each.pull is None)
    return tuple(sorted(each.id for each in below if each.id != target))


def _default_push(scene: Scene, branch: str, target: str, existing: Environment | None) -> Push | None:
    head = scene.remote.heads.get(branch)
    if head is None:
        return None
    if existing is None:
        return Push(target, branch, None, head)
    promoted = not existing.is_main and not is_running(existing)
    moved = is_running(existing) and existing.head_commit != head
    return Push(target, branch, existing.head_commit, head) if promoted or moved else None


def _create(scene: Scene) -> Iterator[CreateBranches]:
    heads = scene.remote.heads
    made = tuple(
        scene.make(target, name, status="inactive", head_commit=heads[name])
        for name, target in scene.new_branches.items()
        if name != scene.default_branch
    )
    if made:
        yield CreateBranches(made)


def _move(scene: Scene) -> Iterator[Push | UpdateHeads]:
    """Branches whose head is another one now, the default branch first."""
    moved = [
        found
        for name, head in scene.remote.heads.items()
        if (found := scene.branches.get(name)) is not None and found.head_commit != head
    ]
    moved.sort(key=lambda each: (each.name != scene.default_branch, each.name))
    followed = {step.environment_id for step in _follow_default(scene) if step.push is not None}
    for each in moved:
        follows = scene.settings.fetch_branches or each.name == scene.default_branch
        if each.status == "deleting" or each.id in followed or not follows:
            continue
        head = scene.remote.heads[each.name]
        running = is_running(each)
        yield Push(each.id, each.name, each.head_commit, head) if running else UpdateHeads({each.id: head})


def _merge_heads(steps: Iterable[Step]) -> list[Step]:
    """All moves of environments that do not run, as one step at the end."""
    heads: dict[str, str] = {}
    others: list[Step] = []
    for step in steps:
        if isinstance(step, UpdateHeads):
            heads.update(step.heads)
        else:
            others.append(step)
    return [*others, UpdateHeads(heads)] if heads else others


def _parents(scene: Scene) -> Iterator[Retarget]:
    """Branches whose parent is gone hang below the default environment."""
    default = scene.default_id
    if default is None:
        return
    for each in sorted(scene.standing, key=lambda each: each.id):
        goes = each.pull is not None or each.id in scene.removed or each.id == default
        # A former default environment is moved by the step that takes its place away.
        if not goes and not each.is_main and each.parent not in scene.surviving:
            yield Retarget(each.id, default)


def _mark(scene: Scene, absences: Absences) -> Iterator[MarkRemote]:
    heads = scene.remote.heads
    if not heads:
        return
    stay = [each for each in scene.standing if each.pull is None and each.id not in absences.gone]
    back = [each.id for each in stay if not each.has_remote and each.name in heads]
    lost = [each.id for each in stay if each.has_remote and each.name not in heads]
    for found, has_remote in ((back, True), (lost, False)):
        if found:
            yield MarkRemote(tuple(sorted(found)), has_remote)


def _adopt(scene: Scene) -> Iterator[Adopt]:
    mine = scene.known.integration_id
    left = sorted(each.id for each in scene.standing if each.integration_id != mine and each.id not in scene.removed)
    if left:
        yield Adopt(tuple(left))


def _explain(scene: Scene, remote: RemoteState) -> Iterator[str]:
    for name in sorted(set(remote.heads) - set(scene.remote.heads)):
        shown = name.encode("utf-8", "backslashreplace").decode()[:80]
        yield f"Skipping branch {shown}: its name is not UTF-8, or longer than 1,000 bytes"
    if remote.default_branch is not None and scene.remote.heads and scene.announced is None:
        yield f"The host's default branch {remote.default_branch} does not exist there"
    yield from explain_pulls(scene)
