"""The fields of types that act on activities: which ones. Pure."""

from typing import Annotated, Final, Literal

from pydantic import Field

from tieline.integrations.fields import OUR_CHOICE, SENT_BY_CLI, UNLESS_DEFAULT, Basis, IntegrationFields
from tieline.integrations.values import Pattern

State = Literal["pending", "in_progress", "complete", "cancelled", "scheduled", "staged"]
_MOST: Final = 250
_OWN: Final = Basis("added", "It is in what is read only while it is false, since the vendor has no such field.")
_IN_ORDER: Final = Basis("added", "Who can do without the order says so.", "default")
Ordered = Annotated[
    bool,
    UNLESS_DEFAULT,
    _OWN,
    _IN_ORDER,
    Field(
        description="Whether what happens in one environment arrives one after the other, in the order in which it"
        " happened; what waits for another attempt then holds up what came after it."
    ),
]


class EventFields(IntegrationFields):
    """Which activities are acted on."""

    events: Annotated[list[Pattern], SENT_BY_CLI] = Field(["*"], max_length=_MOST)
    """The types of activities that are acted on, e.g. `environment.push`; `*` is all of them."""

    environments: Annotated[list[Pattern], SENT_BY_CLI] = Field(["*"], max_length=_MOST)
    """The environments whose activities are acted on; `*` is all of them."""

    excluded_environments: Annotated[list[Pattern], OUR_CHOICE] = Field([], max_length=_MOST)
    """The environments whose activities are not acted on, whatever `environments` says."""

    states: Annotated[
        list[State], Basis("inferred", "The vendor lists these states and leaves the type open."), SENT_BY_CLI
    ] = Field(["complete"])
    """The states in which an activity is acted on."""

    result: Annotated[Literal["*", "failure", "success"], OUR_CHOICE] = "*"
    """The result that an activity must have had; `*` is any."""
