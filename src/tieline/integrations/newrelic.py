"""Log forwarding to New Relic: what it is and its fields."""

from typing import Annotated, Final

from pydantic import Field

from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import CALLED_URL, WRITE_ONLY, IntegrationFields
from tieline.integrations.logs import ExcludedServices, Extra, Redaction, VerifyTLS
from tieline.integrations.values import HTTPURL, Filled


class NewRelicFields(IntegrationFields):
    """The fields of log forwarding to New Relic, in the order they are read."""

    extra: Extra = Field({})

    url: Annotated[HTTPURL, CALLED_URL]
    """The endpoint of New Relic's log API, e.g. `https://log-api.eu.newrelic.com/log/v1`."""

    license_key: Annotated[Filled, WRITE_ONLY]
    """The New Relic license key; never returned."""

    tls_verify: VerifyTLS = True

    excluded_services: ExcludedServices = Field([])

    redaction: Redaction = False


TYPE: Final = IntegrationType(
    key="newrelic",
    title="New Relic",
    summary="The logs of the project are forwarded to New Relic.",
    fields=NewRelicFields,
    example={"type": "newrelic", "url": "https://log-api.newrelic.com/log/v1", "license_key": "license-key"},
    not_yet="No log is forwarded yet.",
)
