"""What the contract needs to know of each type beyond its own declaration: how its host signs, what it sends."""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import orjson
from pydantic.fields import FieldInfo

from tieline.core.remote import HookEvent, Scope
from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import Fields, is_read_only, is_write_only, nested

FIXTURES: Final = Path(__file__).parents[1] / "fixtures"
REPOSITORY_ID: Final = "{0f3c2d6e-5a51-4a3e-9a0a-6f0d3a1b2c3d}"

REFS_ONLY: Final = Scope(pulls=frozenset(), repository=False)
REPOSITORY_ONLY: Final = Scope(pulls=frozenset(), repository=True)


def pull(number: int) -> Scope:
    return Scope(pulls=frozenset({number}), repository=False)


@dataclass(frozen=True)
class Payload:
    """A webhook as it comes in, and what it must be taken for; None for what is ignored."""

    path: Path
    headers: Mapping[str, str]
    expected: HookEvent | None

    def body(self) -> bytes:
        return self.path.read_bytes()


@dataclass(frozen=True)
class HookSamples:
    """`sign` gives the headers that prove a body to come from the host."""

    sign: Callable[[bytes, bytes], dict[str, str]]
    payloads: tuple[Payload, ...]


def _sign_bitbucket(body: bytes, secret: bytes) -> dict[str, str]:
    return {"x-hub-signature": "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()}


def _bitbucket(name: str, scope: Scope | None, full_name: str = "acme/site") -> Payload:
    """The name of the file is the event, with a colon for the first underscore, and the case."""
    event = name.partition("__")[0].replace("_", ":", 1)
    expected = HookEvent(event, scope, REPOSITORY_ID, full_name) if scope is not None else None
    return Payload(folder_of("bitbucket") / f"{name}.json", {"x-event-key": event}, expected)


def folder_of(key: str) -> Path:
    """Where the payloads of a type lie."""
    return FIXTURES / key / "webhooks"


BITBUCKET: Final = HookSamples(
    _sign_bitbucket,
    (
        _bitbucket("repo_push__branch_updated", REFS_ONLY),
        _bitbucket("repo_push__branch_created", REFS_ONLY),
        _bitbucket("repo_push__branch_deleted", REFS_ONLY),
        _bitbucket("repo_push__branch_forced", REFS_ONLY),
        _bitbucket("repo_push__branch_and_tag", REFS_ONLY),
        _bitbucket("repo_push__no_changes", REFS_ONLY),
        _bitbucket("repo_push__tags_only", None),
        _bitbucket("pullrequest_created__same_repository", pull(7)),
        _bitbucket("pullrequest_created__fork", pull(8)),
        _bitbucket("pullrequest_updated__retargeted", pull(7)),
        _bitbucket("pullrequest_updated__draft", pull(7)),
        _bitbucket("pullrequest_updated__fork_deleted", pull(8)),
        _bitbucket("pullrequest_push__new_commits", pull(7)),
        _bitbucket("pullrequest_fulfilled__merged", pull(7)),
        _bitbucket("pullrequest_rejected__declined", pull(7)),
        _bitbucket("pullrequest_approved__by_reviewer", None),
        _bitbucket("repo_updated__renamed", REPOSITORY_ONLY, "acme/shop"),
        _bitbucket("repo_transfer__other_workspace", REPOSITORY_ONLY, "umbrella/site"),
        _bitbucket("repo_fork__by_somebody", None),
        _bitbucket("issue_created__bug", None),
    ),
)
HOOKS: Final[dict[str, HookSamples]] = {"bitbucket": BITBUCKET}


@dataclass(frozen=True)
class SinkSample:
    """An integration that calls a URL for each message: its fields, and sensitive variables. Both have `PLANTED`."""

    fields: Callable[[str], dict[str, Any]]
    variables: dict[str, str]


PLANTED: Final = "planted-secret-of-one-who-is-told"
TELLS: Final = """
const headers = { Authorization: `Bearer ${variables.KEY}` };
const answer = fetch("%s", { method: "POST", headers, body: JSON.stringify(activity) });
console.log("The key is", variables.KEY);
if (!answer.ok) throw new Error(`${answer.status}: ${answer.text()}`);
"""
SINKS: Final[dict[str, SinkSample]] = {
    "webhook": SinkSample(lambda url: {"url": url, "shared_key": PLANTED}, {}),
    "script": SinkSample(lambda url: {"script": TELLS % url}, {"KEY": PLANTED}),
}


def writable(kind: IntegrationType) -> Iterator[tuple[str, bool]]:
    """Every field that a client may send, by dotted name, and whether it must be sent with its object."""
    yield from _writable(kind.fields, "")


def _writable(fields: type[Fields], prefix: str) -> Iterator[tuple[str, bool]]:
    for name, field in fields.model_fields.items():
        if is_read_only(field):
            continue
        yield prefix + name, field.is_required()
        if (inner := nested(field)) is not None:
            yield from _writable(inner, f"{prefix}{name}.")


def full_body(kind: IntegrationType, secret: str) -> dict[str, Any]:
    """The example, with every object present and `secret` in every write-only field that is no choice."""
    return {**kind.example, **_filled(kind.fields, kind.example, secret)}


def _filled(fields: type[Fields], example: Mapping[str, Any], secret: str) -> dict[str, Any]:
    body = dict(example)
    for name, field in fields.model_fields.items():
        inner = nested(field)
        if is_write_only(field):
            body[name] = choices(field)[-1] if choices(field) else secret
        elif inner is not None:
            strings = {part: f"a {part}" for part in inner.model_fields}
            body[name] = _filled(inner, {**strings, **(example.get(name) or {})}, secret)
    body.pop("type", None)
    return body


def choices(field: FieldInfo) -> tuple[Any, ...]:
    """The values that a field may have, where they are a few."""
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def replaced(body: dict[str, Any], dotted: str, value: object) -> dict[str, Any]:
    """A copy with another value at a dotted name."""
    copy = orjson.loads(orjson.dumps(body))
    _parent(copy, dotted)[dotted.rpartition(".")[2]] = value
    return dict(copy)


def without(body: dict[str, Any], dotted: str) -> dict[str, Any]:
    """A copy without what is, or is not, at a dotted name."""
    copy = orjson.loads(orjson.dumps(body))
    _parent(copy, dotted).pop(dotted.rpartition(".")[2], None)
    return dict(copy)


def _parent(body: dict[str, Any], dotted: str) -> dict[str, Any]:
    found = body
    for part in dotted.split(".")[:-1]:
        found = found[part]
    return found
