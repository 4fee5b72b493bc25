"""Log forwarding to Sumo Logic: what it is and its fields."""

from typing import Annotated, Final

from pydantic import Field

from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import CALLED_URL, OUR_CHOICE, SEALED, IntegrationFields
from tieline.integrations.logs import ExcludedServices, Extra, Redaction, VerifyTLS
from tieline.integrations.values import HTTPURL, Printable


class SumoLogicFields(IntegrationFields):
    """The fields of log forwarding to Sumo Logic, in the order they are read."""

    extra: Extra = Field({})

    url: Annotated[HTTPURL, CALLED_URL, SEALED]
    """The address of a Sumo Logic HTTP source; whoever may read the integration can read it."""

    category: Annotated[Printable, OUR_CHOICE] = ""
    """The category of every record, sent as `X-Sumo-Category`; empty leaves it to the source."""

    tls_verify: VerifyTLS = True

    excluded_services: ExcludedServices = Field([])

    redaction: Redaction = False


TYPE: Final = IntegrationType(
    key="sumologic",
    title="Sumo Logic",
    summary="The logs of the project are forwarded to Sumo Logic.",
    fields=SumoLogicFields,
    example={
        "type": "sumologic",
        "url": "https://collectors.sumologic.com/receiver/v1/http/source-code",
        "category": "site/production",
    },
    not_yet="No log is forwarded yet.",
)
