"""The integrations of a project as its hot paths need them: rendered once, kept in memory until they change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tieline.api.documents import Writer
from tieline.api.gate import is_id
from tieline.api.memory import Memory
from tieline.api.responses import Rendered, render_to_keep
from tieline.api.services import Services
from tieline.core.documents import Integration
from tieline.integrations.base import HookFormat
from tieline.store import integrations

REMEMBERED: Final = 1000
HOOK_SECRET: Final = "hook"  # noqa: S105 - the name under which it is stored


@dataclass(frozen=True, slots=True)
class HookTarget:
    """What an incoming hook is checked against."""

    integration_id: str
    project_id: str
    format: HookFormat
    secret: bytes = field(repr=False)
    signed_hook_seen: bool


@dataclass(frozen=True, slots=True)
class Shelf:
    """One project's integrations."""

    listing: Rendered
    each: Mapping[str, Rendered]
    hooks: Mapping[str, HookTarget]


_EMPTY: Final = Shelf(listing=Rendered.of([]), each={}, hooks={})


class Shelves:
    """Shelves by project."""

    def __init__(self, services: Services, writer: Writer) -> None:
        self._services = services
        self._writer = writer
        listener = services.listener
        self._memory: Memory[str, Shelf] = Memory(REMEMBERED, lambda: listener.connected)
        listener.subscribe("integrations", self.drop)
        listener.on_gap(self._memory.clear)

    def drop(self, project_id: str) -> None:
        """Forget a project's shelf; whoever changes an integration does so before answering."""
        self._memory.drop(project_id)

    async def get(self, project_id: str) -> Shelf:
        """A project's shelf, remembered or read; an unknown project's is empty."""
        shelf = self._memory.peek(project_id)
        if shelf is not None:
            return shelf
        if not is_id(project_id):
            return _EMPTY
        return await self._memory.read(
            project_id, lambda: self._load(project_id), lambda shelf: (project_id,) if shelf.each else (), project_id
        )

    async def _load(self, project_id: str) -> Shelf:
        async with self._services.db.connection() as conn:
            found = await integrations.load_all(conn, self._services.box, project_id)
        documents = {each.id: self._writer.integration(each) for each in found}
        return Shelf(
            listing=Rendered.of_body(render_to_keep(list(documents.values()))),
            each={id: Rendered.of_body(render_to_keep(document)) for id, document in documents.items()},  # noqa: A001
            hooks={each.id: target for each in found if (target := self._hook_target(each))},
        )

    def _hook_target(self, integration: Integration) -> HookTarget | None:
        hook_format = self._services.registry[integration.type].hook_format
        secret = integration.secrets.get(HOOK_SECRET)
        if hook_format is None or secret is None:
            return None
        return HookTarget(
            integration_id=integration.id,
            project_id=integration.project_id,
            format=hook_format,
            secret=secret.reveal().encode(),
            signed_hook_seen=integration.signed_hook_seen,
        )
