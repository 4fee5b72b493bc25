"""Log forwarding by syslog: what it is and its fields."""

from typing import Annotated, Final, Literal

from pydantic import Field

from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import CALLED_HOST, OUR_CHOICE, SENT_BY_CLI, WRITE_ONLY, Basis, IntegrationFields
from tieline.integrations.logs import ExcludedServices, Extra, Redaction, VerifyTLS
from tieline.integrations.values import Host, Printable

_SUGGESTED: Final = Basis(
    "inferred", "The vendor's command line suggests it and always sends the field; its API requires none.", "default"
)


class SyslogFields(IntegrationFields):
    """The fields of log forwarding by syslog, in the order they are read."""

    extra: Extra = Field({})

    host: Annotated[Host, CALLED_HOST, _SUGGESTED] = "localhost"
    """The host of the syslog collector: a name or an IP address."""

    port: Annotated[int, Field(ge=0, le=65535), _SUGGESTED] = 6514
    """The port of the syslog collector, 0 to 65535."""

    protocol: Annotated[Literal["tcp", "tls", "udp"], SENT_BY_CLI] = "tls"
    """How records travel."""

    facility: Annotated[int, Field(ge=0, le=23), SENT_BY_CLI] = 1
    """The syslog facility of every record, 0 to 23."""

    message_format: Annotated[Literal["rfc3164", "rfc5424"], SENT_BY_CLI] = "rfc5424"
    """The form of a record."""

    auth_token: Annotated[Printable, WRITE_ONLY, OUR_CHOICE] = ""
    """The token that the collector knows the project by; never returned, and forgotten when it is set to nothing."""

    auth_mode: Annotated[Literal["prefix", "structured_data"], WRITE_ONLY, SENT_BY_CLI] = "prefix"
    """Where the token stands: before a record, or in its structured data; never returned."""

    tls_verify: VerifyTLS = True

    excluded_services: ExcludedServices = Field([])

    redaction: Redaction = False


TYPE: Final = IntegrationType(
    key="syslog",
    title="Syslog",
    summary="The logs of the project are forwarded to a syslog collector.",
    fields=SyslogFields,
    example={
        "type": "syslog",
        "host": "syslog.example.com",
        "port": 6514,
        "protocol": "tls",
        "auth_token": "collector-token",
        "auth_mode": "structured_data",
    },
    not_yet="No log is forwarded yet.",
)
