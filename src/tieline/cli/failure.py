"""How a command ends, and what it says when it fails."""

import json
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Final

from tieline.cli.text import printable


class Status(IntEnum):
    """Exit statuses. 3, 4 and 6 are those of the vendor's command line."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNAUTHENTICATED = 3
    INVALID = 4
    NOT_FOUND = 5
    FORBIDDEN = 6
    UNREACHABLE = 7
    INTERRUPTED = 130


MEANING: Final = {
    Status.OK: "done",
    Status.FAILED: "the operation failed, e.g. an activity did",
    Status.USAGE: "the command line or a setting is wrong",
    Status.UNAUTHENTICATED: "the server does not accept the token",
    Status.INVALID: "the server does not accept the input; each field is named",
    Status.NOT_FOUND: "there is no such thing, or none that you may see",
    Status.FORBIDDEN: "you may see this, but not do that",
    Status.UNREACHABLE: "the server does not answer, or not as Tieline does",
    Status.INTERRUPTED: "interrupted by Ctrl-C",
}

LOCKED_OUT: Final = (
    "Set TIELINE_TOKEN to an API token. The first one is in the file admin-token of the server's data folder;"
    " `tieline token create` makes more."
)
_LISTS: Final = {
    "Project": "tieline project list",
    "Integration": "tieline integration list",
    "Environment": "tieline environment list",
    "Activity": "tieline activity list",
    "Delivery": "tieline delivery list INTEGRATION",
    "User": "tieline user list",
    "Organization": "tieline organization list",
    "API": "tieline token list",
}
_OF_CODE: Final = {401: Status.UNAUTHENTICATED, 403: Status.FORBIDDEN, 404: Status.NOT_FOUND, 503: Status.UNREACHABLE}
_INPUT: Final = (400, 413)


class Failure(Exception):
    """Ends a command: each sentence is a line on standard error."""

    def __init__(self, status: Status, *sentences: str) -> None:
        super().__init__(*sentences)
        self.status = status
        self.sentences = tuple(printable(each) for each in sentences)


class Conflict(Failure):
    """The request contradicts what is there by now (409)."""


class LostConnection(Failure):
    """The server could not be reached, or the connection broke."""

    def __init__(self, server: str, reason: str) -> None:
        advice = "Is `tieline serve` running? TIELINE_SERVER or --server says where."
        super().__init__(Status.UNREACHABLE, f"{server} cannot be reached: {reason}.", advice)


def explain(server: str, code: int, body: bytes, location: str | None = None) -> Failure:
    """What an answer that is none of 2xx means to a person."""
    if location is not None:
        advice = f"Set TIELINE_SERVER to where it leads: {location}"
        return Failure(Status.UNREACHABLE, f"{server} answers with a redirect.", advice)
    document = _parse(body)
    if document is None:
        return Failure(
            Status.UNREACHABLE, f"{server} answers {code}, but not as Tieline does. Is TIELINE_SERVER right?"
        )
    if code in _INPUT:
        return Failure(Status.INVALID, *_fields(document))
    kind = Conflict if code == 409 else Failure  # noqa: PLR2004 - as HTTP has it
    return kind(_OF_CODE.get(code, Status.FAILED), *_sentences(code, str(document.get("message", ""))))


def _parse(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) and "message" in document else None


def _fields(document: dict[str, Any]) -> Iterator[str]:
    detail = document.get("detail")
    if not isinstance(detail, dict) or not detail:
        yield str(detail or document["message"])
        return
    for name, sentence in detail.items():
        yield f"{name}: {sentence}" if name else str(sentence)


def _sentences(code: int, message: str) -> Iterator[str]:
    yield message
    if code == 401:  # noqa: PLR2004 - as HTTP has it
        yield LOCKED_OUT
    listing = _LISTS.get(message.partition(" ")[0])
    if code == 404 and listing:  # noqa: PLR2004 - as HTTP has it
        yield f"`{listing}` shows what there is."
