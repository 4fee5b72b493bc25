"""Delivers: finds who wants to know of events, and sends what is due, as long as the process lives.

It is woken by what the transactions that make something due say, and looks by itself every two seconds. What it has
claimed is free again soon after it was last heard of.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from tieline.core.ids import new_id
from tieline.core.redact import Redactor
from tieline.dispatch.channel import Channel, Post
from tieline.dispatch.claims import Claims
from tieline.dispatch.courier import INTERRUPTED, Courier
from tieline.dispatch.fanout import FEW, MANY, FanOut
from tieline.dispatch.journal import NotOurs
from tieline.dispatch.letters import Letters
from tieline.dispatch.recorder import Outcome, Recorder
from tieline.dispatch.schedule import Schedule
from tieline.integrations.base import Registry
from tieline.store import claims, deliveries, integrations, outbox, senders, variables
from tieline.store.claims import Delivery
from tieline.store.database import TROUBLE, Connection, Database
from tieline.store.seal import SecretBox

if TYPE_CHECKING:
    from datetime import datetime

log = structlog.get_logger()

MOST_IN_FLIGHT: Final = 1000
_CLOCK_SLACK: Final = 5.0
# Keys that are being replaced end by themselves, which nobody says.
_REMEMBERED_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Pace:
    """How often a process looks for what is due, and mends the order, in seconds.

    What one has claimed that was `silent` for so long may be taken by others. Before that it lets go of it itself,
    when it could not say for the time `trusted` that it is alive.
    """

    beat: float = 2.0
    trusted: float = 8.0
    silent: float = 12.0
    mend: float = 20.0


class Listener(Protocol):
    """What the store's listener offers."""

    @property
    def connected(self) -> bool: ...

    def subscribe(self, topic: str, heard: Callable[[str], None]) -> Callable[[], None]: ...

    def on_gap(self, missed: Callable[[], None]) -> None: ...


