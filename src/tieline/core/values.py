"""Values that people send, wherever they send them, each with its check. Pure."""

import re
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Annotated, Final
from zoneinfo import available_timezones

from pydantic import AfterValidator, AwareDatetime, Field

_EMAIL: Final = re.compile(r"[^@\s,;<>()\"]{1,64}@[^@\s,;<>()\"/]{1,253}\Z")
Text = Annotated[str, Field(max_length=10_000)]
Name = Annotated[str, Field(min_length=1, max_length=255)]
# Every activity carries those of its project and its environment.
Attribute = Annotated[str, Field(max_length=1000)]
Attributes = Annotated[dict[Name, Attribute], Field(max_length=100)]


def _stripped(text: str) -> str:
    if not text.strip():
        raise ValueError("This needs some text")
    return text.strip()


def _timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is not a time zone of the IANA database, such as Europe/Paris")
    return name


def _network(address: str) -> str:
    try:
        network = ip_network(address, strict=False)
    except ValueError as error:
        raise ValueError(f"{address!r} is neither an IP address nor a network such as 192.0.2.0/24") from error
    if getattr(network.network_address, "scope_id", None) is not None:
        raise ValueError(f"{address!r} names an interface, which means nothing to other machines")
    return address


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("Must not contain line breaks or other control characters")
    return text


def _without_colon(name: str) -> str:
    # RFC 7617: the colon ends the name.
    if ":" in name:
        raise ValueError("A user name of basic authentication has no colon in it")
    return name


def is_email(value: str) -> bool:
    """Whether this has the form of an e-mail address; that it exists is another matter."""
    return _EMAIL.match(value) is not None and value.isprintable()


def _email(value: str) -> str:
    if not is_email(value):
        raise ValueError("Must be an e-mail address, e.g. ops@example.com")
    return value


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("This is beyond the years 1 to 9999 in UTC") from error


Title = Annotated[Name, AfterValidator(_stripped)]
Timezone = Annotated[str, AfterValidator(_timezone)]
Moment = Annotated[AwareDatetime, Field(strict=False), AfterValidator(_in_utc)]
NetworkAddress = Annotated[str, AfterValidator(_network)]
BasicAuthPassword = Annotated[Name, AfterValidator(_printable)]
BasicAuthName = Annotated[BasicAuthPassword, AfterValidator(_without_colon)]
Email = Annotated[str, AfterValidator(_email)]
VARIABLE_NAME: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}$"
VariableName = Annotated[str, Field(pattern=VARIABLE_NAME)]
VariableValue = Annotated[str, Field(max_length=65_536)]
Username = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
