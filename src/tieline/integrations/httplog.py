"""Log forwarding over HTTP: what it is and its fields."""

from typing import Annotated, Final

from pydantic import Field

from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import CALLED_URL, IntegrationFields
from tieline.integrations.logs import ExcludedServices, Extra, Headers, Redaction, VerifyTLS
from tieline.integrations.values import HTTPURL


class HTTPLogFields(IntegrationFields):
    """The fields of log forwarding over HTTP, in the order they are read."""

    extra: Extra = Field({})

    url: Annotated[HTTPURL, CALLED_URL]
    """Where records are sent, as the body of a POST."""

    headers: Headers = Field({})

    tls_verify: VerifyTLS = True

    excluded_services: ExcludedServices = Field([])

    redaction: Redaction = False


TYPE: Final = IntegrationType(
    key="httplog",
    title="HTTP log",
    summary="The logs of the project are forwarded to an HTTP endpoint.",
    fields=HTTPLogFields,
    example={
        "type": "httplog",
        "url": "https://logs.example.com/ingest",
        "headers": {"Authorization": "Bearer log-token"},
        "extra": {"team": "shop"},
        "excluded_services": ["cache"],
    },
    not_yet="No log is forwarded yet.",
)
