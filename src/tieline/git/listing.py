"""Ask a Git host which branches a repository has: one HTTP request, and no process.

Protocol version 0 needs one request where version 2 needs two, and tells everything that is asked here.
Its price is that all refs come, so it suits hosts that do not keep thousands of refs for pull requests.
"""

from datetime import timedelta
from typing import Final

from tieline.core.clock import now
from tieline.core.errors import RateLimited, RemoteError, RemoteMoved
from tieline.core.http import HTTPClient, Request, Response
from tieline.git.advertisement import RemoteRefs, parse_advertisement
from tieline.git.failures import WAIT_SECONDS, error_of_status
from tieline.git.remote import Remote

LARGEST_LISTING: Final = 64 * 1024 * 1024
_OK: Final = 200
_LONGEST_WAIT: Final = 3600


async def fetch_refs(http: HTTPClient, remote: Remote, seconds: float = 60.0) -> RemoteRefs:
    """Every branch of the remote. What is returned came from one whole and valid answer.

    Raises `CredentialsRefused`, `RemoteNotFound`, `RemoteMoved`, `RateLimited`, `Unreachable`,
    `EgressRefused`, or `RemoteBroken` for any answer that is no list of refs.
    """
    answer = await http.send(_request(remote, seconds))
    if answer.status != _OK:
        raise _refusal(answer)
    return parse_advertisement(answer.headers.get("content-type", ""), answer.body)


def _request(remote: Remote, seconds: float) -> Request:
    headers = {"Accept": "*/*", "Pragma": "no-cache"}
    if (authorization := remote.authorization()) is not None:
        headers["Authorization"] = authorization.reveal()
    url = remote.advertisement_url
    # Environments are removed by what is listed: it comes over no connection of another repository's.
    return Request("GET", url, headers, seconds=seconds, max_bytes=LARGEST_LISTING, owner=remote.url)


def _refusal(answer: Response) -> RemoteError:
    error = error_of_status(answer.status, "while listing its branches")
    if isinstance(error, RemoteMoved):
        return RemoteMoved(str(error), answer.headers.get("location"))
    if isinstance(error, RateLimited):
        return RateLimited(str(error), now() + timedelta(seconds=_wait(answer)))
    return error


def _wait(answer: Response) -> int:
    asked = answer.headers.get("retry-after", "")
    return min(int(asked), _LONGEST_WAIT) if asked.isdecimal() else WAIT_SECONDS
