"""Foreign text made fit for a terminal, and values made fit for people. Pure."""

import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

# Escape sequences are dropped whole; what remains of broken ones is harmless without its escape character.
_SEQUENCE: Final = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-~]"
)
# Characters that order text anew, so that it reads as something that it is not.
_REORDERING: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_NONE: Final = "-"


def printable(text: str) -> str:
    """One line without control characters."""
    return "".join(_shown(each) for each in _SEQUENCE.sub("", text))


def _shown(character: str) -> str:
    if character in "\t\n\u2028\u2029":
        return " "
    if character in _REORDERING or unicodedata.category(character) in ("Cc", "Cs"):
        return ""
    return character


def escaped(json_text: str) -> str:
    """The same JSON, with the characters that steer a terminal as JSON's own escapes; it has them in strings only."""
    return "".join(
        f"\\u{ord(each):04x}" if each in _REORDERING or (each != "\n" and unicodedata.category(each) == "Cc") else each
        for each in json_text
    )


def flat(document: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """A document as dotted names and values; its links are left out."""
    for name, value in document.items():
        if name in ("_links", "_embedded"):
            continue
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, readable(value)


def readable(value: Any) -> str:
    """A JSON value as a person writes it."""
    if value is None or value in ("", [], {}):
        return _NONE
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def local_time(moment: str | None) -> str:
    """A moment of a document, to the second, in this machine's time zone."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else _NONE


def short(commit: str | None) -> str:
    """The first characters of a commit's hash, as git shows it."""
    return commit[:7] if commit else _NONE
