"""What an integration type declares, and the roles it may play.

A role is a narrow protocol. A type plays any subset by giving a factory for it; everything that is the
same for all types (storage, masking, OpenAPI, paging of activities, pruning, retries) is outside.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tieline.core.deliveries import Message, Receipt
from tieline.core.documents import JSON, Integration, Variable
from tieline.core.errors import NotFound
from tieline.core.ports import Journal, Toolbox
from tieline.core.redact import variable_texts
from tieline.core.remote import (
    BuildStatus,
    GitCredentials,
    HookEvent,
    Ignored,
    PullListing,
    PullRequest,
    RegisteredHook,
    RemoteRepository,
)
from tieline.integrations.fields import IntegrationFields, sealed_names, secret_texts


class Source(Protocol):
    """A Git host as the place branches and pull requests come from. Raises `RemoteError`s only."""

    async def repository(self) -> RemoteRepository:
        """One request. Raises `RemoteMoved`, `RemoteNotFound`, `CredentialsRefused`."""
        ...

    async def pulls(self, max_pages: int | None) -> PullListing:
        """Every open pull request, in a fixed order (oldest first), one request per page."""
        ...

    async def pull(self, number: int) -> PullRequest | None:
        """One pull request in any state; None only when the host says 404."""
        ...

    async def fork_url(self, pull: PullRequest) -> str:
        """Where to fetch a fork's branch from. Raises `RemoteNotFound` when it may not be read."""
        ...

    async def git_credentials(self, *, renew: bool = False) -> GitCredentials | None:
        """What git needs, None for anonymous access; `renew` after git was refused."""
        ...

    def git_urls_allowed(self) -> tuple[str, ...]:
        """URL prefixes (`https://bitbucket.org/`) that these credentials may be sent to."""
        ...


class HookRegistrar(Protocol):
    """Keeps our webhook at the host. Matches by exact URL and never touches other hooks."""

    async def ensure(self, url: str, known_id: str | None) -> tuple[RegisteredHook, bool]:
        """Register or repair; True when something was changed. The secret comes from the integration."""
        ...

    async def remove(self, url: str, known_id: str | None) -> None:
        """Idempotent: a hook that is gone already is fine."""
        ...


class StatusReporter(Protocol):
    """Puts build statuses on commits."""

    async def report(self, status: BuildStatus) -> None:
        """Create or replace by key. Raises `RemoteNotFound` when the commit is gone."""
        ...


class ActivitySink(Protocol):
    """Somebody who wants to know of activities."""

    async def deliver(self, message: Message, journal: Journal) -> Receipt:
        """Make one attempt. What goes wrong outside is in the receipt; errors that are raised are bugs."""
        ...


@dataclass(frozen=True)
class Findings:
    """What came of asking whether an integration can work.

    `problems` say by field what is missing and how to get it, `warnings` what works and should be better. `log` are
    lines about what was asked and answered, for the activity that tells of it where the type has deliveries.
    """

    problems: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)
    log: tuple[str, ...] = ()


class Validator(Protocol):
    """Asks the outside service whether the integration can work."""

    async def validate(self, hook_url: str) -> Findings:
        """All is well when there are no problems. May raise `RemoteError`, which is one."""
        ...


class HookFormat(Protocol):
    """Reads a host's webhooks. Pure: bytes and headers (lower-case names) in, values out."""

    def is_signed(self, headers: Mapping[str, str]) -> bool: ...

    def verify(self, headers: Mapping[str, str], body: bytes, secret: bytes) -> bool:
        """Constant time, over the raw bytes; an empty secret is never accepted."""
        ...

    def parse(self, headers: Mapping[str, str], body: bytes) -> HookEvent | Ignored:
        """Raises `Invalid` for anything that is not this host's payload; never anything else."""
        ...


@dataclass(frozen=True)
class Setting:
    """A setting of the operator's that belongs to one type, e.g. `TIELINE_BITBUCKET_API`."""

    name: str
    default: str
    help: str


@dataclass(frozen=True, eq=False)
class IntegrationType:
    """One integration type: what it is, its fields, the roles it plays.

    `not_yet` is a sentence about a type that is declared only: it is kept and served, and does nothing. `warnings` are
    sentences by field about what is accepted and should be better; a pure function.
    """

    key: str
    title: str
    summary: str
    fields: type[IntegrationFields]
    example: JSON
    is_git_source: bool = False
    not_yet: str = ""
    settings: tuple[Setting, ...] = ()
    hook_format: HookFormat | None = None
    hook_events: tuple[str, ...] = ()
    source: Callable[[Integration, Toolbox], Source] | None = None
    hook_registrar: Callable[[Integration, Toolbox], HookRegistrar] | None = None
    status_reporter: Callable[[Integration, Toolbox], StatusReporter] | None = None
    sink: Callable[[Integration, Toolbox], ActivitySink] | None = None
    validator: Callable[[Integration, Toolbox], Validator] | None = None
    warnings: Callable[[Integration], dict[str, str]] | None = None

    @property
    def acts(self) -> bool:
        """Whether integrations of the type do anything."""
        return not self.not_yet

    @property
    def is_followed(self) -> bool:
        """Whether environments follow what the Git source has; a project may have one, followed or not."""
        return self.is_git_source and self.acts


@dataclass(frozen=True)
class Registry:
    """The types of this installation, by key, with the toolbox they work with."""

    types: tuple[IntegrationType, ...]
    toolbox: Toolbox = field(repr=False)

    def __iter__(self) -> Iterator[IntegrationType]:
        return iter(self.types)

    def __contains__(self, key: str) -> bool:
        return any(each.key == key for each in self.types)

    def __getitem__(self, key: str) -> IntegrationType:
        for each in self.types:
            if each.key == key:
                return each
        raise NotFound(f"there is no integration type {key!r}")

    @property
    def sealed(self) -> dict[str, list[str]]:
        """The secrets that are read back, by type."""
        return {each.key: names for each in self.types if (names := sealed_names(each.fields))}

    def warnings(self, integration: Integration) -> dict[str, str]:
        """What to tell whoever sets it up, by field."""
        find = self[integration.type].warnings
        return find(integration) if find else {}

    def secret_texts(self, integration: Integration, variables: Iterable[Variable] = ()) -> list[str]:
        """What a log must not show of an integration and its variables, for a `Redactor`."""
        sensitive = (text for each in variables if each.is_sensitive for text in variable_texts(each))
        return [*secret_texts(self[integration.type].fields, integration.secrets), *sensitive]

    def source(self, integration: Integration) -> Source | None:
        make = self[integration.type].source
        return make(integration, self.toolbox) if make else None

    def hook_registrar(self, integration: Integration) -> HookRegistrar | None:
        make = self[integration.type].hook_registrar
        return make(integration, self.toolbox) if make else None

    def status_reporter(self, integration: Integration) -> StatusReporter | None:
        make = self[integration.type].status_reporter
        return make(integration, self.toolbox) if make else None

    def sink(self, integration: Integration) -> ActivitySink | None:
        make = self[integration.type].sink
        return make(integration, self.toolbox) if make else None

    def validator(self, integration: Integration) -> Validator | None:
        make = self[integration.type].validator
        return make(integration, self.toolbox) if make else None
