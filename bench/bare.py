"""The bare HTTP client: what the same deliveries cost when nothing is kept, signed, guarded or ordered."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

AT_ONCE = 64


@dataclass(frozen=True)
class Post:
    """One message for one receiver."""

    url: str
    id: str
    body: bytes = field(repr=False)


async def post_all(posts: Sequence[Post]) -> float:
    """Seconds until all were answered, `AT_ONCE` at a time."""
    waiting = iter(posts)

    async def one(session: aiohttp.ClientSession) -> None:
        for each in waiting:
            headers = {"content-type": "application/json", "webhook-id": each.id}
            async with session.post(each.url, data=each.body, headers=headers) as answer:
                await answer.read()
                assert answer.status == 200

    async with aiohttp.ClientSession() as session:
        began = time.perf_counter()
        await asyncio.gather(*(one(session) for _ in range(AT_ONCE)))
        return time.perf_counter() - began
