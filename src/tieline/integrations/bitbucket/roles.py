"""What a Bitbucket integration can do: source, hooks, build statuses, validation."""

import ipaddress
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import urlsplit

from tieline.core.documents import Integration
from tieline.core.errors import (
    CredentialsRefused,
    RemoteBroken,
    RemoteError,
    RemoteMoved,
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
from tieline.integrations.bitbucket.client import PAGE_LENGTH, BitbucketClient
from tieline.integrations.bitbucket.hook import CORE_EVENTS, EVENTS
from tieline.integrations.bitbucket.pulls import parse_pull

_STATES: Final[dict[BuildState, str]] = {
    "running": "INPROGRESS",
    "succeeded": "SUCCESSFUL",
    "failed": "FAILED",
    "stopped": "STOPPED",
}
LONGEST_NAME: Final = 255


class BitbucketSource:
    """Repository, pull requests and git credentials."""

    def __init__(self, integration: Integration, toolbox: Toolbox) -> None:
        self._client = BitbucketClient(integration, toolbox)

    async def repository(self) -> RemoteRepository:
        """One request, two when it was renamed."""
        try:
            document = await self._client.get(self._client.url())
        except RemoteMoved as moved:
            if moved.location is None or not self._client.is_ours(moved.location):
                raise
            document = await self._client.get(moved.location)
        return _parse_repository(document)

    async def pulls(self, max_pages: int | None) -> PullListing:
        """Every open pull request, oldest first: the order of `updated_on`, the default, shifts between pages."""
        query = {"state": "OPEN", "sort": "created_on", "pagelen": str(PAGE_LENGTH)}
        found: dict[int, PullRequest] = {}
        walked, announced, more = 0, 0, False
        async for values, page in self._client.pages(self._client.url("pullrequests", query=query)):
            found |= {pull.number: pull for pull in map(self._parse, values)}
            walked += 1
            announced = page["size"] if isinstance(page.get("size"), int) else 0
            more = page.get("next") is not None
            if max_pages is not None and walked >= max_pages:
                break
        # A list that is shorter than it says it is proves nothing about what is missing from it.
        return PullListing(tuple(found[number] for number in sorted(found)), not more and len(found) >= announced)

    async def pull(self, number: int) -> PullRequest | None:
        """One pull request in any state; None only for a 404."""
        try:
            return self._parse(await self._client.get(self._client.url("pullrequests", str(number))))
        except RemoteNotFound:
            return None

    async def fork_url(self, pull: PullRequest) -> str:
        """Where the fork is cloned from."""
        if pull.source_repository is None:
            raise RemoteNotFound(f"The fork of pull request {pull.number} is gone.")
        return _clone_url(await self._client.get(self._client.url(repository=pull.source_repository)))

    async def git_credentials(self, *, renew: bool = False) -> GitCredentials:
        """The access token, as the password of `x-token-auth`; a public repository needs none."""
        refused = await self._client.auth.token() if renew else None
        token = await self._client.auth.token(refused=refused)
        return GitCredentials("x-token-auth", token or Secret(""))

    def git_urls_allowed(self) -> tuple[str, ...]:
        """The hosts of the REST root and of the token endpoint, which for Bitbucket Cloud is that of git too."""
        prefixes: list[str] = []
        for url in (self._client.api, self._client.oauth):
            parts = urlsplit(url)
            prefixes.append(f"{parts.scheme}://{parts.netloc}/")
        return tuple(dict.fromkeys(prefixes))

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
        identifiers = [known_id] if known_id else [each["uuid"] async for each in self._listed() if each["url"] == url]
        for identifier in identifiers:
            try:
                await self._client.send("DELETE", self._client.url("hooks", identifier))
            except RemoteNotFound:
                continue

    async def _find(self, url: str, known_id: str | None) -> dict[str, Any] | None:
        if known_id is not None:
            try:
                return await self._client.get(self._client.url("hooks", known_id))
            except RemoteNotFound:
                known_id = None
        async for each in self._listed():
            if each["url"] == url:
                return each
        return None

    async def _listed(self) -> AsyncIterator[dict[str, Any]]:
        query = {"pagelen": str(PAGE_LENGTH)}
        async for values, _ in self._client.pages(self._client.url("hooks", query=query)):
            for each in values:
                _parse_hook(each)
                yield each

    async def _write(self, method: str, address: str, url: str) -> dict[str, Any]:
        """Events that this Bitbucket does not know are a 400; those we cannot do without are known to all."""
        try:
            response = await self._client.send(method, address, self._body(url, EVENTS))
        except RemoteRejected as error:
            if error.status != 400 or "event" not in str(error):  # noqa: PLR2004
                raise
            response = await self._client.send(method, address, self._body(url, CORE_EVENTS))
        document = response.json()
        if not isinstance(document, dict):
            raise RemoteBroken("Bitbucket answered with something other than a webhook.")
        return document

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
        """Create or replace by key."""
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
        await self._client.send("POST", self._client.url("commit", status.commit, "statuses", "build"), body)


class BitbucketValidator:
    """Says what is missing, and how to get it."""

    def __init__(self, integration: Integration, toolbox: Toolbox) -> None:
        self._client = BitbucketClient(integration, toolbox)
        addon = bool(integration.config.get("addon_credentials")) and not integration.config.get("app_credentials")
        self._credentials = "addon_credentials" if addon else "app_credentials"

    async def validate(self, hook_url: str) -> dict[str, str]:
        """Field -> sentence; empty when all is well."""
        problems = await self._access()
        if not problems:
            problems |= await self._hooks()
        return problems | self._reachability(hook_url)

    async def _access(self) -> dict[str, str]:
        if self._client.auth.is_anonymous:
            return {
                "app_credentials": "There are no credentials. Add an OAuth consumer to the workspace's settings at"
                " Bitbucket, private, with the permissions to read repositories and pull requests and to read and"
                " write webhooks, and give its key and secret."
            }
        try:
            await self._client.auth.token()
            await self._client.get(self._client.url())
        except (RemoteNotFound, RemoteMoved):
            return {
                "repository": f"There is no repository {self._client.repository}, or the owner of these credentials"
                " may not read it. Check its name, and the owner's access to it."
            }
        except CredentialsRefused as error:
            if error.status == 401:  # noqa: PLR2004
                return {self._credentials: str(error)}
            return {self._credentials: "The credentials lack the permission to read repositories (scope `repository`)."}
        except RemoteError as error:
            return {"repository": f"Bitbucket could not be asked: {error}"}
        return {}

    async def _hooks(self) -> dict[str, str]:
        try:
            await self._client.get(self._client.url("hooks", query={"pagelen": "1"}))
        except (CredentialsRefused, RemoteNotFound):
            return {
                self._credentials: "The credentials may not manage webhooks. Give the OAuth consumer the permission to"
                " read and write webhooks (scope `webhook`), and its owner the admin right on the repository."
            }
        except RemoteError as error:
            return {"repository": f"Bitbucket could not be asked for its webhooks: {error}"}
        return {}

    def _reachability(self, hook_url: str) -> dict[str, str]:
        """Bitbucket refuses addresses that are not public; one that runs on this machine does not mind."""
        if _is_internal(self._client.api) or not _is_internal(hook_url):
            return {}
        return {
            "public_url": f"Bitbucket cannot reach {hook_url}. Set TIELINE_PUBLIC_URL to an address of this server"
            " that is reachable from the internet."
        }


def _is_internal(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal")) or "." not in host


def _parse_repository(document: dict[str, Any]) -> RemoteRepository:
    identifier, full_name = document.get("uuid"), document.get("full_name")
    if not isinstance(identifier, str) or not isinstance(full_name, str):
        raise RemoteBroken("Bitbucket answered with something other than a repository.")
    main = document.get("mainbranch")
    return RemoteRepository(
        id=identifier,
        full_name=full_name,
        clone_url=_clone_url(document),
        default_branch=main.get("name") if isinstance(main, dict) else None,
    )


def _clone_url(document: dict[str, Any]) -> str:
    links = document.get("links")
    listed = links.get("clone") if isinstance(links, dict) else None
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and each.get("name") in ("https", "http") and isinstance(each.get("href"), str):
            return str(each["href"])
    raise RemoteBroken("Bitbucket names no address to clone the repository from over HTTPS.")


def _parse_hook(document: dict[str, Any]) -> RegisteredHook:
    identifier, url, events = document.get("uuid"), document.get("url"), document.get("events")
    if not isinstance(identifier, str) or not isinstance(url, str) or not isinstance(events, list):
        raise RemoteBroken("Bitbucket answered with something other than a webhook.")
    return RegisteredHook(identifier, url, document.get("active") is not False, frozenset(map(str, events)))
