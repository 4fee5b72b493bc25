"""Webhook: what it is and its fields."""

from typing import Annotated, Final

from tieline.integrations.base import IntegrationType
from tieline.integrations.events import EventFields, Ordered
from tieline.integrations.fields import CALLED_URL, NULLABLE, ROTATES, SEALED
from tieline.integrations.values import HTTPURL, Filled


class WebhookFields(EventFields):
    """The fields of a webhook, in the order they are read."""

    shared_key: Annotated[Filled | None, SEALED, ROTATES, NULLABLE] = None
    """The key that bodies are signed with; whoever may read the integration can read it."""

    url: Annotated[HTTPURL, CALLED_URL]
    """Where activities are sent, as the body of a POST."""

    ordered: Ordered = True


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
    not_yet="Nothing is sent yet.",
)
