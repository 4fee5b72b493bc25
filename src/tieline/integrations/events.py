"""The fields of types that act on activities: which ones. Pure."""

from typing import Annotated, Literal

from pydantic import Field

from tieline.integrations.fields import OUR_CHOICE, SENT_BY_CLI, Basis, IntegrationFields
from tieline.integrations.values import Filled

State = Literal["pending", "in_progress", "complete", "cancelled", "scheduled", "staged"]


class EventFields(IntegrationFields):
    """Which activities are acted on."""

    events: Annotated[list[Filled], SENT_BY_CLI] = Field(["*"])
    """The types of activities that are acted on, e.g. `environment.push`; `*` is all of them."""

    environments: Annotated[list[Filled], SENT_BY_CLI] = Field(["*"])
    """The environments whose activities are acted on; `*` is all of them."""

    excluded_environments: Annotated[list[Filled], OUR_CHOICE] = Field([])
    """The environments whose activities are not acted on, whatever `environments` says."""

    states: Annotated[
        list[State], Basis("inferred", "The vendor lists these states and leaves the type open."), SENT_BY_CLI
    ] = Field(["complete"])
    """The states in which an activity is acted on."""

    result: Annotated[Literal["*", "failure", "success"], OUR_CHOICE] = "*"
    """The result that an activity must have had; `*` is any."""
