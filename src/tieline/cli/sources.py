"""Where secrets come from: never from the command line itself, which everybody on the machine can read."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tieline.cli.ask import ask_secret, is_attended
from tieline.cli.failure import Failure, Status

EXPLANATION: Final = (
    "A secret is not written on the command line. SOURCE says where it comes from: @FILE, env:NAME (an environment"
    " variable), - (standard input) or prompt. At a terminal, one that is needed and not given is asked for."
)


@dataclass(frozen=True)
class Source:
    """A place that holds one secret."""

    kind: str
    name: str = ""


PROMPT: Final = Source("prompt")
_STDIN: Final = Source("stdin")


def parse_source(text: str) -> Source:
    """What a person wrote for a secret. Raises `ValueError` with a sentence that does not repeat it."""
    if text.startswith("@") and len(text) > 1:
        return Source("file", text[1:])
    if text.startswith("env:") and len(text) > len("env:"):
        return Source("env", text.removeprefix("env:"))
    known = {"-": _STDIN, "prompt": PROMPT}
    if text not in known:
        raise ValueError(
            "secrets are not written on the command line, where others can read them."
            " Give @FILE, env:NAME, - for standard input, or prompt."
        )
    return known[text]


def read_source(source: Source, name: str) -> str:
    """The secret of the field `name`, without a line end after it. Raises `Failure`."""
    match source.kind:
        case "file":
            return _read_file(source.name, name)
        case "env":
            return _read_variable(source.name, name)
        case "stdin":
            return sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not is_attended():
        raise Failure(Status.USAGE, f"{name}: there is no terminal to ask at; give @FILE, env:NAME or -.")
    return ask_secret(name)


def _read_file(path: str, name: str) -> str:
    try:
        return Path(path).expanduser().read_text().removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise Failure(Status.USAGE, f"{name}: {path} cannot be read: {reason}.") from None


def _read_variable(variable: str, name: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise Failure(Status.USAGE, f"{name}: the environment variable {variable} is not set.")
    return value
