"""Read a Git host, as far as a hint makes it necessary.

What comes back is believed, so everything that is not a whole and valid answer raises: an observation either
says how the host stands, or there is none.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from tieline.core.clock import now
from tieline.core.documents import Environment, Integration
from tieline.core.errors import GitFailed, RateLimited, RemoteBroken, RemoteError, RemoteMoved, RemoteNotFound
from tieline.core.remote import PullRequest, RemoteRepository, Scope
from tieline.git.advertisement import RemoteRefs
from tieline.git.mirror import Mirror
from tieline.git.refs import staging
from tieline.git.remote import Remote
from tieline.integrations.base import Source
from tieline.sync.access import RepositoryAccess, repository_name
from tieline.sync.state import RemotePulls, RemoteState, SourceSettings

log = structlog.get_logger()

FORK_SECONDS: Final = 120.0
MOST_BRANCHES: Final = 50_000
_MOST_SINGLE_READS: Final = 20
_MOST_CHECKED_ABSENCES: Final = 100
_SHORTEST_ABBREVIATION: Final = 7


@dataclass(frozen=True)
class Observation:
    """A host as it stood from `began` on. `repository` is None where nothing about it had to be asked.

    `notes` are for the log.
    """

    remote: RemoteState
    access: RepositoryAccess
    began: datetime
    notes: tuple[str, ...] = ()

    @property
    def repository(self) -> RemoteRepository | None:
        return self.access.fresh

    @property
    def new_name(self) -> str | None:
        """The repository's name, when it has another one now than the integration knows."""
        return self.access.new_name

    @property
    def name(self) -> object:
        """The repository's name of today."""
        return self.new_name or repository_name(self.access.integration)


