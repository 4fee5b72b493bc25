"""Short ways to write down a host, the environments and a plan."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from tieline.core import ids
from tieline.core.documents import Environment, EnvironmentStatus, PruneHold, PullInfo
from tieline.core.remote import PullRequest
from tieline.sync import steps
from tieline.sync.plan import plan
from tieline.sync.state import Known, RemotePulls, RemoteState, SourceSettings

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
PROJECT, INTEGRATION = "project234567", "integration23"
REPOSITORY = "acme/site"
SETTINGS = SourceSettings()
KNOWN = Known(PROJECT, INTEGRATION, default_branch="main", remote_default_branch="main")


def sha(mark: str) -> str:
    """A full hash from one character or a short beginning."""
    return (mark * 40)[:40]


def short(commit: str | None) -> str:
    return "-" if commit is None else commit[:1]


def env(id: str, name: str | None = None, head: str | None = "1", **fields: Any) -> Environment:
    common: dict[str, Any] = {
        "machine_name": ids.machine_name(PROJECT, id),
        "title": name or id,
        "type": "development",
        "status": "inactive",
        "parent": "main",
        "is_main": False,
        "created_at": NOW,
        "updated_at": NOW,
        "integration_id": INTEGRATION,
        "head_commit": sha(head) if head else None,
    }
    return Environment(id=id, project_id=PROJECT, name=name or id, **{**common, **fields})


def main(id: str = "main", name: str | None = None, head: str = "1", **fields: Any) -> Environment:
    shape: dict[str, Any] = {"type": "production", "status": "active", "parent": None, "is_main": True}
    return env(id, name, head, **{**shape, **fields})


def pull_env(number: int, source: str | None = "topic", head: str | None = "1", **fields: Any) -> Environment:
    """The environment of a pull request from this repository, as a plan creates it."""
    known = {"source_branch": source, "source_repository": REPOSITORY, "target_branch": "main", "is_fork": False}
    info = PullInfo(number=number, title="Change", **{**known, **fields.pop("pull", {})})
    shape: dict[str, Any] = {"status": "active", "title": f"PR #{number}: Change", "pull": info}
    return env(f"pr-{number}", source or "gone", head, **{**shape, **fields})


def fork_env(number: int, head: str = "1", **fields: Any) -> Environment:
    shape: dict[str, Any] = {"status": "inactive", "awaiting_approval": True}
    fork = {"source_repository": "stranger/site", "is_fork": True}
    return pull_env(number, "topic", head, pull=fork, **{**shape, **fields})


def pull(number: int, source: str | None = "topic", target: str = "main", **fields: Any) -> PullRequest:
    """An open pull request; Bitbucket abbreviates its head to 12 characters."""
    common: dict[str, Any] = {
        "title": "Change",
        "state": "open",
        "source_repository": REPOSITORY,
        "head": sha("1")[:12],
        "is_fork": False,
    }
    return PullRequest(number=number, source_branch=source, target_branch=target, **{**common, **fields})


def fork(number: int, **fields: Any) -> PullRequest:
    return pull(number, **{"source_repository": "stranger/site", "is_fork": True, **fields})


def host(
    heads: str = "main@1",
    *pulls: PullRequest,
    default: str | None = "main",
    complete: bool = True,
    gone: Iterable[int] = (),
    fork_heads: Mapping[int, str] | None = None,
) -> RemoteState:
    """`heads` reads `branch@mark branch@mark`; the last pull request of a number wins."""
    found = dict(each.rsplit("@", 1) for each in heads.split())
    return RemoteState(
        heads={name: sha(mark) for name, mark in found.items()},
        default_branch=default,
        pulls=RemotePulls(
            read={each.number: each for each in pulls},
            gone=frozenset(gone),
            complete=complete,
            fork_heads={number: sha(mark) for number, mark in (fork_heads or {}).items()},
        ),
    )


def held(*environments: str, age: int, confirmed: bool = False, known: Known = KNOWN) -> Known:
    """A hold of so many seconds."""
    return replace(known, hold=PruneHold(environments, NOW - timedelta(seconds=age)), confirmed=confirmed)


def said(plan_: steps.Plan) -> list[str]:
    """A plan in short sentences."""
    refused = plan_.refusal
    first = [f"refuse {' '.join(refused.environments)} of {refused.population}"] if refused else []
    return first + [line for step in plan_.steps for line in _say(step)]


def _say(step: steps.Step) -> list[str]:  # noqa: C901, PLR0912
    match step:
        case steps.FollowDefaultBranch():
            extra = [f"instead of {step.former}"] if step.former else []
            extra += [f"moving {' '.join(step.children)}"] if step.children else []
            made = "create" if step.create else "follow"
            line = " ".join([f"{made} default {step.environment_id} for {step.branch}", *extra])
            return [line, *(_say(step.push) if step.push else [])]
        case steps.CreateBranches():
            return [_made(each) for each in step.environments]
        case steps.UpdateHeads():
            return [f"head {name} {short(head)}" for name, head in step.heads.items()]
        case steps.Push():
            return [f"push {step.environment_id} {short(step.old)}>{short(step.new)}"]
        case steps.CreatePull():
            return [_made(step.environment), *(_say(step.push) if step.push else ["waits"])]
        case steps.UpdatePull():
            return [f"pull {step.environment_id} {step.name}>{step.pull.target_branch} {step.title}"]
        case steps.Retarget():
            return [f"parent {step.environment_id} {step.parent}"]
        case steps.AwaitApproval():
            return [f"await {step.environment_id}"]
        case steps.AwaitNextApproval():
            return [f"await {step.environment_id} {short(step.head)}"]
        case steps.RemoveEnvironment():
            return [f"remove {step.environment_id}: {step.reason}"]
        case steps.HoldRemovals():
            return [f"hold {' '.join(step.environments)}"]
        case steps.ReleaseHold():
            return ["release"]
        case steps.MarkRemote():
            return [f"{'back' if step.has_remote else 'lost'} {' '.join(step.environments)}"]
        case steps.Adopt():
            return [f"adopt {' '.join(step.environments)}"]


def _made(each: Environment) -> str:
    return f"create {each.id} for {each.name} {each.status} {short(each.head_commit)} below {each.parent}"


class World:
    """Environments to which plans are applied, as `sync.apply` does it in the database."""

    def __init__(self, environments: Iterable[Environment] = (), known: Known = KNOWN) -> None:
        self.environments = {each.id: each for each in environments}
        self.known = known

    def plan(self, remote: RemoteState, settings: SourceSettings = SETTINGS, now: datetime = NOW) -> steps.Plan:
        return plan(remote, settings, list(self.environments.values()), self.known, now)

    def apply(self, planned: steps.Plan) -> None:
        for step in planned.steps:
            self._apply(step)

    def finish_removals(self) -> None:
        """What the activity `environment.delete` does at its end."""
        for each in [one for one in self.environments.values() if one.status == "deleting"]:
            del self.environments[each.id]
            for child in [one for one in self.environments.values() if one.parent == each.id]:
                self._set(child.id, parent=each.parent)

    def _set(self, id: str, **fields: Any) -> None:
        self.environments[id] = replace(self.environments[id], **fields)

    def _add(self, *environments: Environment) -> None:
        for each in environments:
            assert each.id not in self.environments, each.id
            self.environments[each.id] = each

    def _status(self, id: str, status: EnvironmentStatus) -> None:
        self._set(id, status=status)

    def _apply(self, step: steps.Step) -> None:  # noqa: C901, PLR0912
        match step:
            case steps.FollowDefaultBranch():
                self._follow(step)
            case steps.CreateBranches():
                self._add(*step.environments)
            case steps.UpdateHeads():
                for name, head in step.heads.items():
                    self._set(name, head_commit=head)
            case steps.Push():
                self._set(step.environment_id, head_commit=step.new)
            case steps.CreatePull():
                self._add(step.environment)
            case steps.UpdatePull():
                self._set(step.environment_id, pull=step.pull, title=step.title, name=step.name)
            case steps.Retarget():
                self._set(step.environment_id, parent=step.parent)
            case steps.AwaitApproval():
                self._set(step.environment_id, status="inactive", awaiting_approval=True)
            case steps.AwaitNextApproval():
                self._set(step.environment_id, head_commit=step.head, awaiting_approval=True)
            case steps.RemoveEnvironment():
                self._status(step.environment_id, "deleting")
            case steps.HoldRemovals():
                self.known = replace(self.known, hold=PruneHold(step.environments, step.since))
            case steps.ReleaseHold():
                self.known = replace(self.known, hold=None)
            case steps.MarkRemote():
                for each in step.environments:
                    self._set(each, has_remote=step.has_remote)
            case steps.Adopt():
                for each in step.environments:
                    self._set(each, integration_id=self.known.integration_id)

    def _follow(self, step: steps.FollowDefaultBranch) -> None:
        if step.create:
            self._add(step.create)
        for each in step.children:
            self._set(each, parent=step.environment_id)
        if step.former:
            self._set(step.former, is_main=False, type="development", parent=step.environment_id)
        production: dict[str, Any] = {"is_main": True, "type": "production", "parent": None}
        if step.push:
            production |= {"head_commit": step.push.new, "status": "active"}
        self._set(step.environment_id, **production)
        self.known = replace(self.known, default_branch=step.branch, remote_default_branch=step.announced)


State = Literal["open", "merged", "declined"]
