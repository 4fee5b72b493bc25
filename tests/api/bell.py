"""An integration type that is told of things, with everything that such a type may have."""

from typing import Annotated

from tieline.core.deliveries import Message, Receipt
from tieline.core.documents import Integration
from tieline.core.ports import Journal, Toolbox
from tieline.integrations.base import ActivitySink, Findings, IntegrationType, Validator
from tieline.integrations.fields import CALLED_URL, ROTATES, SEALED, IntegrationFields


class BellFields(IntegrationFields):
    key: Annotated[str | None, SEALED, ROTATES] = None
    url: Annotated[str, CALLED_URL, SEALED]


class Bell:
    """Rings wherever it is, and is found to work unless its URL says `silent`."""

    def __init__(self, integration: Integration) -> None:
        self._url = integration.secrets["url"].reveal()

    async def deliver(self, message: Message, journal: Journal) -> Receipt:
        return Receipt("delivered", "It rang.")

    async def validate(self, hook_url: str) -> Findings:
        log = (f"Rang at {self._url}.",)
        return Findings({"url": "Nothing rang."} if "silent" in self._url else {}, log=log)


def _ring(integration: Integration, toolbox: Toolbox) -> ActivitySink:
    return Bell(integration)


def _try_out(integration: Integration, toolbox: Toolbox) -> Validator:
    return Bell(integration)


def _warn(integration: Integration) -> dict[str, str]:
    return {} if "key" in integration.secrets else {"key": "Without a key, everybody can ring."}


BELL = IntegrationType(
    key="bell",
    title="Bell",
    summary="A bell rings.",
    fields=BellFields,
    example={"url": "https://bell.example/"},
    sink=_ring,
    validator=_try_out,
    warnings=_warn,
)
