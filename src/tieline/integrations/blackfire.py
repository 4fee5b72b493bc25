"""Blackfire: what it is and its fields."""

from typing import Annotated, Final

from pydantic import Field

from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import OUR_CHOICE, READ_ONLY, Fields, IntegrationFields


class BlackfireCredentials(Fields):
    """What the agent of an environment authenticates with."""

    server_uuid: str
    """The identifier of the environment at Blackfire."""

    server_token: str
    """The token that belongs to it; whoever may read the integration can read it."""


class BlackfireFields(IntegrationFields):
    """The fields of a Blackfire integration, all of which Tieline sets."""

    environments_credentials: Annotated[dict[str, BlackfireCredentials], READ_ONLY, OUR_CHOICE] = Field({})
    """The credentials of each environment, by the environment's identifier."""

    continuous_profiling: Annotated[bool, READ_ONLY, OUR_CHOICE] = False
    """Whether the project's applications are profiled all the time."""


TYPE: Final = IntegrationType(
    key="blackfire",
    title="Blackfire",
    summary="The project's environments are profiled with Blackfire.",
    fields=BlackfireFields,
    example={"type": "blackfire"},
    not_yet="No environment is profiled yet.",
)
