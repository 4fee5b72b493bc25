"""How many logs an account follows at once: each line wakes every reader, and each reader asks the database."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tieline.core.errors import Unavailable

MOST: Final = 50


class Readers:
    """Counts the readers of each account in this process."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._counts: Counter[str] = Counter()

    @contextmanager
    def take(self, account_id: str) -> Iterator[None]:
        """One reader of the account's, until the block ends. Raises `Unavailable` when it has as many as it may."""
        if self._counts[account_id] >= self._most:
            raise Unavailable(f"You follow {self._most} logs already; please end one of them first.")
        self._counts[account_id] += 1
        try:
            yield
        finally:
            self._counts[account_id] -= 1
            if not self._counts[account_id]:
                del self._counts[account_id]
