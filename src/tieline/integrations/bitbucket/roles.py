"""What a Bitbucket integration can do: source, hooks, build statuses."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final, TypeGuard
from urllib.parse import urlsplit

from tieline.core.documents import Integration
from tieline.core.errors import (
    CredentialsRefused,
    RemoteBroken,
    RemoteNotFound,
    RemoteRejected,
)
from tieline.core.ports import Toolbox
from tieline.core.remote import (
    BuildState,
    BuildStatus,
    GitCredentials,
    PullListing,
    PullRequest,
    RegisteredHook,
    RemoteRepository,
)
from tieline.core.secret import Secret
from tieline.integrations.bitbucket.client import PAGE_LENGTH, BitbucketClient, endpoint, parse_object
from tieline.integrations.bitbucket.hook import CORE_EVENTS, EVENTS
from tieline.integrations.bitbucket.pulls import PULL_FIELDS, parse_pull
from tieline.integrations.git_hosts import is_repository

_STATES: Final[dict[BuildState, str]] = {
    "running": "INPROGRESS",
    "succeeded": "SUCCESSFUL",
    "failed": "FAILED",
    "stopped": "STOPPED",
}
LONGEST_NAME: Final = 255
_LONGEST_IDENTIFIER: Final = 255
_LONGEST_BRANCH: Final = 1000
# The answer is a tenth of the whole.
_LISTED_FIELDS: Final = ",".join(["next", "size", *(f"values.{name}" for name in PULL_FIELDS)])
_MAY_NOT_MANAGE_HOOKS: Final = (
    "The credentials may not manage webhooks. Give the OAuth consumer the permission to read and write webhooks (scope"
    " `webhook`), and its owner the admin right on the repository."
)


class BitbucketSource:
    """Repository, pull requests and git credentials."""

    def __init__(self, integration: Integration, toolbox: Toolbox) -> None:
        self._client = BitbucketClient(integration, toolbox)
        self._remote_id = integration.remote_id

    async def repository(self) -> RemoteRepository:
        """One request; more when it was renamed. By its id it is found under whatever name."""
        try:
            found = await self._read(self._client.repository)
        except RemoteNotFound:
            known = await self._find_by_id()
            if known is None:
                raise
            return known
        if self._remote_id in (None, found.id):
            return found
        return await self._find_by_id() or found

    async def _read(self, name: str) -> RemoteRepository:
        document = parse_object(await self._client.follow("GET", self._client.url(repository=name)))
        return _parse_repository(document, self._clone_url(document))

    async def _find_by_id(self) -> RemoteRepository | None:
        """The repository that was followed until now; its id takes the place of the name in addresses."""
        if self._remote_id is None:
            return None
        workspace = self._client.repository.partition("/")[0]
        try:
            found = await self._read(f"{workspace}/{self._remote_id}")
        except RemoteNotFound:
            return None
        return found if found.id == self._remote_id else None

    async def pulls(self, max_pages: int | None) -> PullListing:
        """Every open pull request, oldest first: the order of `updated_on`, the default, shifts between pages."""
        query = {"state": "OPEN", "sort": "created_on", "pagelen": str(PAGE_LENGTH), "fields": _LISTED_FIELDS}
        found: dict[int, PullRequest] = {}
        walked, announced, more = 0, 0, False
        async for values, page in self._client.pages(self._client.url("pullrequests", query=query)):
            found |= {pull.number: pull for pull in map(self._parse, values)}
            walked += 1
            announced = page["size"] if isinstance(page.get("size"), int) else 0
            more = bool(page.get("next"))
            if max_pages is not None and walked >= max_pages:
                break
        # A list that is shorter than it says it is proves nothing about what is missing from it.
        return PullListing(tuple(found[number] for number in sorted(found)), not more and len(found) >= announced)

    async def pull(self, number: int) -> PullRequest | None:
        """One pull request in any state; None only for a 404."""
        query = {"fields": ",".join(PULL_FIELDS)}
        try:
            found = self._parse(await self._client.get(self._client.url("pullrequests", str(number), query=query)))
        except RemoteNotFound:
            return None
        if found.number != number:
            raise RemoteBroken(f"Bitbucket answered with pull request {found.number} when asked for {number}.")
        return found

    async def fork_url(self, pull: PullRequest) -> str:
        """Where the fork is cloned from."""
        if pull.source_repository is None:
            raise RemoteNotFound(f"The fork of pull request {pull.number} is gone.")
        address = self._client.url(repository=pull.source_repository)
        return self._clone_url(parse_object(await self._client.follow("GET", address)))

    async def git_credentials(self, *, renew: bool = False) -> GitCredentials | None:
        """The access token, as the password of `x-token-auth`; a public repository needs none."""
        refused = await self._client.auth.token() if renew else None
        token = await self._client.auth.token(refused=refused)
        return GitCredentials("x-token-auth", token) if token is not None else None

    def git_urls_allowed(self) -> tuple[str, ...]:
        """Where the REST root and the token endpoint are: for Bitbucket Cloud, the latter is where git is too."""
        return tuple(dict.fromkeys(_origin(url) for url in self._known))

    def _clone_url(self, document: dict[str, Any]) -> str:
        """Where a repository is cloned from.

        Without a link, or with one to a host that the credentials are not for, it is where all repositories are.
        """
        link = _clone_link(document)
        if link is None or endpoint(urlsplit(link)) not in {endpoint(urlsplit(url)) for url in self._known}:
            return f"{_origin(self._client.oauth)}{document.get('full_name')}.git"
        return link

    @property
    def _known(self) -> tuple[str, str]:
        """What the operator named; the credentials are for no other place."""
        return self._client.api, self._client.oauth

    def _parse(self, document: dict[str, Any]) -> PullRequest:
        return parse_pull(document, self._client.repository)


class BitbucketHooks:
    """Keeps our webhook. It is recognised by its exact URL; others are never touched."""

    def __init__(self, integration: Integration, toolbox: Toolbox) -> None:
        self._client = BitbucketClient(integration, toolbox)
        self._secret = integration.secrets.get("hook", Secret(""))

    async def ensure(self, url: str, known_id: str | None) -> tuple[RegisteredHook, bool]:
        """Register or repair; True when something was changed.

        Bitbucket never shows a hook's secret, so one that we do not know for ours gets it anew.
        """
        try:
            return await self._ensure(url, known_id)
        except CredentialsRefused as error:
            if error.status != 403:  # noqa: PLR2004
                raise
            raise CredentialsRefused(_MAY_NOT_MANAGE_HOOKS, error.status) from error

    async def _ensure(self, url: str, known_id: str | None) -> tuple[RegisteredHook, bool]:
        found = await self._find(url, known_id)
        if found is None:
            return _parse_hook(await self._write("POST", self._client.url("hooks"), url)), True
        hook = _parse_hook(found)
        sound = hook.active and hook.url == url and hook.events >= set(CORE_EVENTS)
        if sound and hook.id == known_id and found.get("secret_set", True):
            return hook, False
        return _parse_hook(await self._write("PUT", self._client.url("hooks", hook.id), url)), True

    async def remove(self, url: str, known_id: str | None) -> None:
        """Remove ours; fine when it is gone already."""
        if known_id is not None and await self._delete(known_id):
            return
        for identifier in [each["uuid"] async for each in self._listed() if each["url"] == url]:
            await self._delete(identifier)

    async def _delete(self, identifier: str) -> bool:
        """Whether there was something to delete."""
        try:
            await self._client.follow("DELETE", self._client.url("hooks", identifier))
        except RemoteNotFound:
            return False
        return True

    async def _find(self, url: str, known_id: str | None) -> dict[str, Any] | None:
        if known_id is not None:
            try:
                return parse_object(await self._client.follow("GET", self._client.url("hooks", known_id)))
            except RemoteNotFound:
                known_id = None
        async for each in self._listed():
            if each["url"] == url:
                return each
        return None

    async def _listed(self) -> AsyncIterator[dict[str, Any]]:
        query = {"pagelen": str(PAGE_LENGTH)}
        async for values, _ in self._client.pages(self._client.url("hooks", query=query), follows=True):
            for each in values:
                _parse_hook(each)
                yield each

    async def _write(self, method: str, address: str, url: str) -> dict[str, Any]:
        """Events that this Bitbucket does not know are a 400; those we cannot do without are known to all."""
        try:
            response = await self._client.follow(method, address, self._body(url, EVENTS))
        except RemoteRejected as error:
            if error.status != 400:  # noqa: PLR2004
                raise
            response = await self._client.follow(method, address, self._body(url, CORE_EVENTS))
        return parse_object(response)

    def _body(self, url: str, events: tuple[str, ...]) -> dict[str, object]:
        return {
            "description": "Tieline",
            "url": url,
            "active": True,
            "secret": self._secret.reveal(),
            "events": list(events),
        }


class BitbucketStatuses:
    """Build statuses on commits."""

    def __init__(self, integration: Integration, toolbox: Toolbox) -> None:
        self._client = BitbucketClient(integration, toolbox)

    async def report(self, status: BuildStatus) -> None:
        """Create or replace by key. What the repository does not know of a fork's commit is said in the fork."""
        body: dict[str, object] = {
            "key": status.key,
            "state": _STATES[status.state],
            "name": status.name[:LONGEST_NAME],
            "description": status.description,
            # Braces in it would be a template of Bitbucket's.
            "url": status.url.replace("{", "%7B").replace("}", "%7D"),
        }
        if status.refname is not None:
            body["refname"] = status.refname
        path = ("commit", status.commit, "statuses", "build")
        try:
            await self._client.follow("POST", self._client.url(*path), body)
        except RemoteNotFound:
            if status.fork is None:
                raise
            await self._client.follow("POST", self._client.url(*path, repository=status.fork), body)


