"""Log forwarding by OpenTelemetry: what it is and its fields."""

from typing import Annotated, Final

from pydantic import Field

from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import CALLED_URL, IntegrationFields
from tieline.integrations.logs import ExcludedServices, Extra, Headers, Redaction, VerifyTLS
from tieline.integrations.values import HTTPURL


class OTLPLogFields(IntegrationFields):
    """The fields of log forwarding by OpenTelemetry, in the order they are read."""

    extra: Extra = Field({})

    url: Annotated[HTTPURL, CALLED_URL]
    """The OTLP/HTTP endpoint that records are sent to."""

    headers: Headers = Field({})

    tls_verify: VerifyTLS = True

    excluded_services: ExcludedServices = Field([])

    redaction: Redaction = False


TYPE: Final = IntegrationType(
    key="otlplog",
    title="OpenTelemetry log",
    summary="The logs of the project are forwarded to an OpenTelemetry collector.",
    fields=OTLPLogFields,
    example={
        "type": "otlplog",
        "url": "https://otel.example.com/v1/logs",
        "headers": {"Authorization": "Bearer log-token"},
    },
    not_yet="No log is forwarded yet.",
)
