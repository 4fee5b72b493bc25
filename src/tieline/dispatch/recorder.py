"""Writes down what became of deliveries: whatever ends while one group is written goes into the next."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import structlog

from tieline.core import kinds
from tieline.core.clock import now
from tieline.core.deliveries import Receipt, Receiver
from tieline.core.documents import Integration
from tieline.core.frozen import frozen
from tieline.core.ids import new_id
from tieline.core.lines import storable
from tieline.dispatch import story
from tieline.dispatch.journal import Journal
from tieline.dispatch.letters import Letter
from tieline.dispatch.schedule import DELIVERED, Plan, Schedule, judge, plan, reason_to_pause
from tieline.store import activities, attempts, claims, deliveries, projects, receivers
from tieline.store.attempts import ActivityRow, AttemptRow, Result
from tieline.store.claims import Delivery
from tieline.store.database import TROUBLE, Connection, Database

log = structlog.get_logger()

MOST_AT_ONCE: Final = 128
# What a writer waits for the database, others use.
WRITERS: Final = 3
UNWRITTEN: Final = Receipt("refused", "What became of it could not be written; the log has more.", error="internal")
_RETRY_SECONDS: Final = 1.0
Woken = Callable[[str, float], None]


@dataclass(frozen=True)
class Subject:
    """Whom a courier tells: the integration, what it is called, and where it is."""

    integration: Integration
    title: str
    place: str


@frozen
class Outcome:
    """How a delivery that was claimed ended here. Without a receipt it is given back unsent."""

    delivery: Delivery
    subject: Subject | None = None
    letter: Letter | None = None
    receipt: Receipt | None = None
    journal: Journal | None = None
    started_at: datetime | None = None
    seconds: float = 0.0


Waiting = tuple[Outcome, "asyncio.Future[None]"]


class Recorder:
    """Results wait here while the database is away: they are not lost while the process lives.

    `woken` is told which integration has something due in so many seconds.
    """

    def __init__(self, db: Database, schedule: Schedule, sender_id: str, woken: Woken) -> None:
        self._db = db
        self._schedule = schedule
        self._sender_id = sender_id
        self._woken = woken
        self._waiting: list[Waiting] = []
        self._arrived = asyncio.Event()
        self._closing = False

    def put(self, outcome: Outcome) -> asyncio.Future[None]:
        """Have an outcome written; done when it is."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((outcome, written))
        self._arrived.set()
        return written

    def close(self) -> None:
        """Let `run` end when everything is written."""
        self._closing = True
        self._arrived.set()

    async def run(self) -> None:
        """Write what arrives until closed: one group while the next ones are on their way."""
        async with asyncio.TaskGroup() as writers:
            for _ in range(WRITERS):
                writers.create_task(self._keep_writing())

    async def _keep_writing(self) -> None:
        while not self._closing or self._waiting:
            await self._arrived.wait()
            while self._waiting:
                group, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                for part in _apart(group):
                    await self._write_surely([outcome for outcome, _ in part])
                    _tell_written(part)
            if not self._closing:
                self._arrived.clear()

    async def _write_surely(self, outcomes: Sequence[Outcome]) -> None:
        while True:
            try:
                await self._write(outcomes)
            except TROUBLE as error:
                log.warning("deliveries.cannot_record", reason=str(error), waiting=len(self._waiting))
                if self._closing:
                    return
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception:
                log.exception("deliveries.record_failed", count=len(outcomes))
                await self._write_apart(outcomes)
                return
            else:
                return

    async def _write_apart(self, outcomes: Sequence[Outcome]) -> None:
        """One that cannot be written is no harm to the others, and is given up."""
        if len(outcomes) > 1:
            for each in outcomes:
                await self._write_surely([each])
        elif outcomes[0].receipt is not UNWRITTEN:
            await self._write_surely([Outcome(outcomes[0].delivery, receipt=UNWRITTEN)])

    async def _write(self, outcomes: Sequence[Outcome]) -> None:
        results = await (self._write_good if all(map(_is_good, outcomes)) else self._write_any)(outcomes)
        async with self._db.connection() as conn:
            await deliveries.advance(conn, [each.delivery for each in outcomes])
        for result in results:
            if result.state == "waiting":
                self._woken(result.delivery.integration_id, result.wait_seconds)

    async def _write_good(self, outcomes: Sequence[Outcome]) -> list[Result]:
        """What was delivered to receivers that are well, which is most of it, in one statement and without a lock."""
        results = [_result(each, each.receipt, DELIVERED) for each in outcomes if each.receipt is not None]
        async with self._db.connection() as conn:
            await attempts.record(conn, results, self._sender_id, may_be_lost=True)
        return results

    async def _write_any(self, outcomes: Sequence[Outcome]) -> list[Result]:
        async with self._db.transaction() as conn:
            before = await receivers.lock(conn, {each.delivery.integration_id for each in outcomes})
            # What is written already, by a commit whose answer was lost, counts once against its receiver.
            ours = await claims.lock(conn, [each.delivery for each in outcomes], self._sender_id)
            after = dict(before)
            results = [self._decide(each, after) for each in outcomes if each.delivery.id in ours]
            await attempts.record(conn, results, self._sender_id)
            for receiver in after.values():
                await self._save(conn, before[receiver.integration_id], receiver, outcomes)
        return results

    def _decide(self, outcome: Outcome, receivers_now: dict[str, Receiver]) -> Result:
        """Decide what becomes of a delivery, and how it stands with its receiver then."""
        delivery, receipt = outcome.delivery, outcome.receipt
        receiver = receivers_now.get(delivery.integration_id, Receiver(delivery.integration_id))
        if receipt is None:
            return Result(delivery, "waiting" if delivery.attempts > 1 else "pending", counted=False)
        paused = receiver.paused_at is not None
        planned = plan(receipt, delivery.attempts, self._schedule, random.random(), is_paused=paused)  # noqa: S311
        # Where there is no subject it is nothing that a receiver did.
        if receipt.counted and outcome.subject is not None:
            receiver = self._judge(receiver, receipt, is_sink=delivery.kind == "activity")
            if delivery.integration_id in receivers_now:
                receivers_now[delivery.integration_id] = receiver
        if receiver.paused_at is not None and planned.state == "waiting":
            planned = Plan("held")
        return _result(outcome, receipt, planned)

    def _judge(self, receiver: Receiver, receipt: Receipt, *, is_sink: bool) -> Receiver:
        moment = now()
        judged = judge(receiver, receipt.verdict, moment, self._schedule)
        because = reason_to_pause(judged, receipt.verdict, moment, self._schedule) if is_sink else None
        return judged if because is None else replace(judged, paused_at=moment, paused_because=because)

    async def _save(self, conn: Connection, before: Receiver, after: Receiver, outcomes: Sequence[Outcome]) -> None:
        if after == before:
            return
        await receivers.save(conn, after)
        if after.paused_at is not None and before.paused_at is None:
            await self._pause(conn, after, outcomes)

    async def _pause(self, conn: Connection, receiver: Receiver, outcomes: Sequence[Outcome]) -> None:
        """Say that it is paused."""
        subject = next(
            each.subject
            for each in outcomes
            if each.subject is not None and each.delivery.integration_id == receiver.integration_id
        )
        project = await projects.get(conn, subject.integration.project_id)
        actor = kinds.integration_actor(subject.integration, subject.title)
        because = receiver.paused_because or ""
        await activities.create(
            conn, kinds.integration_paused(project, subject.integration, subject.title, because, actor)
        )
        log.warning("integration.paused", integration=receiver.integration_id, reason=because)