def _origin(url: str) -> str:
    """Scheme, host and port, without whoever is named before the host."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"


def _parse_repository(document: dict[str, Any], clone_url: str) -> RemoteRepository:
    identifier, full_name = document.get("uuid"), document.get("full_name")
    if not _is_identifier(identifier) or not isinstance(full_name, str) or not is_repository(full_name):
        raise RemoteBroken("Bitbucket answered with something other than a repository.")
    main = document.get("mainbranch")
    branch = main.get("name") if isinstance(main, dict) else None
    if branch is not None and (not isinstance(branch, str) or "\0" in branch or len(branch) > _LONGEST_BRANCH):
        raise RemoteBroken("Bitbucket answered with a main branch without a name.")
    return RemoteRepository(identifier, full_name, clone_url, default_branch=branch)


def _is_identifier(value: Any) -> TypeGuard[str]:
    """Whether it can be kept, shown and put into an address."""
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= _LONGEST_IDENTIFIER


def _clone_link(document: dict[str, Any]) -> str | None:
    links = document.get("links")
    listed = links.get("clone") if isinstance(links, dict) else None
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and each.get("name") in ("https", "http"):
            return _address(each.get("href"))
    return None


def _address(value: Any) -> str:
    with contextlib.suppress(ValueError):
        if isinstance(value, str) and urlsplit(value).hostname is not None and urlsplit(value).port != 0:
            return value
    raise RemoteBroken("Bitbucket names no address to clone the repository from over HTTPS.")


def _parse_hook(document: dict[str, Any]) -> RegisteredHook:
    identifier, url, events = document.get("uuid"), document.get("url"), document.get("events")
    if not _is_identifier(identifier) or not isinstance(url, str) or not isinstance(events, list):
        raise RemoteBroken("Bitbucket answered with something other than a webhook.")
    return RegisteredHook(identifier, url, document.get("active") is not False, frozenset(map(str, events)))
