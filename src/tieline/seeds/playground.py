"""The state of a server that is there to try clients on: remembered, and brought back."""

import asyncio

from tieline.seeds.load import Ground, load
from tieline.seeds.seed import Seed
from tieline.store.database import Connection, Database
from tieline.store.snapshots import Snapshots, start_over


class Playground:
    """Goes back to the last snapshot; before there is one, to the seed that the server started with, or to nothing."""

    def __init__(self, db: Database, ground: Ground, seed: Seed) -> None:
        self._db = db
        self._ground = ground
        self._seed = seed
        self._snapshots = Snapshots(db)
        self._turn = asyncio.Lock()

    async def snapshot(self) -> None:
        """Remember everything as it is now. Raises `Unavailable`."""
        async with self._turn:
            await self._snapshots.take()

    async def reset(self) -> None:
        """Bring back what was remembered. Raises `Unavailable`."""
        async with self._turn:
            if not self._snapshots.is_taken:
                await start_over(self._db, self._fill)
                # The next time is a tenth of the time then.
                await self._snapshots.take()
            else:
                await self._snapshots.restore()

    async def _fill(self, conn: Connection) -> None:
        await load(conn, self._ground, self._seed)
