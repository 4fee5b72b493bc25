"""A value that never prints."""

import hmac
from typing import Final

import orjson

MASK: Final = "********"


class Secret:
    """Wraps a credential so that str, repr, format and f-strings show only a mask.

    Call `reveal()` at the one place that sends it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    @classmethod
    def of(cls, value: object) -> "Secret":
        """One that holds a JSON value: a string as it is, anything else as its JSON text."""
        return cls(value if isinstance(value, str) else orjson.dumps(value).decode())

    def reveal(self) -> str:
        """The credential itself."""
        return self._value

    def matches(self, candidate: str | bytes) -> bool:
        """Compare in constant time, over bytes: non-ASCII text makes `hmac.compare_digest` raise."""
        given = candidate.encode() if isinstance(candidate, str) else candidate
        return hmac.compare_digest(self._value.encode(), given)

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.matches(other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a Secret may not be pickled")
