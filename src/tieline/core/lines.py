"""Lines of logs, as they can be kept. Pure."""

from typing import Final

LONGEST_LINE: Final = 64 * 1024


def storable(text: str) -> str:
    """The text without what PostgreSQL cannot keep: NUL and lone surrogates become U+FFFD or `?`."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def parse_lines(text: str) -> list[str]:
    """The lines of a text, each with a newline of its own, none longer than `LONGEST_LINE` characters."""
    if text.isascii() and text.isprintable() and len(text) <= LONGEST_LINE:
        return [f"{text}\n"]
    lines = storable(text).removesuffix("\n").split("\n")
    return [_cut(line.removesuffix("\r")) + "\n" for line in lines]


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + " [cut]"
