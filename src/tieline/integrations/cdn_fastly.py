"""Fastly: what it is and its fields."""

from typing import Annotated, Final

from tieline.integrations.base import IntegrationType
from tieline.integrations.events import EventFields
from tieline.integrations.fields import OUR_CHOICE, WRITE_ONLY
from tieline.integrations.values import Filled


class FastlyFields(EventFields):
    """The fields of a Fastly integration, in the order they are read."""

    token: Annotated[Filled, WRITE_ONLY]
    """The Fastly API token; never returned."""

    service_id: Filled
    """The identifier of the Fastly service."""

    tls_certificates: Annotated[bool, OUR_CHOICE] = False
    """Whether TLS certificates are pushed to Fastly too, for which the token needs the right to manage TLS."""


TYPE: Final = IntegrationType(
    key="cdn.fastly",
    title="Fastly",
    summary="A Fastly service is told of the project's activities.",
    fields=FastlyFields,
    example={"type": "cdn.fastly", "service_id": "SU1Z0isxPaozGVKXdv0eY", "token": "fastly-api-token"},
    not_yet="Nothing is sent to Fastly yet.",
)
