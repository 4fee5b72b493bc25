"""The seams between rooms that may not import each other; the composition root joins them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from tieline.core.documents import JSON, Activity, ActivityResult, Environment, Project, Variable
from tieline.core.http import HTTPClient, Request, Response


class Log(Protocol):
    """The log of a running activity. Secrets known to the activity are masked before a line is stored."""

    async def write(self, text: str) -> None:
        """Append text; several lines are split, a missing final newline is added."""
        ...


class Journal(Log, Protocol):
    """The log of the activity of one delivery."""

    async def before_effect(self) -> None:
        """Call before the first thing that must never be done twice: it is on record when this returns.

        A delivery that is interrupted after that is not tried again.
        """
        ...


@dataclass(frozen=True)
class Outcome:
    """How an activity ended. `updates` are merged into its payload."""

    result: ActivityResult = "success"
    failure_reason: Literal["error", "shell"] | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    payload: JSON = field(default_factory=dict)
    commands: tuple[JSON, ...] = ()


class ActivityHandler(Protocol):
    """Does the work of one kind of activity.

    It runs under the lock of its environment or integration, may be run again from the start after a
    crash, and is cancelled by asyncio cancellation when a person asks for it.
    """

    async def __call__(self, activity: Activity, log: Log, /) -> Outcome: ...


Action = Literal["build", "deploy", "sync-data", "pause", "delete"]


@dataclass(frozen=True)
class DeploySubject:
    """What an order is about. `environment.deployment` is the previous one."""

    project: Project
    environment: Environment
    parent: Environment | None
    commit: str | None
    activity_id: str


class OrderWriter(Protocol):
    """Writes the document of an order. Pure."""

    def __call__(self, action: Action, subject: DeploySubject, tree: Path | None) -> JSON: ...


@dataclass(frozen=True)
class DeployOrder:
    """What a deployer is asked to do. `document` is what the command reads on stdin."""

    action: Action
    document: JSON
    tree: Path | None = None


@dataclass(frozen=True)
class DeployAnswer:
    """What a deployer reports: where the environment can be reached."""

    urls: tuple[str, ...] = ()


class Deployer(Protocol):
    """Turns an environment into something that runs. Actions are idempotent."""

    async def run(self, order: DeployOrder, log: Log) -> DeployAnswer:
        """Raises `DeployFailed`; output goes to the log line by line as it appears."""
        ...


class Limiter(Protocol):
    """One budget per credential, shared by every process on the database."""

    async def take(self, credential: str, per_hour: int) -> None:
        """Spend one request; raises `RateLimited` when the hour's budget is gone or a block is in force."""
        ...

    async def block(self, credential: str, seconds: float) -> None:
        """The host said 429: nobody uses this credential for so long."""
        ...


@dataclass(frozen=True)
class ScriptEnd:
    """How a script ended: `error` is empty when it came to its end, else what kind of failure `sentence` tells of.

    `lost` need not be the script's own doing. `stack` is where it failed, in its own lines, where that is known.
    """

    error: Literal["", "exception", "time", "memory", "crash", "lost"] = ""
    sentence: str = ""
    stack: str = ""


class ScriptHost(Protocol):
    """What a running script may ask for. A `RemoteError` or `Invalid` becomes a JavaScript exception in it."""

    async def log(self, text: str) -> None:
        """One call of `console.log`."""
        ...

    async def fetch(self, request: Request) -> Response: ...

    async def get(self, key: str) -> str | None: ...

    async def set(self, key: str, value: str) -> None: ...

    async def remove(self, key: str) -> None: ...

    async def clear(self) -> None: ...


class ScriptRunner(Protocol):
    """Runs activity scripts where they can harm nobody."""

    async def run(self, source: str, world: JSON, host: ScriptHost, whose: str = "") -> ScriptEnd:
        """Run one; `world` has `activity`, `project` and `variables`. A cancelled run is killed.

        Those of others do not wait for all that belong to `whose`.

        Raises `Unavailable` when no process could be started for it.
        """
        ...

    async def check(self, source: str) -> str:
        """What is wrong with its syntax, in a sentence, empty when nothing is. Nothing of it is run."""
        ...


class ScriptStore(Protocol):
    """What integrations have for their scripts: variables, and what is kept from one run to the next."""

    async def variables(self, integration_id: str) -> Sequence[Variable]: ...

    async def get(self, integration_id: str, key: str) -> str | None: ...

    async def set(self, integration_id: str, key: str, value: str) -> None:
        """Raises `Invalid` when it is too long, or one too many."""
        ...

    async def remove(self, integration_id: str, key: str) -> None: ...

    async def clear(self, integration_id: str) -> None: ...


@dataclass(frozen=True)
class Scripting:
    """What it takes to run the script of an integration."""

    runner: ScriptRunner
    store: ScriptStore


@dataclass(frozen=True)
class Toolbox:
    """What the composition root hands to an integration type. A delivery may take so many seconds."""

    http: HTTPClient
    limiter: Limiter
    settings: Mapping[str, str]
    delivery_seconds: float = 20.0
    cache: dict[str, Any] = field(default_factory=dict, repr=False)
    scripting: Scripting | None = None
