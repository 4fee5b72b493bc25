"""Where a URL leads: whom to dial, and what to ask for. Pure."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote, urlsplit

_PORTS: Final = {"http": 80, "https": 443}
# Whatever has a meaning in a path or a query stays as it is, and what is encoded already is not encoded again.
_KEPT: Final = "/%:@!$&'()*+,;=?~[]"
_REMEMBERED: Final = 1024

Origin = tuple[str, int, bool]


@dataclass(frozen=True)
class Target:
    """`host` is a name or an address without brackets, `authority` the value of `Host`, `path` what is asked for.

    Two with the same `origin` are at the same server. `server_name` is whom its certificate must be for.
    """

    host: str
    port: int
    is_tls: bool
    authority: str
    path: str

    @property
    def origin(self) -> Origin:
        return self.host, self.port, self.is_tls

    @property
    def server_name(self) -> str:
        return _without_dot(self.host)


@lru_cache(maxsize=_REMEMBERED)
def target_of(url: str) -> Target:
    """The target of a URL that `Policy.check_url` has let pass."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    usual = _PORTS[parts.scheme]
    port = parts.port or usual
    name = f"[{host}]" if ":" in host else _without_dot(host)
    path = _encoded(parts.path) or "/"
    return Target(
        host=host,
        port=port,
        is_tls=parts.scheme == "https",
        authority=name if port == usual else f"{name}:{port}",
        path=f"{path}?{_encoded(parts.query)}" if parts.query else path,
    )


def _encoded(text: str) -> str:
    return quote(text, safe=_KEPT)


def _without_dot(host: str) -> str:
    """The dot at the end tells resolvers that a name is whole; neither certificates nor virtual hosts have it."""
    return host.removesuffix(".")
