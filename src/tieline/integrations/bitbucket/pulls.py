"""A pull request of Bitbucket Cloud in our words. Pure."""

from typing import Any, Final, Literal, TypeGuard

from tieline.core.errors import RemoteBroken
from tieline.core.remote import PullRequest

_STATES: Final[dict[str, Literal["open", "merged", "declined"]]] = {
    "OPEN": "open",
    "MERGED": "merged",
    "DECLINED": "declined",
    "SUPERSEDED": "declined",
}
_HIGHEST_NUMBER: Final = 2**31 - 1

# All that `parse_pull` reads, as Bitbucket's `fields` parameter has it.
PULL_FIELDS: Final = (
    "id",
    "title",
    "state",
    "author.display_name",
    "links.html.href",
    *(
        f"{end}.{name}"
        for end in ("source", "destination")
        for name in ("branch.name", "commit.hash", "repository.full_name", "repository.uuid")
    ),
)


def parse_pull(document: dict[str, Any], repository: str) -> PullRequest:
    """One pull request of `repository`.

    Source repository, branch and commit are null once the fork or the branch is gone; `head` is abbreviated to 12
    characters. Raises `RemoteBroken` for what is no pull request.
    """
    number, state = document.get("id"), document.get("state")
    if not is_number(number) or not isinstance(state, str) or not state:
        raise RemoteBroken("Bitbucket answered with something other than a pull request.")
    source, destination = _side(document.get("source")), _side(document.get("destination"))
    return PullRequest(
        number=number,
        title=str(document.get("title") or ""),
        # A state that is new to us is no end: what is open stays, and what ended is named so.
        state=_STATES.get(state, "open"),
        source_branch=source.branch,
        source_repository=source.full_name,
        target_branch=destination.branch,
        head=source.commit,
        is_fork=_is_fork(source, destination, repository),
        url=_text(document, "links", "html", "href") or "",
        author=_text(document, "author", "display_name") or "",
    )


def is_number(value: Any) -> TypeGuard[int]:
    """Whether it can be the number of a pull request."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _HIGHEST_NUMBER


class _Side:
    """One end of a pull request."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.branch = _text(document, "branch", "name")
        self.commit = _text(document, "commit", "hash")
        self.full_name = _text(document, "repository", "full_name")
        self.uuid = _text(document, "repository", "uuid")


def _side(value: Any) -> _Side:
    return _Side(value if isinstance(value, dict) else {})


def _is_fork(source: _Side, destination: _Side, repository: str) -> bool:
    """By id where both have one: names change, and their case does not count. A source that is gone is no one's."""
    if source.uuid is not None and destination.uuid is not None:
        return source.uuid != destination.uuid
    if source.full_name is None:
        return True
    return source.full_name.casefold() != (destination.full_name or repository).casefold()


def _text(document: dict[str, Any], *path: str) -> str | None:
    found: Any = document
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found if isinstance(found, str) and found else None
