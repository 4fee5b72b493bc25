"""Health notifications by e-mail: what they are and their fields."""

from typing import Annotated, Final

from pydantic import AfterValidator

from tieline.core.values import Email, is_email
from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import NULLABLE, IntegrationFields

_GROUPS: Final = ("#admins", "#viewers")


def _recipient(value: str) -> str:
    if value not in _GROUPS and not is_email(value):
        raise ValueError("Must be an e-mail address, or #admins or #viewers for the people of the project.")
    return value


def _somebody(recipients: list[str]) -> list[str]:
    if not recipients:
        raise ValueError("Must name at least one recipient, e.g. #admins.")
    return recipients


class EmailFields(IntegrationFields):
    """The fields of health notifications by e-mail, in the order they are read."""

    from_address: Annotated[Email | None, NULLABLE] = None
    """The e-mail address that messages come from; null is the installation's own."""

    recipients: Annotated[list[Annotated[str, AfterValidator(_recipient)]], AfterValidator(_somebody)]
    """Who is written to: e-mail addresses, `#admins` or `#viewers`."""


TYPE: Final = IntegrationType(
    key="health.email",
    title="Health e-mail",
    summary="People are told by e-mail when the project is not well.",
    fields=EmailFields,
    example={"type": "health.email", "recipients": ["#admins", "ops@example.com"], "from_address": "site@example.com"},
    not_yet="No message is sent yet.",
)
