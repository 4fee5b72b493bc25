"""Incoming hooks: verified over their raw bytes, stored, answered. What they mean is a worker's to find out."""

import time
from collections.abc import Callable, Mapping
from typing import Final, Literal

from starlette.types import Receive, Scope, Send

from tieline.api.inbox import Inbox, SharedRoom
from tieline.api.metrics import Metrics
from tieline.api.plain import answer, header_map, read_capped
from tieline.api.shelf import HookTarget, Shelves
from tieline.core.errors import NotFound, TooLarge, Unauthenticated, Unavailable
from tieline.store.hooks import NewHook

LARGEST: Final = 10 * 1024 * 1024
QUIET_SECONDS: Final = 30.0
_REMEMBERED: Final = 10_000
_LONGEST_HEADER: Final = 1000
_OK: Final = b'{"status":"OK","code":200}'
_KEPT_HEADERS: Final = ("content-type", "user-agent")

Outcome = Literal["signed", "unsigned", "too_soon"]


class Nudges:
    """Lets one unsigned hook per integration through in `QUIET_SECONDS`, counted in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}

    def is_due(self, integration_id: str) -> bool:
        """Whether this one may pass; if so, it counts."""
        moment = self._clock()
        last = self._last.get(integration_id)
        if last is not None and moment - last < QUIET_SECONDS:
            return False
        self._last.pop(integration_id, None)
        self._last[integration_id] = moment
        if len(self._last) > _REMEMBERED:
            del self._last[next(iter(self._last))]
        return True


class HookDoor:
    """The ASGI application behind `POST .../integrations/{integration_id}/hook`."""

    def __init__(self, shelves: Shelves, inbox: Inbox, metrics: Metrics) -> None:
        self._shelves = shelves
        self._inbox = inbox
        self._metrics = metrics
        self._nudges = Nudges()
        self._room = SharedRoom()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            outcome: str = await self._take(scope, receive)
        except Unauthenticated:
            self._metrics.count_hook("refused")
            raise
        except (NotFound, TooLarge, Unavailable) as error:
            self._metrics.count_hook(type(error).__name__.lower())
            raise
        self._metrics.count_hook(outcome)
        await answer(send, _OK)

    async def _take(self, scope: Scope, receive: Receive) -> Outcome:
        params = scope["path_params"]
        shelf = await self._shelves.get(params["project_id"])
        target = shelf.hooks.get(params["integration_id"])
        if target is None:
            raise NotFound("Integration not found")
        headers = header_map(scope)
        if target.format.is_signed(headers):
            with self._room.reserve() as grow:
                body = await read_capped(scope, receive, LARGEST, grow)
            return await self._take_signed(target, headers, body)
        return await self._take_unsigned(target)

    async def _take_signed(self, target: HookTarget, headers: Mapping[str, str], body: bytes) -> Outcome:
        if not target.format.verify(headers, body, target.secret):
            raise Unauthenticated("The signature of the hook is wrong: it was made with another secret or body.")
        hook = NewHook(target.integration_id, _kept(headers), body, is_signed=True)
        await self._inbox.store(hook)
        if not target.signed_hook_seen:
            self._shelves.drop(target.project_id)
        return "signed"

    async def _take_unsigned(self, target: HookTarget) -> Outcome:
        """Hooks that people set up by hand have no secret; they may say "look again", and nothing else."""
        if target.signed_hook_seen:
            raise Unauthenticated("The hook is not signed, and this integration has received signed ones before.")
        if not self._nudges.is_due(target.integration_id):
            return "too_soon"
        await self._inbox.store(NewHook(target.integration_id, {}, b"", is_signed=False))
        return "unsigned"


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    """What a reader may need: the host's own headers, without credentials, signatures and the way it came."""
    return {
        name: value[:_LONGEST_HEADER]
        for name, value in headers.items()
        if name in _KEPT_HEADERS
        or (name.startswith("x-") and not name.startswith(("x-forwarded", "x-real-ip")) and "signature" not in name)
    }
