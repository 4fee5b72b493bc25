"""Claims deliveries for all channels of a process: those who ask while one statement runs share the next."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Final, Generic, TypeVar

from tieline.core.together import both
from tieline.dispatch.courier import Courier
from tieline.dispatch.letters import Letters
from tieline.store import claims, deliveries
from tieline.store.claims import Claim, Delivery
from tieline.store.database import TROUBLE, Connection, Database

MOST_AT_ONCE: Final = 200
Claimed = tuple[Courier | None, list[Delivery]]
FindCourier = Callable[[Connection, str], Awaitable[Courier | None]]
Q = TypeVar("Q")
A = TypeVar("A")


class _Desk(Generic[Q, A]):
    """Answers questions many at a time. An answer that is an exception is raised at who asked."""

    def __init__(self, answer: Callable[[Sequence[Q]], Awaitable[Sequence[A | Exception]]]) -> None:
        self._answer = answer
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._arrived = asyncio.Event()

    async def ask(self, question: Q) -> A:
        told: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, told))
        self._arrived.set()
        return await told

    async def run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                group, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                await self._tell(group)

    async def _tell(self, group: Sequence[tuple[Q, asyncio.Future[A]]]) -> None:
        answers: Sequence[A | Exception]
        try:
            answers = await self._answer([question for question, _ in group])
        except Exception as error:  # noqa: BLE001 - it is for those who asked to deal with
            answers = [error] * len(group)
        for (_, told), answer in zip(group, answers, strict=True):
            if told.done():
                continue
            if isinstance(answer, Exception):
                told.set_exception(answer)
            else:
                told.set_result(answer)


class Claims:
    """What channels ask; `run` answers, as long as the process sends."""

    def __init__(self, db: Database, sender_id: str, find_courier: FindCourier, letters: Letters) -> None:
        self._db = db
        self._sender_id = sender_id
        self._find_courier = find_courier
        self._letters = letters
        self._new: _Desk[Claim, Claimed] = _Desk(self._claim)
        self._following: _Desk[tuple[Delivery, int], list[Delivery]] = _Desk(self._claim_next)

    async def claim(self, wanted: Claim) -> Claimed:
        """What an integration may be told now, with who takes it there: None when the integration is gone."""
        return await self._new.ask(wanted)

    async def claim_next(self, last: Delivery, run: int) -> list[Delivery]:
        """What follows in the order of a delivery that the caller has, at most `run` of it."""
        return await self._following.ask((last, run))

    async def run(self) -> None:
        """Claim what is asked for until cancelled."""
        await both(self._new.run(), self._following.run())

    async def _claim(self, wanted: Sequence[Claim]) -> list[Claimed | Exception]:
        async with self._db.connection() as conn:
            couriers = [await self._courier(conn, each.integration_id) for each in wanted]
            ready = [each for each, courier in zip(wanted, couriers, strict=True) if isinstance(courier, Courier)]
            claimed = await claims.claim(conn, self._sender_id, ready) if ready else []
            await self._read(conn, claimed)
        apart = _by(claimed, lambda each: each.integration_id)
        return [
            courier if isinstance(courier, Exception) else (courier, apart[each.integration_id])
            for each, courier in zip(wanted, couriers, strict=True)
        ]

    async def _claim_next(self, wanted: Sequence[tuple[Delivery, int]]) -> list[list[Delivery] | Exception]:
        async with self._db.connection() as conn:
            claimed = await claims.claim_next(conn, self._sender_id, wanted)
            await self._read(conn, claimed)
        apart = _by(claimed, _order_of)
        return [apart[_order_of(last)] for last, _ in wanted]

    async def _read(self, conn: Connection, claimed: Sequence[Delivery]) -> None:
        await self._letters.prefetch(conn, {each.message_id for each in claimed if each.message_id is not None})

    async def _courier(self, conn: Connection, integration_id: str) -> Courier | Exception | None:
        """Who sends to one integration. That it cannot be read is no harm to the others."""
        try:
            courier = await self._find_courier(conn, integration_id)
        except TROUBLE:
            raise
        except Exception as error:  # noqa: BLE001 - it is for who asked to deal with
            return error
        if courier is not None and courier.reporter is not None:
            await deliveries.supersede(conn, integration_id)
        return courier


def _order_of(delivery: Delivery) -> tuple[str, str | None]:
    return delivery.integration_id, delivery.order_key


def _by(claimed: Sequence[Delivery], key: Callable[[Delivery], Hashable]) -> defaultdict[Hashable, list[Delivery]]:
    apart: defaultdict[Hashable, list[Delivery]] = defaultdict(list)
    for each in claimed:
        apart[key(each)].append(each)
    return apart
