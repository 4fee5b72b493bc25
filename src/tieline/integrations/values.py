"""Kinds of values that the fields of several types have, each with its check. Pure."""

import re
from ipaddress import IPv6Address
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

# Far beyond any key; whatever masks secrets in logs grows with them.
_LONGEST: Final = 16_384
_HOST: Final = re.compile(r"(?=.{1,253}\Z)(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?\Z")
# What RFC 9110 calls a token.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("Must not contain line breaks or other control characters; please copy it again.")
    return value


def _filled(value: str) -> str:
    """Neither a usual length nor an alphabet is asked for: the services changed both before."""
    if not value.strip():
        raise ValueError("Must not be empty.")
    if len(value) > _LONGEST:
        raise ValueError(f"Must have at most {_LONGEST:,} characters.")
    return _printable(value)


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("This URL is malformed: please check its host and port.") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("Must be a URL that begins with https:// or http://.")
    if not host:
        raise ValueError("This URL has no host name; it must be like https://service.example/path.")
    return _printable(value)


def _host(value: str) -> str:
    if not (_HOST.match(value) or _is_ipv6(value)):
        raise ValueError("Must be a host name or an IP address and nothing else: the port has a field of its own.")
    return value


def _is_ipv6(value: str) -> bool:
    try:
        IPv6Address(value)
    except ValueError:
        return False
    return "%" not in value


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, content in value.items():
        if not _HEADER_NAME.match(name):
            raise ValueError(f"{name[:50]!r} cannot be the name of an HTTP header.")
        if not content.isprintable():
            raise ValueError(f"The value of {name[:50]!r} must not contain line breaks or other control characters.")
    seen = [name.casefold() for name in value]
    if len(set(seen)) < len(seen):
        raise ValueError("There is a header twice; names that differ only in case are the same.")
    return value


Printable = Annotated[str, AfterValidator(_printable)]
Filled = Annotated[str, AfterValidator(_filled)]
# To make a glob ready takes up to a hundredth of a second, in which everybody else waits, and more the longer it is.
Pattern = Annotated[str, Field(max_length=255), AfterValidator(_filled)]
HTTPURL = Annotated[str, AfterValidator(_http_url), Field(json_schema_extra={"format": "uri"})]
Host = Annotated[str, AfterValidator(_host)]
Headers = Annotated[dict[str, str], AfterValidator(_headers)]
