"""Health notifications to Slack: what they are and their fields."""

from typing import Annotated, Final

from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import WRITE_ONLY, IntegrationFields
from tieline.integrations.values import Filled


class SlackFields(IntegrationFields):
    """The fields of a Slack integration, in the order they are read."""

    token: Annotated[Filled, WRITE_ONLY]
    """The Slack token that messages are posted with; never returned."""

    channel: Filled
    """The Slack channel that messages are posted to, e.g. `#operations`."""


TYPE: Final = IntegrationType(
    key="health.slack",
    title="Slack",
    summary="A Slack channel is told when the project is not well.",
    fields=SlackFields,
    example={"type": "health.slack", "channel": "#operations", "token": "slack-token"},
    not_yet="No message is posted yet.",
)
