"""Webhooks as Bitbucket Cloud sends them: signed, in order for each hook, up to three times at once."""

import asyncio
import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tieline.simulators.bitbucket.faults import Faults
from tieline.simulators.bitbucket.state import Hook, Repository

ATTEMPTS: Final = 3
TIMEOUT_SECONDS: Final = 10.0
LARGEST_PAYLOAD: Final = 256 * 1024
_SERVER_ERROR: Final = 500


@dataclass(frozen=True)
class Sent:
    """One attempt; `status` is None when no answer came."""

    hook: str
    event: str
    request_id: str
    attempt: int
    status: int | None


@dataclass
class Webhooks:
    """Sends in the background. `sent` is what a test or a curious person looks at afterwards."""

    faults: Faults
    sent: list[Sent] = field(default_factory=list)
    _queues: dict[str, asyncio.Queue[tuple[str, bytes]]] = field(default_factory=dict)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _session: aiohttp.ClientSession | None = None

    def emit(self, repository: Repository, event: str, payload: dict[str, Any]) -> None:
        """Queue an event for every active hook that subscribed to it."""
        body = json.dumps(payload).encode()
        if self.faults.drop_hooks or len(body) > LARGEST_PAYLOAD:
            return
        for hook in repository.hooks.values():
            if hook.active and event in hook.events:
                for _ in range(2 if self.faults.double_hooks else 1):
                    self._queue(hook).put_nowait((event, body))

    async def drain(self) -> None:
        """Wait until everything queued has been sent."""
        await asyncio.gather(*(queue.join() for queue in self._queues.values()))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _queue(self, hook: Hook) -> asyncio.Queue[tuple[str, bytes]]:
        if hook.uuid not in self._queues:
            self._queues[hook.uuid] = asyncio.Queue()
            self._tasks.append(asyncio.create_task(self._work(hook), name=f"webhook {hook.url}"))
        return self._queues[hook.uuid]

    async def _work(self, hook: Hook) -> None:
        queue = self._queues[hook.uuid]
        while True:
            event, body = await queue.get()
            await self._deliver(hook, event, body)
            queue.task_done()

    async def _deliver(self, hook: Hook, event: str, body: bytes) -> None:
        request_id = str(uuid.uuid4())
        for attempt in range(1, ATTEMPTS + 1):
            status = await self._post(hook, _headers(hook, event, body, request_id, attempt), body)
            self.sent.append(Sent(hook.uuid, event, request_id, attempt, status))
            if status is not None and status < _SERVER_ERROR:
                return

    async def _post(self, hook: Hook, headers: dict[str, str], body: bytes) -> int | None:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))
        try:
            async with self._session.post(hook.url, data=body, headers=headers, allow_redirects=False) as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return None


def _headers(hook: Hook, event: str, body: bytes, request_id: str, attempt: int) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Bitbucket-Webhooks/2.0",
        "X-Event-Key": event,
        "X-Hook-UUID": hook.uuid.strip("{}"),
        "X-Request-UUID": request_id,
        "X-Attempt-Number": str(attempt),
    }
    if hook.secret:
        digest = hmac.new(hook.secret.encode(), body, hashlib.sha256).hexdigest()
        headers["X-Hub-Signature"] = f"sha256={digest}"
    return headers
