"""The fields of types that forward logs. Pure.

Each type lists them itself, at the places where the vendor's document has them, with these meanings.
"""

from typing import Annotated, Final

import orjson
from pydantic import AfterValidator, Field

from tieline.integrations.fields import OUR_CHOICE, SEALED, SENT_BY_CLI, Basis
from tieline.integrations.values import Filled
from tieline.integrations.values import Headers as CheckedHeaders

MAX_EXTRA_BYTES: Final = 4096


def _fitting(extra: dict[str, str]) -> dict[str, str]:
    size = len(orjson.dumps(extra))
    if size > MAX_EXTRA_BYTES:
        raise ValueError(f"Must have at most {MAX_EXTRA_BYTES} bytes as JSON, not {size}: it goes with every record.")
    return extra


Extra = Annotated[
    dict[str, str],
    AfterValidator(_fitting),
    OUR_CHOICE,
    Field(description=f"What is put into every record besides; at most {MAX_EXTRA_BYTES} bytes as JSON."),
]
Headers = Annotated[
    CheckedHeaders,
    SEALED,
    OUR_CHOICE,
    Field(description="The HTTP headers of every request; whoever may read the integration can read them."),
]
VerifyTLS = Annotated[bool, SENT_BY_CLI, Field(description="Whether the certificate of the receiver is verified.")]
ExcludedServices = Annotated[
    list[Filled], OUR_CHOICE, Field(description="The services and applications whose logs are not forwarded.")
]
Redaction = Annotated[
    bool,
    Basis("observed", "It is in no specification; the vendor's command line always sends it."),
    SENT_BY_CLI,
    Field(description="Whether personal data such as e-mail addresses is masked before records are forwarded."),
]
