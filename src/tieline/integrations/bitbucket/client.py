"""REST requests to Bitbucket Cloud: authentication, limits, paging, and errors in our words."""

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlencode, urljoin, urlsplit

import orjson

from tieline.core.clock import now
from tieline.core.documents import Integration
from tieline.core.errors import (
    CredentialsRefused,
    RateLimited,
    RemoteBroken,
    RemoteMoved,
    RemoteNotFound,
    RemoteRejected,
)
from tieline.core.http import Request, Response
from tieline.core.ports import Toolbox
from tieline.core.redact import Redactor
from tieline.core.secret import Secret
from tieline.integrations.bitbucket.auth import Authenticator

API: Final = "TIELINE_BITBUCKET_API"
OAUTH: Final = "TIELINE_BITBUCKET_OAUTH"
REQUESTS_PER_HOUR: Final = 1000  # of one credential on /2.0/repositories
ANONYMOUS_REQUESTS_PER_HOUR: Final = 60
PAGE_LENGTH: Final = 50  # more is a 400, whatever the documentation says
MOST_PAGES: Final = 2000
MOST_REDIRECTS: Final = 5
LARGEST_ANSWER: Final = 32 * 1024 * 1024  # fifty pull requests with all their fields
_LONGEST_WORD: Final = 1000
_FIRST_BLOCK_SECONDS: Final = 30.0
_LONGEST_BLOCK_SECONDS: Final = 900.0
_PORTS: Final = {"https": 443, "http": 80}
_NO_CREDENTIALS: Final = " The integration has no credentials; give it `app_credentials`."


@dataclass(frozen=True)
class _Pause:
    seconds: float
    until: float


class BitbucketClient:
    """Speaks to one repository with one integration's credentials."""

    def __init__(self, integration: Integration, toolbox: Toolbox) -> None:
        self.api = toolbox.settings[API].rstrip("/")
        self.oauth = toolbox.settings[OAUTH]
        self.repository = str(integration.config["repository"])
        self.auth = Authenticator(integration, toolbox.http, self.oauth, toolbox.cache)
        self._tools = toolbox

    def url(self, *path: str, repository: str | None = None, query: Mapping[str, str] | None = None) -> str:
        """The address of something below the repository (or another one)."""
        parts = ["repositories", *(repository or self.repository).split("/"), *path]
        address = f"{self.api}/{'/'.join(quote(part, safe='') for part in parts)}"
        return f"{address}?{urlencode(query)}" if query else address

    async def get(self, url: str) -> dict[str, Any]:
        """A JSON object. Raises `RemoteError`s only."""
        return parse_object(await self.send("GET", url))

    async def follow(self, method: str, url: str, body: Mapping[str, object] | None = None) -> Response:
        """As `send`, and after redirects within this API, by which a renamed repository answers."""
        for _ in range(MOST_REDIRECTS):
            try:
                return await self.send(method, url, body)
            except RemoteMoved as moved:
                target = self._redirected(url, moved)
                if target is None:
                    raise
                url = target
        return await self.send(method, url, body)

    async def send(self, method: str, url: str, body: Mapping[str, object] | None = None) -> Response:
        """An answer of 2xx; a token that is refused is renewed once."""
        token = await self.auth.token()
        response = await self._attempt(method, url, body, token)
        if response.status == 401 and token is not None:  # noqa: PLR2004
            token = await self.auth.token(refused=token)
            response = await self._attempt(method, url, body, token)
        await self._check(response, url, token)
        return response

    async def pages(
        self, url: str, *, follows: bool = False
    ) -> AsyncIterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
        """The values of each page with the page itself. `next` is opaque, and must stay at this API.

        `follows` says whether redirects are followed.
        """
        ask = self.follow if follows else self.send
        seen: set[str] = set()
        following: str | None = url
        while following is not None:
            if following in seen or len(seen) >= MOST_PAGES:
                raise RemoteBroken("Bitbucket's pages do not come to an end.")
            seen.add(following)
            page = parse_object(await ask("GET", following))
            yield _values(page), page
            following = self._next(page)

    def _next(self, page: dict[str, Any]) -> str | None:
        following = page.get("next")
        if following is None or following == "":
            return None
        if not isinstance(following, str) or not self.is_ours(following):
            raise RemoteBroken("Bitbucket's next page is at another address; the token is not sent there.")
        return following

    def _redirected(self, url: str, moved: RemoteMoved) -> str | None:
        """Where a redirect of `url` leads, when that is another address of this API."""
        try:
            target = urljoin(url, moved.location or "")
        except ValueError:
            return None
        return target if target != url and self.is_ours(target) else None

    def is_ours(self, url: str) -> bool:
        """Whether a URL is below the API that these credentials are for."""
        try:
            given, root = urlsplit(url), urlsplit(self.api)
            same = endpoint(given) == endpoint(root)
        except ValueError:
            return False
        return same and given.username is None and given.path.startswith(root.path.rstrip("/") + "/")

    async def _attempt(
        self, method: str, url: str, body: Mapping[str, object] | None, token: Secret | None
    ) -> Response:
        budget = ANONYMOUS_REQUESTS_PER_HOUR if self.auth.is_anonymous else REQUESTS_PER_HOUR
        await self._tools.limiter.take(self.auth.identity, budget)
        headers = {"accept": "application/json"}
        if token is not None:
            headers["authorization"] = f"Bearer {token.reveal()}"
        if body is not None:
            headers["content-type"] = "application/json"
        content = None if body is None else orjson.dumps(body)
        request = Request(method, url, headers, content, max_bytes=LARGEST_ANSWER, owner=self.auth.identity)
        return await self._tools.http.send(request)

    async def _check(self, response: Response, url: str, token: Secret | None) -> None:
        if response.status == 429:  # noqa: PLR2004
            await self._back_off(response)
        self._tools.cache.pop(self._pause_key, None)
        advice = _NO_CREDENTIALS if self.auth.is_anonymous else ""
        # Some proxies repeat the request in what they complain of.
        redactor = Redactor([] if token is None else [token])
        raise_for_status(response, self._place(url), redactor, advice)

    def _place(self, url: str) -> str:
        """What an address of this API leads to, as people know it: `acme/site/hooks`."""
        return urlsplit(url).path.removeprefix(urlsplit(self.api).path).removeprefix("/repositories/")

    async def _back_off(self, response: Response) -> None:
        """Bitbucket says no word about when to come back: within a minute at first, later and later then."""
        seconds = _retry_after(response) or self._next_pause()
        await self._tools.limiter.block(self.auth.identity, seconds)
        raise RateLimited("Bitbucket's request limit is used up.", now() + timedelta(seconds=seconds))

    def _next_pause(self) -> float:
        """Twice the last, unless that is not over: then this answer came to a request sent before it."""
        last: _Pause | None = self._tools.cache.get(self._pause_key)
        if last is not None and time.monotonic() < last.until:
            return last.seconds
        seconds = min(last.seconds * 2, _LONGEST_BLOCK_SECONDS) if last is not None else _FIRST_BLOCK_SECONDS
        self._tools.cache[self._pause_key] = _Pause(seconds, time.monotonic() + seconds)
        return seconds

    @property
    def _pause_key(self) -> str:
        return f"bitbucket pause {self.auth.identity}"


