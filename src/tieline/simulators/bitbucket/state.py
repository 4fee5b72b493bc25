"""What the simulated host knows."""

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

PullState = Literal["OPEN", "MERGED", "DECLINED"]


def timestamp() -> str:
    """Now, as Bitbucket writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def new_uuid() -> str:
    """An identifier in braces."""
    return "{" + str(uuid.uuid4()) + "}"


@dataclass(frozen=True)
class Consumer:
    """An OAuth2 consumer with its permissions."""

    key: str
    secret: str
    scopes: frozenset[str]


@dataclass(frozen=True)
class Addon:
    """An installation of a Connect add-on."""

    addon_key: str
    client_key: str
    shared_secret: str


@dataclass(frozen=True)
class Token:
    """An access token; `until` is a monotonic time."""

    value: str
    scopes: frozenset[str]
    until: float

    @staticmethod
    def mint(scopes: frozenset[str], until: float) -> "Token":
        return Token(secrets.token_urlsafe(48), scopes, until)


@dataclass
class Hook:
    """A webhook of a repository."""

    url: str
    events: list[str]
    description: str = ""
    active: bool = True
    secret: str = field(default="", repr=False)
    uuid: str = field(default_factory=new_uuid)
    created_at: str = field(default_factory=timestamp)


@dataclass
class Pull:
    """A pull request. `source` is None once its repository is gone; `frozen_head` is set when it ends."""

    number: int
    title: str
    source: "Repository | None"
    source_branch: str
    target_branch: str
    description: str = ""
    state: PullState = "OPEN"
    draft: bool = False
    author: str = "Sam Simulated"
    frozen_head: str | None = None
    merge_commit: str | None = None
    created_on: str = field(default_factory=timestamp)
    updated_on: str = field(default_factory=timestamp)

    @property
    def head(self) -> str | None:
        """The commit of the source, while there is one."""
        if self.frozen_head is not None:
            return self.frozen_head
        return self.source.heads.get(self.source_branch) if self.source is not None else None


@dataclass
class Repository:
    """A repository with what hangs on it. `heads` mirrors what its Git repository at `path` holds."""

    full_name: str
    path: Path
    main_branch: str = "main"
    parent: "Repository | None" = None
    private: bool = True
    uuid: str = field(default_factory=new_uuid)
    heads: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)
    hooks: dict[str, Hook] = field(default_factory=dict)
    statuses: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    @property
    def workspace(self) -> str:
        return self.full_name.split("/", 1)[0]

    @property
    def slug(self) -> str:
        return self.full_name.split("/", 1)[1]

    def pull_number(self) -> int:
        return max(self.pulls, default=0) + 1


@dataclass
class Host:
    """Everything. Repositories are found whatever the case of their names; renamed ones under the old name too."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    consumers: dict[str, Consumer] = field(default_factory=dict)
    addons: dict[str, Addon] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)

    def find(self, full_name: str) -> Repository | None:
        """By name, or by workspace and uuid."""
        workspace, _, slug = full_name.casefold().partition("/")
        if slug.startswith("{"):
            every = self.repositories.values()
            return next((each for each in every if (each.workspace.casefold(), each.uuid) == (workspace, slug)), None)
        return self.repositories.get(full_name.casefold())

    def add(self, repository: Repository) -> None:
        self.repositories[repository.full_name.casefold()] = repository