@dataclass
class Observer:
    """One reading of one host. Pull requests are read before branches: a new one then finds its branch."""

    access: RepositoryAccess
    mirror: Mirror
    settings: SourceSettings
    environments: Collection[Environment]
    notes: list[str] = field(default_factory=list)

    @property
    def integration(self) -> Integration:
        return self.access.integration

    @property
    def source(self) -> Source:
        return self.access.source

    async def observe(self, scope: Scope) -> Observation:
        """Raises a `RemoteError`, `Conflict` or `GitFailed` for everything that proves nothing."""
        began = now()
        if scope.repository:
            await self.access.read()
        pulls = await self._read_pulls_anywhere(scope)
        refs = await self.access.run(self.mirror.list_remote)
        await self._require_branches(refs)
        default = await self._default_branch(refs)
        forks = await self._fork_heads(pulls)
        self.notes += [f"Skipping branch {name!a}: its name cannot be mirrored" for name in refs.skipped]
        remote = RemoteState(refs.heads, default, RemotePulls(pulls.read, pulls.gone, pulls.complete, forks))
        return Observation(remote, self.access, began, tuple(self.notes))

    async def _require_branches(self, refs: RemoteRefs) -> None:
        """A listing without a single branch is a fault, unless the host says that the repository is empty.

        One that is longer than anybody's work is one too: each branch is an environment that everybody lists.
        """
        if len(refs.heads) > MOST_BRANCHES and self.settings.fetch_branches:
            raise RemoteBroken(
                f"The repository has {len(refs.heads):,} branches, and no more than {MOST_BRANCHES:,} are followed. "
                "Nothing was changed. Delete some of them, or turn fetch_branches off."
            )
        if refs.heads or refs.skipped:
            return
        repository = await self.access.read()
        if repository.default_branch is not None:
            raise RemoteBroken(
                f"The Git host lists no branches of {repository.full_name} at all, though its default branch is "
                f"{repository.default_branch}. Nothing was changed."
            )

    async def _default_branch(self, refs: RemoteRefs) -> str | None:
        """What the host calls its default branch; git's word for a change is checked with the REST API."""
        if self.access.fresh is None:
            if refs.default_branch in (None, self.integration.remote_default_branch):
                return self.integration.remote_default_branch
            await self.access.read()
        return (await self.access.read()).default_branch or refs.default_branch

    @property
    def _followed(self) -> dict[int, Environment]:
        """Pull request -> environment."""
        standing = (each for each in self.environments if each.status != "deleting")
        return {each.pull.number: each for each in standing if each.pull is not None}

    @property
    def _held(self) -> frozenset[int]:
        """The pull requests whose environments wait for a second listing."""
        hold = self.integration.prune_hold
        ids = hold.environments if hold is not None else ()
        return frozenset(number for number, each in self._followed.items() if each.id in ids)

    async def _read_pulls_anywhere(self, scope: Scope) -> RemotePulls:
        """The same under the repository's new name, when it turns out to have one."""
        source = self.source
        try:
            return await self._read_pulls(scope)
        except (RemoteMoved, RemoteNotFound):
            await self.access.read()
            if self.source is source:
                raise
            return await self._read_pulls(scope)

    async def _read_pulls(self, scope: Scope) -> RemotePulls:
        followed = self._followed.keys()
        if not self.settings.build_pull_requests and not followed:
            return RemotePulls()
        if scope.pulls == "all" or len(scope.pulls) > _MOST_SINGLE_READS:
            return await self._list_pulls()
        asked = scope.pulls if self.settings.build_pull_requests else scope.pulls & followed
        return await self._read_each(sorted(asked))

    async def _list_pulls(self) -> RemotePulls:
        """Every open pull request. One that is missing is asked for by its number, before that counts.

        Pages shift when a pull request is closed while they are read, and a host that fails may answer with
        a list that is empty but valid. A list that is proven wrong, or too long to be checked, is not complete.
        What an earlier listing held back is asked for in any case: it waits for a word about itself.
        """
        listing = await self.source.pulls(self.integration.config.get("pull_requests_max_pages"))
        # What is not open has no place in this list, so that it ended must be said of itself alone.
        read = {each.number: each for each in listing.pulls if each.state == "open"}
        expected = self._followed.keys() if listing.complete else self._held
        missing = sorted(expected - read.keys())
        checked = await self._read_each(missing[:_MOST_CHECKED_ABSENCES])
        is_wrong = any(each.state == "open" for each in checked.read.values())
        is_checked = len(missing) <= _MOST_CHECKED_ABSENCES and not is_wrong
        return RemotePulls({**read, **checked.read}, checked.gone, listing.complete and is_checked)

    async def _read_each(self, numbers: list[int]) -> RemotePulls:
        read: dict[int, PullRequest] = {}
        for number in numbers:
            pull = await self.source.pull(number)
            if pull is not None:
                read[number] = pull
        gone = frozenset(numbers) - read.keys()
        if gone:
            await self._require_same_name(gone)
        return RemotePulls(read, gone)

    async def _require_same_name(self, gone: Collection[int]) -> None:
        """A host answers 404 to everything under a name that is no longer the repository's, or that it hides."""
        source = self.source
        await self.access.read()
        if self.source is not source:
            raise RemoteMoved(f"Pull requests {sorted(gone)} were asked for under the repository's old name.")

    async def _fork_heads(self, pulls: RemotePulls) -> dict[int, str]:
        if not self.settings.build_pull_requests:
            return {}
        heads: dict[int, str] = {}
        for number, pull in sorted(pulls.read.items()):
            if pull.state == "open" and pull.is_fork and pull.source_branch and pull.source_repository:
                head = self._unchanged_head(pull) or await self._fetch_fork(pull, pull.source_branch)
                if head is not None:
                    heads[number] = head
        return heads

    def _unchanged_head(self, pull: PullRequest) -> str | None:
        """The full hash that is known already, when the host's abbreviation still fits it."""
        environment = self._followed.get(pull.number)
        known = environment.head_commit if environment is not None else None
        told = pull.head or ""
        return known if known and len(told) >= _SHORTEST_ABBREVIATION and known.startswith(told) else None

    async def _fetch_fork(self, pull: PullRequest, branch: str) -> str | None:
        """The fork's head, fetched; None when it cannot be had, which must not stop all the rest.

        A fork is a stranger's: it may be private, broken or endless.
        """
        into = f"{staging(self.integration.id)}pulls/{pull.number}"

        async def fetch(remote: Remote) -> str:
            return await self.mirror.fetch_ref(remote, branch, into)

        try:
            async with asyncio.timeout(FORK_SECONDS):
                return await self.access.run_at(await self.source.fork_url(pull), fetch)
        except RateLimited:
            raise
        except (RemoteError, GitFailed) as error:
            self.notes.append(f"The fork of pull request {pull.number} cannot be read: {error}")
        except TimeoutError:
            self.notes.append(f"The fork of pull request {pull.number} did not come within {FORK_SECONDS:.0f} seconds")
        return None