def endpoint(parts: SplitResult) -> tuple[str, str | None, int | None]:
    """Scheme, host and port. Raises `ValueError` for a port that is none."""
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _retry_after(response: Response) -> float | None:
    """Seconds, at most an hour; consumers have not been seen to get any, but a proxy may give some."""
    given = response.headers.get("retry-after", "")
    return min(max(float(given), 1.0), 3600.0) if given.isascii() and given.isdecimal() else None


def raise_for_status(response: Response, what: str, redactor: Redactor, advice: str = "") -> None:
    """Raise the error that says who must act; silent for 2xx. `advice` is for whoever may not see `what`."""
    status = response.status
    if 200 <= status < 300:  # noqa: PLR2004
        return
    said = _message(response, redactor)
    if 300 <= status < 400:  # noqa: PLR2004
        raise RemoteMoved(f"Bitbucket moved {what} elsewhere ({status}).", response.headers.get("location"))
    if status in (401, 403):
        raise CredentialsRefused(f"Bitbucket refused access to {what} ({status}){said}.{advice}", status)
    if status in (404, 410):
        raise RemoteNotFound(f"Bitbucket has no {what}, or hides it from these credentials{said}.{advice}")
    if status >= 500:  # noqa: PLR2004
        raise RemoteBroken(f"Bitbucket answered {status} for {what}.")
    raise RemoteRejected(f"Bitbucket did not accept the request for {what} ({status}){said}.", status)


def _message(response: Response, redactor: Redactor) -> str:
    """What Bitbucket says about an error, cut short; empty when it says nothing we can read."""
    with contextlib.suppress(orjson.JSONDecodeError, LookupError, TypeError):
        said = orjson.loads(response.body)["error"]["message"]
        # Masked before it is cut short: of a token that is cut half would stay.
        plain = redactor.text(str(said)[: 2 * _LONGEST_WORD])
        return f": {_one_line(plain).rstrip('.')}" if said else ""
    return ""


def _one_line(text: str) -> str:
    plain = "".join(each if each.isprintable() else " " for each in text[:_LONGEST_WORD])
    return " ".join(plain.split())[:200]


def parse_object(response: Response) -> dict[str, Any]:
    """The JSON object of an answer; Bitbucket in maintenance shows a page to everybody who asks."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip()
    if "json" not in kind:
        raise RemoteBroken(f"Bitbucket answered with {kind[:80] or 'something unnamed'} where data was expected.")
    document = response.json()
    if not isinstance(document, dict):
        raise RemoteBroken("Bitbucket answered with something other than an object.")
    return document


def _values(page: dict[str, Any]) -> list[dict[str, Any]]:
    values = page.get("values")
    if "values" not in page and page.get("size") == 0:
        # Asked for some fields only, a page without values may lack the list too.
        return []
    if not isinstance(values, list) or not all(isinstance(each, dict) for each in values):
        raise RemoteBroken("A page of Bitbucket's has no list of values.")
    return values
