"""What a delivery says of itself while it is under way."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from tieline.core.clock import now
from tieline.core.errors import TielineError
from tieline.core.lines import parse_lines
from tieline.core.redact import Redactor

MOST_CHARACTERS: Final = 1024 * 1024
FULL: Final = "The log is full. What follows is not kept.\n"


class NotOurs(TielineError):
    """Somebody else has this delivery now: nothing more is to be done for it here."""


class Journal:
    """A `core.ports.Journal` in memory; its lines are stored with the result. `note_effect` raises `NotOurs`."""

    def __init__(self, redactor: Redactor, note_effect: Callable[[], Awaitable[None]]) -> None:
        self.lines: list[tuple[datetime, str]] = []
        self._redactor = redactor
        self._note_effect = note_effect
        self._room = MOST_CHARACTERS
        self._has_effects = False

    async def write(self, text: str) -> None:
        self.say(text)

    def say(self, text: str, *, is_ours: bool = False) -> None:
        """Append text, masked unless all of it is our own."""
        for moment, line in self.rendered(text, is_ours=is_ours):
            if self._room <= 0:
                return
            self._room -= len(line)
            self.lines.append((moment, line if self._room > 0 else FULL))

    def rendered(self, text: str, *, is_ours: bool = False) -> list[tuple[datetime, str]]:
        """Text as its lines would be stored; what is `is_ours` has nothing in it that somebody else said."""
        moment = now()
        return [(moment, line) for line in parse_lines(text if is_ours else self._redactor.text(text))]

    async def before_effect(self) -> None:
        if not self._has_effects:
            await self._note_effect()
            self._has_effects = True

    @property
    def has_effects(self) -> bool:
        """Whether it has begun to do what must not be done twice."""
        return self._has_effects
