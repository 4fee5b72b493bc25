"""Log forwarding to Splunk: what it is and its fields."""

from typing import Annotated, Final

from pydantic import Field

from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import CALLED_URL, OUR_CHOICE, WRITE_ONLY, IntegrationFields
from tieline.integrations.logs import ExcludedServices, Extra, Redaction, VerifyTLS
from tieline.integrations.values import HTTPURL, Filled, Printable


class SplunkFields(IntegrationFields):
    """The fields of log forwarding to Splunk, in the order they are read."""

    extra: Extra = Field({})

    url: Annotated[HTTPURL, CALLED_URL]
    """The endpoint of Splunk's HTTP event collector."""

    index: Filled
    """The Splunk index that records go to."""

    token: Annotated[Filled, WRITE_ONLY]
    """The token of the HTTP event collector; never returned."""

    sourcetype: Annotated[Printable, OUR_CHOICE] = ""
    """The source type of every record; empty leaves it to Splunk."""

    tls_verify: VerifyTLS = True

    excluded_services: ExcludedServices = Field([])

    redaction: Redaction = False


TYPE: Final = IntegrationType(
    key="splunk",
    title="Splunk",
    summary="The logs of the project are forwarded to Splunk.",
    fields=SplunkFields,
    example={
        "type": "splunk",
        "url": "https://http-inputs.acme.splunkcloud.com/services/collector/event",
        "index": "site",
        "token": "collector-token",
        "sourcetype": "site:app",
    },
    not_yet="No log is forwarded yet.",
)
