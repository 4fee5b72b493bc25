"""The things Tieline keeps, as frozen values. Field names are the wire's where the wire has one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from tieline.core.secret import Secret

JSON = dict[str, Any]
Role = Literal["admin", "viewer"]
ActivityState = Literal["pending", "in_progress", "complete", "cancelled"]
ActivityResult = Literal["success", "failure"]
EnvironmentStatus = Literal["active", "inactive", "deleting", "dirty", "paused"]
EnvironmentType = Literal["production", "staging", "development"]
Queue = Literal["default", "integrations"]


@dataclass(frozen=True)
class Account:
    """A person or machine user. An operator administers the server and sees every project."""

    id: str
    username: str
    email: str
    first_name: str
    last_name: str
    is_operator: bool
    created_at: datetime
    updated_at: datetime | None = None

    @property
    def display_name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip() or self.username


@dataclass(frozen=True)
class APIToken:
    """A long-lived token without its value: only a digest is kept."""

    id: str
    account_id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True)
class Organization:
    """Owns projects. The default one owns those that name no other."""

    id: str
    name: str
    label: str
    owner: str
    is_default: bool
    created_at: datetime
    updated_at: datetime | None = None


@dataclass(frozen=True)
class Project:
    """`organization` is None until it is stored: then it is that of the server, unless another one was named."""

    id: str
    title: str
    description: str
    attributes: Mapping[str, str]
    default_branch: str | None
    timezone: str
    region: str
    owner: str
    created_at: datetime
    updated_at: datetime | None
    organization: str | None = None


@dataclass(frozen=True)
class PruneHold:
    """Removals that one listing asked for and that wait for a second one (or a person) to agree."""

    environments: tuple[str, ...]
    since: datetime


@dataclass(frozen=True)
class Integration:
    """A configured integration.

    `config` holds the fields of its type that are no secrets; `secrets` the others by dotted name
    (`app_credentials.secret`), decrypted, also those that can be read back (JSON text where they are no string), what
    they were before while that is still good (`shared_key.previous`), and `hook` for the hook's signing secret.
    """

    id: str
    project_id: str
    type: str
    config: JSON
    created_at: datetime
    updated_at: datetime | None
    secrets: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    remote_id: str | None = None
    remote_default_branch: str | None = None
    hook_id: str | None = None
    hook_checked_at: datetime | None = None
    signed_hook_seen: bool = False
    next_reconcile_at: datetime | None = None
    reconciled_at: datetime | None = None
    last_error: str | None = None
    prune_hold: PruneHold | None = None
    deleted_at: datetime | None = None


@dataclass(frozen=True)
class Variable:
    """What an integration is told by name. `value` is JSON text if `is_json`, and never shown if `is_sensitive`."""

    integration_id: str
    name: str
    value: Secret = field(repr=False)
    attributes: Mapping[str, str]
    is_json: bool
    is_sensitive: bool
    created_at: datetime
    updated_at: datetime | None


@dataclass(frozen=True)
class PullInfo:
    """What an environment remembers of its pull request, so that a push needs no REST request."""

    number: int
    title: str
    source_branch: str | None
    source_repository: str | None
    target_branch: str | None
    is_fork: bool
    url: str = ""
    author: str = ""


@dataclass(frozen=True)
class Deployment:
    """The last deployment that succeeded."""

    commit: str
    urls: tuple[str, ...]
    deployed_at: datetime


@dataclass(frozen=True)
class DeploymentOutcome:
    """How the last activity that deployed an environment ended, whatever came of it."""

    result: ActivityResult | None
    failure_reason: Literal["error", "shell"] | None
    completed_at: datetime | None
    commands: tuple[JSON, ...] = ()


def open_access() -> JSON:
    """Everybody may see an environment, until somebody says otherwise."""
    return {"is_enabled": True, "addresses": [], "basic_auth": {}}


@dataclass(frozen=True)
class Environment:
    """An environment. `name` is the branch (of the source, for a pull request); `id` is unique in its project."""

    id: str
    project_id: str
    name: str
    machine_name: str
    title: str
    type: EnvironmentType
    status: EnvironmentStatus
    parent: str | None
    is_main: bool
    created_at: datetime
    updated_at: datetime | None
    integration_id: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    pull: PullInfo | None = None
    head_commit: str | None = None
    has_remote: bool = True
    awaiting_approval: bool = False
    clone_parent_on_create: bool = True
    init_resources: str = "default"
    http_access: JSON = field(default_factory=open_access)
    enable_smtp: bool = False
    restrict_robots: bool = True
    deployment: Deployment | None = None
    data_synced_at: datetime | None = None
    last_active_at: datetime | None = None
    has_pending_activity: bool = False

    @property
    def is_pull(self) -> bool:
        return self.pull is not None


def is_below(id: str | None, other: str, environments: Mapping[str, Environment]) -> bool:
    """Whether the environment `id` is `other`, or hangs below it however far. Circles have an end here too."""
    seen: set[str] = set()
    above: str | None = id
    while above is not None and above not in seen and above != other:
        seen.add(above)
        found = environments.get(above)
        above = found.parent if found is not None else None
    return above == other


@dataclass(frozen=True)
class Activity:
    """One thing that happens. `attempt` counts starts and fences off a worker that was thought dead."""

    id: str
    project_id: str
    type: str
    state: ActivityState
    result: ActivityResult | None
    created_at: datetime
    updated_at: datetime | None
    integration_id: str | None = None
    environment_id: str | None = None
    parameters: JSON = field(default_factory=dict)
    payload: JSON = field(default_factory=dict)
    failure_reason: Literal["error", "shell"] | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    cancelled_at: datetime | None = None
    expires_at: datetime | None = None
    completion_percent: int = 0
    timings: Mapping[str, float] = field(default_factory=dict)
    description: str = ""
    text: str = ""
    commands: tuple[JSON, ...] = ()
    queue: Queue = "default"
    attempt: int = 0
    cancel_requested_at: datetime | None = None


@dataclass(frozen=True)
class LogLine:
    """One line of an activity's log. `message` carries its own newline; `seq` starts at 1."""

    seq: int
    at: datetime
    message: str


@dataclass(frozen=True)
class NewActivity:
    """An activity to be created; `core.kinds` builds them.

    With a `concurrency_key` it waits for admission and a worker; without one it is a record of
    something the creating transaction did, and is complete at once.
    """

    project_id: str
    type: str
    description: str
    text: str
    integration_id: str | None = None
    environment_id: str | None = None
    parameters: JSON = field(default_factory=dict)
    payload: JSON = field(default_factory=dict)
    queue: Queue = "default"
    concurrency_key: str | None = None
    is_production: bool = False


@dataclass(frozen=True)
class Commit:
    """A commit as activities show it. `date` is seconds since the epoch."""

    sha: str
    author_name: str
    author_email: str
    date: int
    message: str
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Actor:
    """Who caused an activity: an account, or the integration through which somebody else did."""

    id: str
    display_name: str
    created_at: datetime | None = None
    updated_at: datetime | None = None
