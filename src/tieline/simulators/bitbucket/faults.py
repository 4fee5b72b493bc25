"""What can go wrong at a host, switched on by name."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Final

# How listings (REST pages of pull requests, and the refs that git shows) come out wrong.
LISTING_FAULTS: Final = (
    "rest-500",
    "rest-502",
    "rest-503",
    "rest-403",
    "rest-404",
    "rest-429",
    "rest-html",
    "rest-truncated",
    "rest-no-values",
    "rest-values-null",
    "rest-redirect",
    "rest-closed",
    "page-2-500",
    "page-2-html",
    "page-2-truncated",
    "page-2-elsewhere",
    "git-500",
    "git-html",
    "git-no-refs",
    "git-truncated",
    "git-redirect",
)


@dataclass
class Faults:
    """`switched` holds the names of `LISTING_FAULTS` in force; the rest are switches of their own.

    `latency` is in seconds, before every REST answer. `rate_limit` is how many REST requests are answered
    before 429s begin. `page_length` makes pages shorter than clients ask for, as the real host may.
    `expire_tokens_now` ends all that consumers were given, once. With `one_token` a new one ends those before it.
    """

    LISTING_FAULTS: ClassVar[tuple[str, ...]] = LISTING_FAULTS

    switched: set[str] = field(default_factory=set)
    drop_hooks: bool = False
    double_hooks: bool = False
    refuse_credentials: bool = False
    expire_tokens_now: bool = False
    one_token: bool = False
    empty_pull_list: bool = False
    refuse_internal_hooks: bool = False
    latency: float = 0.0
    rate_limit: int | None = None
    page_length: int | None = None

    @contextmanager
    def active(self, *names: str) -> Iterator[None]:
        """Switch faults on for the length of a block."""
        unknown = set(names) - set(LISTING_FAULTS)
        if unknown:
            raise ValueError(f"there are no such faults: {sorted(unknown)}")
        before = self.switched
        self.switched = before | set(names)
        try:
            yield
        finally:
            self.switched = before

    def find(self, prefix: str) -> str | None:
        """The fault of a group that is in force, without its prefix."""
        return next((each.removeprefix(prefix) for each in sorted(self.switched) if each.startswith(prefix)), None)
