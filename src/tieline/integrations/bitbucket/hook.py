"""Bitbucket Cloud's webhooks. Pure: bytes and headers in, values out."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

import orjson

from tieline.core.errors import Invalid
from tieline.core.remote import HookEvent, Ignored, Scope
from tieline.integrations.bitbucket.pulls import is_number

CORE_EVENTS: Final = (
    "repo:push",
    "pullrequest:created",
    "pullrequest:updated",
    "pullrequest:fulfilled",
    "pullrequest:rejected",
)
EVENTS: Final = (*CORE_EVENTS, "pullrequest:push", "repo:updated", "repo:transfer")

_SIGNATURE: Final = "x-hub-signature"  # Bitbucket's name for it, though the digest is SHA-256
_PULL_EVENTS: Final = frozenset({*CORE_EVENTS[1:], "pullrequest:push"})
_REPOSITORY_EVENTS: Final = frozenset({"repo:updated", "repo:transfer"})
_REFS_ONLY: Final = Scope(pulls=frozenset(), repository=False)
_REPOSITORY_ONLY: Final = Scope(pulls=frozenset(), repository=True)


class BitbucketHookFormat:
    """Reads what Bitbucket Cloud posts."""

    def is_signed(self, headers: Mapping[str, str]) -> bool:
        return bool(headers.get(_SIGNATURE))

    def verify(self, headers: Mapping[str, str], body: bytes, secret: bytes) -> bool:
        """Constant time, over the raw bytes; an empty secret is never accepted."""
        given = headers.get(_SIGNATURE, "")
        if not secret or not given:
            return False
        expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))

    def parse(self, headers: Mapping[str, str], body: bytes) -> HookEvent | Ignored:
        """Raises `Invalid` for anything that is not Bitbucket's payload; never anything else."""
        event = headers.get("x-event-key", "")
        if event == "repo:push":
            return _parse_push(event, _load(body))
        if event in _PULL_EVENTS:
            return _parse_pull(event, _load(body))
        if event in _REPOSITORY_EVENTS:
            return _parse_repository(event, _load(body))
        return Ignored(f"{event[:60] or 'an event without a name'} changes no branch and no pull request")


FORMAT: Final = BitbucketHookFormat()


def _load(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid({"body": "This is not JSON."}, "The webhook cannot be read.") from error
    return _object(document, "body")


def _parse_push(event: str, document: dict[str, Any]) -> HookEvent | Ignored:
    """One push names any number of branches and tags; which ones matters little, as git is asked anyway."""
    changes = _object(document.get("push"), "push").get("changes")
    if not isinstance(changes, list):
        raise Invalid({"push.changes": "Must be a list."}, "The webhook cannot be read.")
    kinds = {_ref_type(change) for change in changes}
    if kinds and kinds <= {"tag", "annotated_tag"}:
        return Ignored("only tags were pushed")
    return _event(event, _REFS_ONLY, document)


def _ref_type(change: Any) -> str | None:
    """`new` is null when a branch or tag was deleted, `old` when it was created."""
    found = _object(change, "push.changes")
    ref = found.get("new") or found.get("old")
    return str(ref.get("type")) if isinstance(ref, dict) else None


def _parse_pull(event: str, document: dict[str, Any]) -> HookEvent:
    number = _object(document.get("pullrequest"), "pullrequest").get("id")
    if not is_number(number):
        raise Invalid({"pullrequest.id": "Must be the number of a pull request."}, "The webhook cannot be read.")
    return _event(event, Scope(pulls=frozenset({number}), repository=False), document)


def _parse_repository(event: str, document: dict[str, Any]) -> HookEvent:
    """It may have another name now; the host is asked for it by the old one, and redirects."""
    _object(document.get("repository"), "repository")
    return _event(event, _REPOSITORY_ONLY, document)


def _event(name: str, scope: Scope, document: dict[str, Any]) -> HookEvent:
    told = document.get("repository")
    repository = told if isinstance(told, dict) else {}
    return HookEvent(name, scope, _text(repository.get("uuid")), _text(repository.get("full_name")))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Invalid({name: "Must be an object."}, "The webhook cannot be read.")
    return value