class Dispatcher:
    """One per process that works."""

    def __init__(
        self,
        db: Database,
        box: SecretBox,
        registry: Registry,
        listener: Listener,
        fan_out: FanOut,
        schedule: Schedule,
        pace: Pace | None = None,
    ) -> None:
        self._db = db
        self._box = box
        self._registry = registry
        self._listener = listener
        self._fan_out = fan_out
        self._schedule = schedule
        self._pace = pace or Pace()
        self._sender_id = new_id()
        self._recorder = Recorder(db, schedule, self._sender_id, self._wake_in)
        self._letters = Letters(db)
        self._claims = Claims(db, self._sender_id, self._courier, self._letters)
        self._post = Post(
            letters=self._letters,
            recorder=self._recorder,
            claims=self._claims,
            turns=asyncio.Semaphore(MOST_IN_FLIGHT),
            is_alive=self._is_trusted,
            is_current=self._is_current,
        )
        self._channels: dict[str, Channel] = {}
        self._runs: set[asyncio.Task[None]] = set()
        self._couriers: dict[str, tuple[float, Courier]] = {}
        self._generation = 0
        self._projects: dict[str, int] = {}
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._recording: asyncio.Task[None] | None = None
        self._claiming: asyncio.Task[None] | None = None
        self._beaten = 0.0
        self._mended = -math.inf
        self._unknown: set[int] = set()
        self._clock: tuple[float, datetime] | None = None
        self._stopping = False

    async def start(self, *, alone: bool) -> None:
        """Begin. `alone` says that no other process can be alive: what seems to be under way is free."""
        async with self._db.transaction() as conn:
            if alone:
                await senders.bury_all(conn)
            await senders.beat(conn, self._sender_id)
        self._beaten = time.monotonic()
        self._listener.subscribe(outbox.TOPIC, self._heard_of_events)
        self._listener.subscribe(deliveries.TOPIC, self._wake)
        self._listener.subscribe("integrations", self._forget)
        self._listener.on_gap(self._forget_all)
        self._recording = asyncio.create_task(self._recorder.run(), name="recorder")
        self._tasks = [
            asyncio.create_task(self._keep_looking(), name="deliveries"),
            asyncio.create_task(self._keep_spreading(), name="events"),
        ]
        self._claiming = asyncio.create_task(self._claims.run(), name="claims")

    async def stop(self, grace_seconds: float) -> None:
        """Send nothing more; what is on its way may arrive within the grace time, and is written down."""
        if self._recording is None or self._claiming is None:
            return
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        for channel in self._channels.values():
            channel.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._runs:
            await asyncio.wait(self._runs, timeout=grace_seconds)
        for channel in self._channels.values():
            channel.cancel()
        if self._runs:
            await asyncio.wait(self._runs, timeout=grace_seconds)
        # Not before: a channel that asked has to be answered, or it would not end.
        self._claiming.cancel()
        self._recorder.close()
        await asyncio.wait({self._recording, self._claiming}, timeout=grace_seconds)
        await self._leave()

    async def _leave(self) -> None:
        try:
            async with self._db.connection() as conn:
                await senders.leave(conn, self._sender_id)
                await senders.bury(conn, self._pace.silent)
                await deliveries.mend_order(conn)
        except TROUBLE as error:
            log.warning("deliveries.lost_database", reason=str(error))

    def _heard_of_events(self, project_id: str) -> None:
        self._projects.setdefault(project_id, FEW)
        self._news.set()

    def _wake(self, integration_id: str) -> None:
        """Send what an integration has to be told."""
        if self._stopping:
            return
        if (channel := self._channels.get(integration_id)) is not None:
            channel.wake()
            return
        self._channels[integration_id] = channel = Channel(self._post, integration_id)
        run = asyncio.create_task(self._run(integration_id, channel))
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)

    def _wake_in(self, integration_id: str, seconds: float) -> None:
        if seconds <= 0:
            self._wake(integration_id)
        elif seconds < self._pace.beat * 10:
            # What waits longer is found by looking.
            asyncio.get_running_loop().call_later(seconds, self._wake, integration_id)

    async def _run(self, integration_id: str, channel: Channel) -> None:
        try:
            await channel.run()
        finally:
            del self._channels[integration_id]

    async def _keep_looking(self) -> None:
        while True:
            try:
                async with self._db.connection() as conn:
                    await self._beat(conn)
                    interrupted = await self._clear_up(conn)
                    for integration_id in await deliveries.integrations_due(conn):
                        self._wake(integration_id)
                    for project_id in await outbox.waiting_projects(conn):
                        self._heard_of_events(project_id)
                for delivery in interrupted:
                    await self._tell_interrupted(delivery)
            except TROUBLE as error:
                log.warning("deliveries.lost_database", reason=str(error))
            except Exception:
                log.exception("deliveries.look_failed")
            await asyncio.sleep(self._pace.beat)

    async def _keep_spreading(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._projects:
                project_id = next(iter(self._projects))
                await self._spread(project_id, self._projects.pop(project_id))

    async def _spread(self, project_id: str, limit: int) -> None:
        try:
            if await self._fan_out.spread(project_id, limit) >= limit:
                self._projects[project_id] = MANY
        except TROUBLE as error:
            log.warning("deliveries.lost_database", reason=str(error))
        except Exception:
            log.exception("events.failed", project=project_id)

    async def _clear_up(self, conn: Connection) -> list[Delivery]:
        """See to what others and we ourselves have left behind; what was interrupted for good is ours to tell of."""
        has_freed = await senders.bury(conn, self._pace.silent) > 0
        is_time = time.monotonic() - self._mended > self._pace.mend
        if not (has_freed or is_time):
            return []
        self._mended = time.monotonic()
        await self._let_go(conn)
        await deliveries.mend_order(conn)
        return await claims.adopt_interrupted(conn, self._sender_id)

    async def _let_go(self, conn: Connection) -> None:
        """Free what was claimed by a statement whose answer was lost, which nobody here knows of."""
        claimed = await claims.claimed_by(conn, self._sender_id)
        unknown = claimed - self._post.held
        await senders.let_go(conn, self._sender_id, unknown & self._unknown)
        self._unknown = unknown

    async def _beat(self, conn: Connection) -> None:
        """Say that we live; and look at the clock, which may have been set back, now or before we began."""
        moment = await senders.beat(conn, self._sender_id)
        self._beaten = time.monotonic()
        known, self._clock = self._clock, (self._beaten, moment)
        if known is None:
            await senders.reset_waits(conn)
        elif (moment - known[1]).total_seconds() < self._beaten - known[0] - _CLOCK_SLACK:
            log.warning("clock.set_back")
            await senders.reset_waits(conn)

    def _is_trusted(self) -> bool:
        return time.monotonic() - self._beaten < self._pace.trusted

    async def _courier(self, conn: Connection, integration_id: str) -> Courier | None:
        """Who sends to an integration; None when it is gone. Remembered until somebody changes the integration."""
        if (courier := self._remembered(integration_id)) is not None:
            return courier
        asked, generation = time.monotonic(), self._generation
        made = await self._new_courier(conn, integration_id)
        if made is not None and generation == self._generation:
            self._couriers[integration_id] = (asked, made)
        return made

    def _remembered(self, integration_id: str) -> Courier | None:
        since, courier = self._couriers.get(integration_id, (0.0, None))
        is_fresh = self._listener.connected and time.monotonic() - since < _REMEMBERED_SECONDS
        return courier if is_fresh else None

    def _is_current(self, courier: Courier) -> bool:
        return self._remembered(courier.integration.id) is courier

    def _forget_all(self) -> None:
        """What has changed since may not be heard of, also by who reads it at this moment."""
        self._generation += 1
        self._couriers.clear()

    def _forget(self, project_id: str) -> None:
        """The integrations of a project have changed, also for who reads them at this moment."""
        self._generation += 1
        changed = [id for id, (_, each) in self._couriers.items() if each.integration.project_id == project_id]  # noqa: A001
        for id in changed:  # noqa: A001
            del self._couriers[id]

    async def _new_courier(self, conn: Connection, integration_id: str) -> Courier | None:
        integration = await integrations.find_any(conn, self._box, integration_id)
        if integration is None or integration.type not in self._registry:
            return None
        known = await variables.load_all(conn, self._box, integration_id)
        is_gone = integration.deleted_at is not None
        return Courier(
            integration,
            self._registry[integration.type],
            None if is_gone else self._registry.sink(integration),
            None if is_gone else self._registry.status_reporter(integration),
            Redactor(self._registry.secret_texts(integration, known)),
            self._schedule,
            self._note_effect,
        )

    async def _note_effect(self, delivery: Delivery) -> None:
        async with self._db.connection() as conn:
            if not await claims.begin_effects(conn, delivery, self._sender_id):
                raise NotOurs("Another server has this delivery now.")

    async def _tell_interrupted(self, delivery: Delivery) -> None:
        """Say of what had begun to have effects when its server died that it is not done again."""
        async with self._db.connection() as conn:
            courier = await self._courier(conn, delivery.integration_id)
        letter = None if delivery.message_id is None else await self._letters.get(delivery.message_id)
        if courier is None:
            return
        await self._recorder.put(
            Outcome(delivery, courier.subject, letter, INTERRUPTED, courier.journal(delivery, letter))
        )
