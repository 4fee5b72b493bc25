"""Signed hooks as Bitbucket Cloud sends them, made fast."""

import hashlib
import hmac
import itertools
from collections.abc import Callable

import orjson

from bench.load import request_bytes


def push_body(branch: str, commit: str, repository: str) -> bytes:
    """A `repo:push` of one branch; about the size of a real one with its links and authors."""
    address = f"https://bitbucket.org/{repository}/{'x' * 80}"
    padding = {"links": {name: {"href": f"{address}/{name}"} for name in "abcdefgh"}}
    target = {"type": "commit", "hash": commit, "message": "A change\n", **padding}
    new = {"type": "branch", "name": branch, "target": target, **padding}
    return orjson.dumps(
        {
            "repository": {"type": "repository", "full_name": repository, "uuid": "{bench}", **padding},
            "actor": {"display_name": "Bench", **padding},
            "push": {"changes": [{"new": new, "old": new, "created": False, "closed": False, "forced": False}]},
        }
    )


def signed_requests(path: str, secret: bytes, body: bytes) -> Callable[[], bytes]:
    """A factory of requests that differ in their delivery id, as the host's would."""
    signature = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    serial = itertools.count()

    def make() -> bytes:
        headers = {
            "content-type": "application/json",
            "x-event-key": "repo:push",
            "x-hub-signature": signature,
            "x-request-uuid": f"bench-{next(serial)}",
        }
        return request_bytes("POST", path, headers, body)

    return make