def _apart(group: Sequence[Waiting]) -> list[list[Waiting]]:
    """Those whose receivers are all well, and before the others: what fails at one receiver locks that one alone."""
    troubled = {outcome.delivery.integration_id for outcome, _ in group if not _is_good(outcome)}
    well = [each for each in group if each[0].delivery.integration_id not in troubled]
    ill = [each for each in group if each[0].delivery.integration_id in troubled]
    return [part for part in (well, ill) if part]


def _tell_written(part: Sequence[Waiting]) -> None:
    for _, written in part:
        if not written.done():
            written.set_result(None)


def _is_good(outcome: Outcome) -> bool:
    """Whether it arrived where everything arrives, and had no effects that must not be forgotten."""
    return (
        outcome.receipt is not None
        and outcome.receipt.verdict == "delivered"
        and outcome.delivery.is_well
        and not (outcome.journal is not None and outcome.journal.has_effects)
    )


def _result(outcome: Outcome, receipt: Receipt, planned: Plan) -> Result:
    return Result(
        outcome.delivery,
        # What is held waits, for as long as the receiver is paused.
        "waiting" if planned.state == "held" else planned.state,
        planned.wait_seconds,
        counted=receipt.counted,
        error=None if planned.state == "delivered" else storable(receipt.sentence),
        attempt=_attempt(outcome, receipt),
        activity=_activity(outcome, receipt, planned),
    )


def _attempt(outcome: Outcome, receipt: Receipt) -> AttemptRow:
    request = receipt.request
    return AttemptRow(
        started_at=outcome.started_at or now(),
        seconds=round(outcome.seconds, 6),
        verdict=receipt.verdict,
        sentence=storable(receipt.sentence),
        error=receipt.error,
        status=receipt.status,
        address=receipt.address or None,
        request=None if request is None else vars(request),
        answer=receipt.answer,
    )


def _activity(outcome: Outcome, receipt: Receipt, planned: Plan) -> ActivityRow | None:
    """What the delivery tells of itself; build statuses are told of by the activities that they are about."""
    subject, letter, journal, delivery = outcome.subject, outcome.letter, outcome.journal, outcome.delivery
    if subject is None or letter is None or journal is None:
        return None
    is_over = planned.state in ("delivered", "failed")
    description, text = story.texts(letter, subject.place)
    end = story.closing(receipt, planned, delivery, outcome.seconds)
    return ActivityRow(
        id=delivery.activity_id or new_id(),
        is_new=delivery.activity_id is None,
        type=kinds.delivery_type(subject.integration.type),
        state="complete" if is_over else "in_progress",
        result=("success" if planned.state == "delivered" else "failure") if is_over else None,
        description=description,
        text=text,
        payload={
            **letter.caused_by,
            "integration": {"id": subject.integration.id, "type": subject.integration.type},
        },
        parameters=story.parameters(letter, subject.integration, delivery),
        # What a receiver said stands only in what went wrong.
        lines=[*journal.lines, *journal.rendered(end, is_ours=receipt.verdict == "delivered")],
    )
