"""What clients send about deliveries."""

from typing import Annotated

from pydantic import Field

from tieline.api.inputs import Input
from tieline.core.values import Moment

Reason = Annotated[str, Field(max_length=1000)]


class IntegrationPause(Input):
    reason: Reason = ""
    """Why, in a sentence for those who wonder later."""


class DeliveriesReplay(Input):
    since: Moment
    """The moment from which on what was given up is sent again; it counts when a delivery was added."""
