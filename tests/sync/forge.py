"""A Git host for these tests: real git over HTTP, and an API whose faults are switched on."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import orjson

from tests.git.http_backend import GitServer
from tests.git.repository import HostedRepository
from tieline.core.documents import Integration
from tieline.core.errors import Invalid, RemoteMoved, RemoteNotFound, RemoteRejected
from tieline.core.ports import Toolbox
from tieline.core.remote import (
    GitCredentials,
    HookEvent,
    Ignored,
    PullListing,
    PullRequest,
    RegisteredHook,
    RemoteRepository,
    Scope,
)
from tieline.core.secret import Secret
from tieline.integrations.base import HookRegistrar, IntegrationType, Source
from tieline.integrations.fields import IntegrationFields

NAME = "acme/site"


@dataclass
class Forge:
    """One repository with its pull requests.

    `asked` are the API requests; `fault` may raise in any of them. `meanwhile` happens while pull requests are listed.
    """

    server: GitServer
    repository: HostedRepository
    id: str = "{repository-1}"
    name: str = NAME
    default_branch: str | None = "main"
    pulls: dict[int, PullRequest] = field(default_factory=dict)
    page_length: int = 50
    hooks: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    fault: Callable[[str], None] | None = None
    listing: Callable[[PullListing], PullListing] = lambda listing: listing
    redirects: bool = True
    meanwhile: Callable[[], Awaitable[None]] | None = None
    renewals: int = 0

    def ask(self, what: str) -> None:
        self.asked.append(what)
        if self.fault is not None:
            self.fault(what)

    def open_pull(self, number: int, source: str, target: str = "main", *, fork: str | None = None) -> None:
        host = self.repository if fork is None else HostedRepository(self.server.root / fork)
        self.pulls[number] = PullRequest(
            number=number,
            title=f"Change {number}",
            state="open",
            source_branch=source,
            source_repository=fork or self.name,
            target_branch=target,
            head=host.heads()[source][:12],
            is_fork=fork is not None,
            url=f"https://forge.example/pulls/{number}",
            author="ada",
        )

    def change_pull(self, number: int, **fields: object) -> None:
        self.pulls[number] = replace(self.pulls[number], **fields)  # type: ignore[arg-type]

    def fork(self, name: str) -> HostedRepository:
        path = self.server.root / name
        made = HostedRepository.create(path)
        made.git("fetch", "--quiet", str(self.repository.path), "+refs/heads/*:refs/heads/*")
        return made

    def type(self) -> IntegrationType:
        return IntegrationType(
            key="forge",
            title="Forge",
            summary="A host for tests.",
            fields=IntegrationFields,
            example={},
            is_git_source=True,
            hook_format=ForgeHooks(),
            hook_events=("push", "pull"),
            source=self.source,
            hook_registrar=self.registrar,
        )

    def source(self, integration: Integration, _toolbox: Toolbox) -> Source:
        return ForgeSource(self, integration.config["repository"])

    def registrar(self, _integration: Integration, _toolbox: Toolbox) -> HookRegistrar:
        return ForgeRegistrar(self)


@dataclass
class ForgeSource:
    forge: Forge
    name: str

    def _ask(self, what: str) -> None:
        """Everything but the repository itself is found under its name of today only."""
        self.forge.ask(what)
        if self.name == self.forge.name:
            return
        if self.forge.redirects:
            raise RemoteMoved(f"{self.name} is named otherwise now.")
        raise RemoteNotFound(f"There is no {self.name}.")

    async def repository(self) -> RemoteRepository:
        self.forge.ask("repository")
        url = self.forge.server.url(self.forge.repository.path.name)
        return RemoteRepository(self.forge.id, self.forge.name, url, self.forge.default_branch)

    async def pulls(self, max_pages: int | None) -> PullListing:
        self._ask("pulls")
        if self.forge.meanwhile is not None:
            await self.forge.meanwhile()
        opened = [each for _, each in sorted(self.forge.pulls.items()) if each.state == "open"]
        window = len(opened) if max_pages is None else max_pages * self.forge.page_length
        return self.forge.listing(PullListing(tuple(opened[:window]), complete=len(opened) <= window))

    async def pull(self, number: int) -> PullRequest | None:
        try:
            self._ask(f"pull {number}")
        except RemoteNotFound:
            return None
        return self.forge.pulls.get(number)

    async def fork_url(self, pull: PullRequest) -> str:
        self.forge.ask("fork")
        path = self.forge.server.root / (pull.source_repository or "")
        if not path.exists():
            raise RemoteNotFound(f"{pull.source_repository} is not there, or private.")
        return self.forge.server.url(pull.source_repository or "")

    async def git_credentials(self, *, renew: bool = False) -> GitCredentials:
        self.forge.renewals += renew
        return GitCredentials("x-token-auth", Secret(f"token-{self.forge.renewals}"))

    def git_urls_allowed(self) -> tuple[str, ...]:
        return (self.forge.server.origin + "/",)


@dataclass
class ForgeRegistrar:
    forge: Forge

    async def ensure(self, url: str, known_id: str | None) -> tuple[RegisteredHook, bool]:
        self.forge.ask("ensure")
        if "127.0.0.2" in url:
            raise RemoteRejected("The URL is not public.")
        found = next((name for name, place in self.forge.hooks.items() if place == url), None)
        name = found or f"hook-{len(self.forge.asked)}"
        self.forge.hooks[name] = url
        return RegisteredHook(name, url, active=True), found is None

    async def remove(self, url: str, known_id: str | None) -> None:
        self.forge.ask("remove")
        for name in [name for name, place in self.forge.hooks.items() if place == url or name == known_id]:
            del self.forge.hooks[name]


class ForgeHooks:
    def is_signed(self, headers: Mapping[str, str]) -> bool:
        return "x-signature" in headers

    def verify(self, headers: Mapping[str, str], body: bytes, secret: bytes) -> bool:
        return False

    def parse(self, headers: Mapping[str, str], body: bytes) -> HookEvent | Ignored:
        """`{"event": "push"}` or `{"event": "pull", "number": 1}`, with the repository's id."""
        try:
            told = orjson.loads(body)
            if told["event"] == "push":
                return HookEvent("push", Scope(frozenset(), repository=False), told.get("id"), told.get("name"))
            if told["event"] == "pull":
                return HookEvent("pull", Scope(frozenset({told["number"]}), repository=False), told.get("id"))
            return Ignored(f"{told['event']} changes nothing")
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise Invalid({}, "This is no hook of a forge.") from error
