"""Makes the attempts of one integration."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import structlog

from tieline.core.clock import now
from tieline.core.deliveries import Message, Receipt, receipt_of
from tieline.core.documents import Integration
from tieline.core.errors import RateLimited, RemoteError
from tieline.core.redact import Redactor
from tieline.core.remote import BuildStatus
from tieline.dispatch import story
from tieline.dispatch.journal import Journal, NotOurs
from tieline.dispatch.letters import Letter
from tieline.dispatch.recorder import Outcome, Subject
from tieline.dispatch.schedule import Schedule, is_hopeless
from tieline.integrations.base import ActivitySink, IntegrationType, StatusReporter
from tieline.store.claims import Delivery
from tieline.store.database import TROUBLE

log = structlog.get_logger()

NoteEffect = Callable[[Delivery], Awaitable[None]]
_BUG: Final = Receipt("retry", "Something went wrong inside Tieline; its log has more.", error="internal")
_CRASHED: Final = Receipt("refused", "Given up: every server that tried this stopped in the middle.", error="internal")
_FORGOTTEN: Final = Receipt("refused", "What was to be sent is not kept any more.", error="internal")
_NOT_WANTED: Final = Receipt("refused", "The integration wants to be told nothing any more.", error="internal")
INTERRUPTED: Final = Receipt(
    "refused",
    "The server stopped in the middle. It is not tried again by itself, because some of it had been done.",
    error="interrupted",
)


@dataclass(frozen=True)
class Courier:
    """Sends to one integration, whichever of the two roles it plays. `note_effect` raises `NotOurs`."""

    integration: Integration
    kind: IntegrationType
    sink: ActivitySink | None
    reporter: StatusReporter | None
    redactor: Redactor
    schedule: Schedule
    note_effect: NoteEffect

    async def send(self, delivery: Delivery, letter: Letter | None) -> Outcome:
        """Make one attempt. Raises `NotOurs`, and what says that the database is away."""
        journal = self.journal(delivery, letter)
        began, started_at = time.monotonic(), now()
        receipt = await self._attempt(delivery, letter, journal)
        return Outcome(delivery, self.subject, letter, receipt, journal, started_at, time.monotonic() - began)

    @cached_property
    def place(self) -> str:
        """To whom it is told, as people read it."""
        return story.place_of(self.integration, self.kind.title)

    @cached_property
    def subject(self) -> Subject:
        """Whom it tells."""
        return Subject(self.integration, self.kind.title, self.place)

    def journal(self, delivery: Delivery, letter: Letter | None) -> Journal:
        """The log of an attempt, with its first line."""

        async def note_effect() -> None:
            await self.note_effect(delivery)

        journal = Journal(self.redactor, note_effect)
        if letter is not None:
            first = story.opening(letter, self.integration, self.place, delivery, self.schedule)
            journal.say(first, is_ours=True)
        return journal

    async def _attempt(self, delivery: Delivery, letter: Letter | None, journal: Journal) -> Receipt:
        if is_hopeless(delivery.crashes):
            return _CRASHED
        try:
            if delivery.kind == "commit_status":
                return await self._report(delivery)
            return await self._tell(letter, journal)
        except (NotOurs, *TROUBLE):
            raise
        except Exception:
            log.exception("delivery.crashed", delivery=delivery.id, integration=delivery.integration_id)
            return _BUG

    async def _tell(self, letter: Letter | None, journal: Journal) -> Receipt:
        if self.sink is None:
            return _NOT_WANTED
        if letter is None:
            return _FORGOTTEN
        return await self.sink.deliver(Message(story.message_id(letter, self.integration), letter.kept.body), journal)

    async def _report(self, delivery: Delivery) -> Receipt:
        if self.reporter is None:
            return _NOT_WANTED
        try:
            await self.reporter.report(BuildStatus(**(delivery.payload or {})))
        except RateLimited as error:
            wait = (error.until - now()).total_seconds()
            return Receipt("retry", str(error), error="status", retry_after=wait, counted=False)
        except RemoteError as error:
            return receipt_of(error)
        return Receipt("delivered", "The host took the build status.")
