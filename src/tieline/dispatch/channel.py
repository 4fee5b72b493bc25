"""Sends what one integration has to be told: a few things side by side, what belongs in order one after the other."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from tieline.core.errors import Unavailable
from tieline.dispatch.claims import Claims
from tieline.dispatch.courier import Courier
from tieline.dispatch.journal import NotOurs
from tieline.dispatch.letters import Letters
from tieline.dispatch.recorder import Outcome, Recorder
from tieline.store.claims import Claim, Delivery
from tieline.store.database import TROUBLE

log = structlog.get_logger()

MOST_LANES: Final = 16
LONGEST_RUN: Final = 32
LANES_FAILING: Final = 4
MOST_UNWRITTEN: Final = 16


@dataclass(frozen=True)
class Post:
    """What all channels of a process share.

    `is_alive` says whether what this process has claimed still is its own; `held` are the numbers of that. `is_current`
    says whether a courier goes where the integration has messages sent now.
    """

    letters: Letters
    recorder: Recorder
    claims: Claims
    turns: asyncio.Semaphore
    is_alive: Callable[[], bool]
    is_current: Callable[[Courier], bool]
    held: set[int] = field(default_factory=set)


@dataclass
class _Lane:
    """What goes out one after the other: what is left of it, and what of it is being written.

    `heard` is how often there was news when it was taken, `was_full` whether there may have been more at that time.
    """

    left: list[Delivery]
    heard: int
    was_full: bool
    written: list[asyncio.Future[None]] = field(default_factory=list)


class Channel:
    """One integration's. `run` ends when there is nothing to send now; `wake` says that there may be more."""

    def __init__(self, post: Post, integration_id: str) -> None:
        self._post = post
        self._integration_id = integration_id
        self._lanes: set[asyncio.Task[None]] = set()
        self._event = asyncio.Event()
        self._hungry = True
        self._heard = 0
        self._stopping = False

    def wake(self) -> None:
        """There may be more to send."""
        self._heard += 1
        self._look_again()

    def _look_again(self) -> None:
        self._hungry = True
        self._event.set()

    def stop(self) -> None:
        """Claim nothing more, and let `run` end when what is on its way has arrived."""
        self._stopping = True
        self._event.set()

    def cancel(self) -> None:
        """Break off what is on its way."""
        for lane in self._lanes:
            lane.cancel()

    async def run(self) -> None:
        """Send what is due."""
        while not self._stopping:
            self._event.clear()
            # Many at once cost little more than one.
            if self._hungry and len(self._lanes) <= MOST_LANES // 2:
                self._hungry = False
                await self._try_to_fill()
            elif not self._lanes and not self._hungry:
                return
            else:
                await self._event.wait()
        if self._lanes:
            await asyncio.wait(self._lanes)

    async def _try_to_fill(self) -> None:
        """What cannot be had now is looked for again by and by; what is on its way goes on."""
        try:
            await self._fill()
        except TROUBLE as error:
            log.warning("deliveries.lost_database", reason=str(error), integration=self._integration_id)
        except Unavailable as error:
            # A secret that cannot be opened, say: until somebody sees to that, this comes every other second.
            log.warning("deliveries.unavailable", reason=str(error), integration=self._integration_id)
        except Exception:
            log.exception("deliveries.failed", integration=self._integration_id)

    async def _fill(self) -> None:
        if not self._post.is_alive():
            # What it took it would give back at once, and take again.
            return
        courier, claimed = await self._post.claims.claim(self._wanted())
        if courier is None:
            return
        self._post.held.update(each.id for each in claimed)
        for run in in_order(claimed):
            lane = asyncio.create_task(self._send_in_order(courier, run))
            self._lanes.add(lane)
            lane.add_done_callback(self._ended)

    def _ended(self, lane: asyncio.Task[None]) -> None:
        self._lanes.discard(lane)
        if not lane.cancelled() and (error := lane.exception()) is not None:
            log.error("delivery.lane_failed", integration=self._integration_id, error=repr(error))
        self._look_again()

    def _wanted(self) -> Claim:
        left, busy = MOST_LANES - len(self._lanes), len(self._lanes)
        return Claim(
            self._integration_id,
            lanes=left,
            run=LONGEST_RUN,
            lanes_failing=max(0, LANES_FAILING - busy),
            lanes_closed=max(0, 1 - busy),
        )

    async def _send_in_order(self, courier: Courier, run: Sequence[Delivery]) -> None:
        """Send one after the other until one is not taken; done when it is written what became of them."""
        lane = _Lane(list(run), self._heard, len(run) >= LONGEST_RUN)
        try:
            while lane.left and self._post.is_alive() and not self._stopping:
                await self._send_next(courier, lane)
        except NotOurs:
            lane.left.pop(0)
        except TROUBLE as error:
            log.warning("delivery.lost_database", reason=str(error), integration=self._integration_id)
        finally:
            # What was cancelled in the middle may have arrived; it is sent again under the same id.
            lane.written += [self._put(Outcome(each)) for each in lane.left]
        await asyncio.gather(*lane.written)

    async def _send_next(self, courier: Courier, lane: "_Lane") -> None:
        outcome = await self._send(courier, lane.left[0])
        sent = lane.left.pop(0)
        behind, lane.left = lane.left, []
        try:
            if self._goes_on(courier, outcome):
                lane.left = behind or await self._more(sent, lane)
            else:
                lane.written += [self._put(Outcome(each)) for each in behind]
        finally:
            lane.written.append(self._put(outcome))
        if len(lane.written) > MOST_UNWRITTEN:
            await lane.written.pop(0)

    def _goes_on(self, courier: Courier, outcome: Outcome) -> bool:
        """Whether the next one may go out, and by the same courier: a lane that is busy may not end for days."""
        is_taken = outcome.receipt is not None and outcome.receipt.verdict == "delivered"
        return is_taken and self._post.is_current(courier)

    def _put(self, outcome: Outcome) -> asyncio.Future[None]:
        written = self._post.recorder.put(outcome)
        written.add_done_callback(lambda _: self._post.held.discard(outcome.delivery.id))
        return written

    async def _more(self, last: Delivery, lane: "_Lane") -> list[Delivery]:
        """What follows in the same order, if there may be anything.

        Until it is written what became of the last one, what follows is nobody else's to take.
        """
        if last.order_key is None or not (lane.was_full or lane.heard != self._heard):
            return []
        lane.heard = self._heard
        more = await self._post.claims.claim_next(last, LONGEST_RUN)
        self._post.held.update(each.id for each in more)
        lane.was_full = len(more) >= LONGEST_RUN
        return more

    async def _send(self, courier: Courier, delivery: Delivery) -> Outcome:
        async with self._post.turns:
            letter = None if delivery.message_id is None else await self._post.letters.get(delivery.message_id)
            return await courier.send(delivery, letter)


def in_order(claimed: Sequence[Delivery]) -> list[list[Delivery]]:
    """What was claimed, by what goes out one after the other. Pure."""
    runs: dict[str | int, list[Delivery]] = defaultdict(list)
    for each in claimed:
        runs[each.id if each.order_key is None else each.order_key].append(each)
    return list(runs.values())
