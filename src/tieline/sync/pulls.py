"""What follows from pull requests. Pure."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from tieline.core import ids
from tieline.core.documents import Environment, PullInfo
from tieline.core.remote import PullRequest
from tieline.sync.scene import Scene, is_running, is_storable
from tieline.sync.steps import (
    AwaitApproval,
    AwaitNextApproval,
    CreatePull,
    Push,
    Retarget,
    Step,
    UpdateHeads,
    UpdatePull,
)

_LONGEST_TEXT: Final = 1000
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def plan_pulls(scene: Scene) -> Iterator[Step]:
    """Steps for pull requests that are open, by number; removal is decided elsewhere."""
    if scene.settings.build_pull_requests:
        yield from _appeared(scene)
    for _, environment in sorted(scene.pulls.items()):
        if environment.status != "deleting" and environment.id not in scene.removed:
            yield from _follow(scene, environment)


def explain_pulls(scene: Scene) -> Iterator[str]:
    """Notes on open pull requests that cannot be followed now."""
    for number, pull in sorted(scene.remote.pulls.read.items()):
        if pull.state != "open" or not scene.settings.build_pull_requests:
            continue
        known = scene.pulls.get(number)
        if _head(scene, _remember(pull, known.pull if known else None), pull) is None:
            stays = "keeps its environment as it is" if known else "has no environment"
            source = "its fork or branch is gone or cannot be read" if pull.is_fork else "its source branch is gone"
            yield f"Pull request {number} {stays}: {source}"


def _appeared(scene: Scene) -> Iterator[CreatePull]:
    taken = {each.id for each in scene.environments} | set(scene.new_branches.values())
    for number, pull in sorted(scene.remote.pulls.read.items()):
        if pull.state != "open" or number in scene.pulls:
            continue
        info = _remember(pull, None)
        head = _head(scene, info, pull)
        if head is None or info.source_branch is None or not is_storable(info.source_branch):
            continue
        created = _environment(scene, info, head, taken)
        taken.add(created.id)
        yield CreatePull(created, None if info.is_fork else Push(created.id, created.name, None, head))


def _environment(scene: Scene, info: PullInfo, head: str, taken: set[str]) -> Environment:
    plain = ids.pull_environment_id(info.number)
    return scene.make(
        plain if plain not in taken else ids.environment_id(plain, taken),
        info.source_branch or "",
        title=_title(info),
        status="inactive" if info.is_fork else "active",
        awaiting_approval=info.is_fork,
        parent=scene.parent_for(info.target_branch),
        pull=info,
        head_commit=head,
        clone_parent_on_create=scene.settings.clone_parent_data,
    )


def _follow(scene: Scene, environment: Environment) -> Iterator[Step]:
    if environment.pull is None:
        return
    pull = scene.remote.pulls.read.get(environment.pull.number)
    info = environment.pull if pull is None else _remember(pull, environment.pull)
    stranger = info.is_fork and not environment.pull.is_fork
    if stranger and not environment.awaiting_approval:
        yield AwaitApproval(environment.id)
    if info != environment.pull:
        title = _title(info) if info.title != environment.pull.title else environment.title
        yield UpdatePull(environment.id, info, title, info.source_branch or environment.name)
    parent = scene.parent_for(info.target_branch, environment.id)
    if parent is not None and parent != environment.parent:
        yield Retarget(environment.id, parent)
    head = _head(scene, info, pull)
    if head is not None and head != environment.head_commit and scene.settings.build_pull_requests:
        yield _move(environment, info, head, waits=stranger or environment.awaiting_approval)


def _move(
    environment: Environment, info: PullInfo, head: str, *, waits: bool
) -> Push | UpdateHeads | AwaitNextApproval:
    """An approval is for the commit that an administrator could look at, not for whatever a stranger pushes later."""
    if info.is_fork and not waits:
        return AwaitNextApproval(environment.id, head)
    if waits or not is_running(environment):
        return UpdateHeads({environment.id: head})
    return Push(environment.id, info.source_branch or environment.name, environment.head_commit, head)


def _head(scene: Scene, info: PullInfo, pull: PullRequest | None) -> str | None:
    """The full hash of the source; None where git has not told it.

    A pull request whose source repository is gone names a branch, but not one of this repository: a branch of
    the same name here is somebody else's work.
    """
    if pull is not None and (pull.source_repository is None or pull.source_branch is None):
        return None
    if info.is_fork:
        return scene.remote.pulls.fork_heads.get(info.number)
    return scene.remote.heads.get(info.source_branch or "")


def _remember(pull: PullRequest, before: PullInfo | None) -> PullInfo:
    """What is kept of a pull request; where its source is gone, what is known of it from before stays."""
    target = pull.target_branch if pull.target_branch and is_storable(pull.target_branch) else None
    info = PullInfo(
        number=pull.number,
        title=_clean(pull.title),
        source_branch=pull.source_branch,
        source_repository=_clean(pull.source_repository or "") or None,
        target_branch=target or (before.target_branch if before else None),
        is_fork=pull.is_fork,
        url=_clean(pull.url),
        author=_clean(pull.author),
    )
    lost = pull.source_repository is None or pull.source_branch is None or not is_storable(pull.source_branch)
    if before is None or not lost:
        return info
    return replace(
        info,
        source_branch=before.source_branch,
        source_repository=before.source_repository,
        is_fork=before.is_fork,
    )


def _title(info: PullInfo) -> str:
    return f"PR #{info.number}: {info.title}"


def _clean(text: str) -> str:
    """On one line and not endless: anybody may open a pull request, and what it is called goes into logs."""
    return _CONTROLS.sub(" ", text[:_LONGEST_TEXT]).strip()
