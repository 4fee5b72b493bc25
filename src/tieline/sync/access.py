"""One repository at its host: where it is, and git with credentials that are renewed when they are refused."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import structlog

from tieline.core.documents import Integration
from tieline.core.errors import Conflict, CredentialsRefused, RemoteMoved, RemoteNotFound
from tieline.core.remote import RemoteRepository
from tieline.git.remote import Remote
from tieline.integrations.base import Source

log = structlog.get_logger()
T = TypeVar("T")


@dataclass
class KnownRepositories:
    """What this process last read of each integration's repository, so that a push needs no REST request."""

    _by_integration: dict[str, tuple[object, RemoteRepository]] = field(default_factory=dict)

    def get(self, integration: Integration) -> RemoteRepository | None:
        """None unless it was read under the name that the integration has now."""
        name, repository = self._by_integration.get(integration.id, (None, None))
        return repository if name == repository_name(integration) else None

    def put(self, integration: Integration, repository: RemoteRepository) -> None:
        self._by_integration[integration.id] = (repository_name(integration), repository)

    def forget(self, integration_id: str) -> None:
        self._by_integration.pop(integration_id, None)


def repository_name(integration: Integration) -> object:
    """As the integration knows it."""
    return integration.config.get("repository")


@dataclass
class RepositoryAccess:
    """Reads one integration's repository, over REST at most once, and runs git against it.

    `fresh` is what the host said during this observation; None as long as nothing had to be asked.
    """

    integration: Integration
    make_source: Callable[[Integration], Source]
    known: KnownRepositories
    fresh: RemoteRepository | None = None

    def __post_init__(self) -> None:
        self.source = self.make_source(self.integration)

    async def read(self) -> RemoteRepository:
        """The repository as it is now. Raises `Conflict` for a stranger under the same name."""
        if self.fresh is None:
            repository = await self.source.repository()
            check_identity(self.integration, repository)
            self.known.put(self.integration, repository)
            self.fresh = repository
            if (name := self.new_name) is not None:
                # Under the old name the host answers with redirects, or not at all.
                renamed = replace(self.integration, config={**self.integration.config, "repository": name})
                self.source = self.make_source(renamed)
        return self.fresh

    @property
    def new_name(self) -> str | None:
        """The repository's name, when it has another one now than the integration knows."""
        known = repository_name(self.integration)
        if self.fresh is None or not isinstance(known, str):
            return None
        return None if self.fresh.full_name.casefold() == known.casefold() else self.fresh.full_name

    async def run(self, action: Callable[[Remote], Awaitable[T]]) -> T:
        """Do something with git; where the address turns out to be old it is read again, once."""
        repository = self.fresh or self.known.get(self.integration) or await self.read()
        try:
            return await self.run_at(repository.clone_url, action)
        except (RemoteMoved, RemoteNotFound):
            if self.fresh is not None:
                raise
            log.info("repository_address_is_old", integration=self.integration.id)
            return await self.run_at((await self.read()).clone_url, action)

    async def run_at(self, url: str, action: Callable[[Remote], Awaitable[T]]) -> T:
        """Do something with git at `url`; credentials that are refused are renewed, once."""
        allowed = self.source.git_urls_allowed()
        try:
            return await action(Remote(url, await self.source.git_credentials(), allowed))
        except CredentialsRefused:
            log.info("git_credentials_renewed", integration=self.integration.id)
            return await action(Remote(url, await self.source.git_credentials(renew=True), allowed))


def check_identity(integration: Integration, repository: RemoteRepository) -> None:
    """Raises `Conflict` when another repository has taken the place of the one that is followed."""
    if integration.remote_id is not None and repository.id != integration.remote_id:
        raise Conflict(
            f"The repository {repository.full_name} is not the one that was followed until now: it was deleted and "
            "made anew, or another one took its name. Nothing was changed. To follow the new one, set the "
            "integration's repository again, or remove the integration and add it anew."
        )
