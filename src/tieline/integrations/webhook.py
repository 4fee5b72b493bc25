"""Webhook: what it is and its fields."""

from typing import Annotated, Final

from tieline.core.deliveries import Message, Receipt
from tieline.core.documents import Integration
from tieline.core.ports import Journal, Toolbox
from tieline.integrations.base import Findings, IntegrationType
from tieline.integrations.events import EventFields, Ordered
from tieline.integrations.fields import CALLED_URL, NULLABLE, ROTATES, SEALED
from tieline.integrations.posts import ping, post
from tieline.integrations.signatures import SigningKey, warn_of_weak_key
from tieline.integrations.values import HTTPURL, Filled


class WebhookFields(EventFields):
    """The fields of a webhook, in the order they are read."""

    shared_key: Annotated[Filled | None, SEALED, ROTATES, NULLABLE] = None
    """The key that bodies are signed with, which readers see; one that is replaced is good for 24 hours more."""

    url: Annotated[HTTPURL, CALLED_URL]
    """Where activities are sent, as the body of a POST."""

    ordered: Ordered = True


class WebhookSink:
    """POSTs activities to the URL of an integration."""

    def __init__(self, integration: Integration, toolbox: Toolbox) -> None:
        self._integration = integration
        self._keys = signing_keys(integration)
        self._toolbox = toolbox

    async def deliver(self, message: Message, journal: Journal) -> Receipt:  # noqa: ARG002 - it does nothing else
        """One POST."""
        return await post(self._integration, message, self._keys, self._toolbox)


class WebhookValidator:
    """Sends a ping."""

    def __init__(self, integration: Integration, toolbox: Toolbox) -> None:
        self._integration = integration
        self._toolbox = toolbox

    async def validate(self, hook_url: str) -> Findings:  # noqa: ARG002 - nobody is asked to call back
        """Whether a signed message arrives, and what the receiver says to it."""
        return await ping(self._integration, signing_keys(self._integration), self._toolbox)


def signing_keys(integration: Integration) -> list[SigningKey]:
    """The key, and behind it the former one for as long as receivers may still know only that. Pure."""
    known = (integration.secrets.get(name) for name in ("shared_key", "shared_key.previous"))
    return SigningKey.all_of(key for key in known if key is not None)


TYPE: Final = IntegrationType(
    key="webhook",
    title="Webhook",
    summary="A URL is told of the project's activities.",
    fields=WebhookFields,
    example={
        "type": "webhook",
        "url": "https://hooks.example.com/activities",
        "events": ["environment.push", "environment.activate"],
        "states": ["complete"],
        "environments": ["*"],
        "excluded_environments": ["main"],
        "shared_key": "a-key-of-yours",
    },
    sink=WebhookSink,
    validator=WebhookValidator,
    warnings=warn_of_weak_key,
)
