"""A receiver of webhooks that stands beside tests which know nothing of asyncio."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tieline.simulators.receiver import Receiver


@contextmanager
def receiving(key: str | None = None) -> Iterator[Receiver]:
    """A receiver in a thread of its own, which expects bodies to be signed with the key."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    receiver = Receiver(key=key)
    asyncio.run_coroutine_threadsafe(receiver.open(), loop).result(10)
    try:
        yield receiver
    finally:
        asyncio.run_coroutine_threadsafe(receiver.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
