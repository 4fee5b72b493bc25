"""Can this integration work? What is missing is said with the way to get it."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from tieline.core.documents import Integration
from tieline.core.errors import CredentialsRefused, RemoteError, RemoteMoved, RemoteNotFound
from tieline.core.ports import Toolbox
from tieline.core.remote import RemoteRepository
from tieline.integrations.base import Findings
from tieline.integrations.bitbucket.client import BitbucketClient
from tieline.integrations.bitbucket.roles import BitbucketSource

_PULLS: Final = "read pull requests (scope `pullrequest`)"
_HOOKS: Final = "read and write webhooks (scope `webhook`), and its owner the admin right on the repository"
_NO_CREDENTIALS: Final = (
    "There are no credentials. Add an OAuth consumer to the workspace's settings at Bitbucket, private and with a"
    " callback URL, with the permissions to read repositories and pull requests and to read and write webhooks, and"
    " give its key and secret."
)


class BitbucketValidator:
    """Asks Bitbucket for everything that the integration needs, and changes nothing."""

    def __init__(self, integration: Integration, toolbox: Toolbox) -> None:
        self._integration = integration
        self._client = BitbucketClient(integration, toolbox)
        self._source = BitbucketSource(integration, toolbox)
        self._credentials = self._client.auth.field

    async def validate(self, hook_url: str) -> Findings:
        """What the credentials may not do, and whether hooks can come in."""
        problems = await self._access() or await self._rights()
        return Findings(problems | self._reachability(hook_url))

    async def _access(self) -> dict[str, str]:
        if self._client.auth.is_anonymous:
            return {self._credentials: _NO_CREDENTIALS}
        name = self._client.repository
        try:
            return self._identity(await self._source.repository())
        except (RemoteNotFound, RemoteMoved):
            missing = f"There is no repository {name}, or the owner of these credentials may not read it."
            return {"repository": f"{missing} Check its name, and the owner's access to it."}
        except CredentialsRefused as error:
            if error.status == 401:  # noqa: PLR2004
                return {self._credentials: str(error)}
            return {self._credentials: f"The credentials may not read {name}: they lack the scope `repository`."}
        except RemoteError as error:
            return {"repository": f"Bitbucket could not be asked for {name}: {_sentence(error)}"}

    def _identity(self, found: RemoteRepository) -> dict[str, str]:
        """Names change and are given anew; the id tells which repository it is."""
        if self._integration.remote_id not in (None, found.id):
            return {"repository": f"{found.full_name} is not the repository that was followed so far, but another one."}
        if found.full_name.casefold() != self._client.repository.casefold():
            return {"repository": f"The repository is called {found.full_name} now. Give that name."}
        return {}

    async def _rights(self) -> dict[str, str]:
        wanted = {"hooks": _HOOKS}
        if self._integration.config.get("build_pull_requests"):
            wanted |= {"pullrequests": _PULLS}
        try:
            missing = [right for path, right in wanted.items() if not await self._may_list(path)]
        except RemoteError as error:
            return {"repository": f"Bitbucket could not be asked what the credentials may do: {_sentence(error)}"}
        return (
            {self._credentials: f"Give the consumer the permission to {'; and to '.join(missing)}."} if missing else {}
        )

    async def _may_list(self, path: str) -> bool:
        try:
            await self._client.get(self._client.url(path, query={"pagelen": "1"}))
        except CredentialsRefused:
            return False
        return True

    def _reachability(self, hook_url: str) -> dict[str, str]:
        """Bitbucket refuses addresses that are not public; one that runs on this machine does not mind."""
        if _is_internal(self._client.api) or not _is_internal(hook_url):
            return {}
        return {
            "public_url": f"Bitbucket cannot reach {hook_url}. Set TIELINE_PUBLIC_URL to an address of this server"
            " that is reachable from the internet."
        }


def _sentence(error: RemoteError) -> str:
    return f"{str(error).rstrip('.')}."


def _is_internal(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal")) or "." not in host
