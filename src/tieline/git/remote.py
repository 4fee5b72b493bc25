"""A repository at a Git host: its address, the credentials for it, and what git is told about both."""

import base64
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from tieline.core.errors import EgressRefused
from tieline.core.redact import Redactor
from tieline.core.remote import GitCredentials
from tieline.core.secret import Secret

_PORTS: Final = {"https": 443, "http": 80}
_CLEAN: Final = re.compile(r"[!-\[\]-~]+\Z")
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9._-]*)\Z")

# Old tools wrote such objects into honest repositories and nothing they break matters to a mirror.
# Everything that attacks a checkout (.git in trees, hostile .gitmodules) stays an error.
_FORGIVEN: Final = (
    "badTimezone",
    "missingNameBeforeEmail",
    "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail",
    "zeroPaddedDate",
    "zeroPaddedFilemode",
)


@dataclass(frozen=True)
class Remote:
    """Where to fetch from. Credentials are only ever sent below one of the allowed prefixes.

    User names and passwords in the URL are removed: Bitbucket puts a name there, and git would print it.
    Raises `EgressRefused` for a URL outside the prefixes or one that can be read in two ways.
    """

    url: str
    credentials: GitCredentials | None
    allowed_prefixes: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", _without_userinfo(self.url))
        parts = urlsplit(self.url)
        if not any(_is_below(parts, urlsplit(prefix)) for prefix in self.allowed_prefixes):
            raise EgressRefused(f"{_origin(parts)} is not where the repositories of this integration are.")

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or _PORTS[parts.scheme]

    @property
    def advertisement_url(self) -> str:
        """Where the list of refs is read (gitprotocol-http)."""
        return self.url.rstrip("/") + "/info/refs?service=git-upload-pack"

    def authorization(self) -> Secret | None:
        """The value of the Authorization header."""
        if self.credentials is None:
            return None
        pair = f"{self.credentials.username}:{self.credentials.password.reveal()}"
        return Secret("Basic " + base64.b64encode(pair.encode()).decode())

    def redactor(self) -> Redactor:
        """Masks everything of these credentials that git might repeat."""
        authorization = self.authorization()
        if self.credentials is None or authorization is None:
            return Redactor()
        return Redactor([self.credentials.password, authorization.reveal().removeprefix("Basic ")])

    def config(self, address: str) -> dict[str, str]:
        """Git's configuration for one exchange with this remote, pinned to a checked address."""
        parts = urlsplit(self.url)
        settings = {
            f"protocol.{parts.scheme}.allow": "always",
            "protocol.version": "2",
            "transfer.fsckObjects": "true",
            "transfer.bundleURI": "false",
            "fetch.writeCommitGraph": "false",
            "http.proxy": "",
            # A host that packs a large repository for the first time may think about it for a minute or two.
            "http.lowSpeedLimit": "1000",
            "http.lowSpeedTime": "120",
            # Following would carry the Authorization header to wherever the host points.
            "http.followRedirects": "false",
            **{f"fetch.fsck.{name}": "ignore" for name in _FORGIVEN},
        }
        if parts.hostname != address:
            settings["http.curloptResolve"] = f"{parts.hostname}:{self.port}:{_bracketed(address)}"
        if (authorization := self.authorization()) is not None:
            settings[f"http.{_origin(parts)}/.extraHeader"] = f"Authorization: {authorization.reveal()}"
        return settings


def _without_userinfo(url: str) -> str:
    """The URL itself, checked to mean the same to Python and to curl, without user name and password."""
    if not _CLEAN.match(url):
        raise EgressRefused("The repository's URL contains a character that URLs do not have.")
    try:
        parts = urlsplit(url)
        has_port = parts.port is not None
    except ValueError as error:
        raise EgressRefused("The repository's URL is malformed.") from error
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme not in _PORTS or not _HOST.match(host.rpartition(":")[0] if has_port else host):
        raise EgressRefused("The repository's URL must be an https:// address with a plain host name.")
    if parts.query or parts.fragment or _climbs(parts.path):
        raise EgressRefused("The repository's URL must be a plain path, without '..', query or fragment.")
    return f"{parts.scheme}://{host}{parts.path}"


def _climbs(path: str) -> bool:
    decoded = unquote(unquote(path))
    return ".." in decoded.split("/") or "\\" in decoded


def _is_below(parts: SplitResult, prefix: SplitResult) -> bool:
    folder = prefix.path.rstrip("/") + "/"
    return _origin(parts) == _origin(prefix) and (parts.path.rstrip("/") + "/").startswith(folder)


def _origin(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    port = parts.port or _PORTS.get(parts.scheme, 0)
    shown = "" if port == _PORTS.get(parts.scheme) else f":{port}"
    return f"{parts.scheme}://{_bracketed(host)}{shown}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
