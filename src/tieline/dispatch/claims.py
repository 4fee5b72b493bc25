"""Claims deliveries for all channels of a process: those who ask while one statement runs share the next."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from tieline.dispatch.courier import Courier
from tieline.dispatch.letters import Letters
from tieline.store import deliveries
from tieline.store.database import TROUBLE, Connection, Database
from tieline.store.deliveries import Claim, Delivery

MOST_AT_ONCE: Final = 200
Claimed = tuple[Courier | None, list[Delivery]]
FindCourier = Callable[[Connection, str], Awaitable[Courier | None]]


class Claims:
    """What channels ask; `run` answers, as long as the process sends."""

    def __init__(self, db: Database, sender_id: str, find_courier: FindCourier, letters: Letters) -> None:
        self._db = db
        self._sender_id = sender_id
        self._find_courier = find_courier
        self._letters = letters
        self._waiting: list[tuple[Claim, asyncio.Future[Claimed]]] = []
        self._arrived = asyncio.Event()

    async def claim(self, wanted: Claim) -> Claimed:
        """What an integration may be told now, with who takes it there: None when the integration is gone."""
        answer: asyncio.Future[Claimed] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, answer))
        self._arrived.set()
        return await answer

    async def run(self) -> None:
        """Claim what is asked for until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                group, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                await self._answer(group)

    async def _answer(self, group: Sequence[tuple[Claim, asyncio.Future[Claimed]]]) -> None:
        try:
            found = await self._claim([wanted for wanted, _ in group])
        except Exception as error:  # noqa: BLE001 - it is for those who asked to deal with
            found = {wanted.integration_id: error for wanted, _ in group}
        for wanted, answer in group:
            given = found[wanted.integration_id]
            if answer.done():
                continue
            if isinstance(given, Exception):
                answer.set_exception(given)
            else:
                answer.set_result(given)

    async def _claim(self, wanted: Sequence[Claim]) -> dict[str, Claimed | Exception]:
        async with self._db.connection() as conn:
            couriers = {each.integration_id: await self._courier(conn, each.integration_id) for each in wanted}
            ready = [each for each in wanted if isinstance(couriers[each.integration_id], Courier)]
            claimed = await deliveries.claim(conn, self._sender_id, ready) if ready else []
            await self._letters.prefetch(conn, {each.message_id for each in claimed if each.message_id is not None})
        apart: defaultdict[str, list[Delivery]] = defaultdict(list)
        for each in claimed:
            apart[each.integration_id].append(each)
        return {
            id: courier if isinstance(courier, Exception) else (courier, apart[id])
            for id, courier in couriers.items()  # noqa: A001
        }

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
