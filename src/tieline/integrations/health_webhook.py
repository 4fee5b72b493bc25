"""Health notifications to a webhook: what they are and their fields."""

from typing import Annotated, Final

from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import CALLED_URL, NULLABLE, ROTATES, WRITE_ONLY, IntegrationFields
from tieline.integrations.signatures import warn_of_weak_key
from tieline.integrations.values import HTTPURL, Filled


class HealthWebhookFields(IntegrationFields):
    """The fields of a health webhook, in the order they are read."""

    shared_key: Annotated[Filled | None, WRITE_ONLY, ROTATES, NULLABLE] = None
    """The key that bodies are signed with; never returned."""

    url: Annotated[HTTPURL, CALLED_URL]
    """Where notifications are sent, as the body of a POST."""


TYPE: Final = IntegrationType(
    key="health.webhook",
    title="Health webhook",
    summary="A URL is told when the project is not well.",
    fields=HealthWebhookFields,
    example={"type": "health.webhook", "url": "https://hooks.example.com/health", "shared_key": "a-key-of-yours"},
    not_yet="Nothing is sent yet.",
    warnings=warn_of_weak_key,
)
