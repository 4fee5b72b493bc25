"""Health notifications to PagerDuty: what they are and their fields."""

from typing import Annotated, Final

from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import SEALED, IntegrationFields
from tieline.integrations.values import Filled


class PagerDutyFields(IntegrationFields):
    """The fields of a PagerDuty integration."""

    routing_key: Annotated[Filled, SEALED]
    """The routing key of a PagerDuty service; whoever may read the integration can read it."""


TYPE: Final = IntegrationType(
    key="health.pagerduty",
    title="PagerDuty",
    summary="PagerDuty is told when the project is not well.",
    fields=PagerDutyFields,
    example={"type": "health.pagerduty", "routing_key": "routing-key-of-the-service"},
    not_yet="No event is sent yet.",
)
