"""Secrets in seeds: where each is, never what it is."""

import itertools
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from tieline.core.documents import JSON
from tieline.core.secret import Secret
from tieline.seeds.models import Reference
from tieline.seeds.problems import Problems

LookUp = Callable[[Reference], Secret | None]
_LONGEST: Final = 64 * 1024


def look_up_in(folder: Path, environment: Mapping[str, str] = os.environ) -> LookUp:
    """Finds secrets in the environment and in files, whose paths are relative to `folder`. None: there is none."""

    def look_up(reference: Reference) -> Secret | None:
        if reference.env is not None:
            value = environment.get(reference.env, "")
        else:
            value = _read(folder / (reference.file or ""))
        return Secret(value) if value else None

    return look_up


def _read(path: Path) -> str:
    """The text of a file without the line break at its end; empty when there is none that can be read."""
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST).decode().removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError):
        return ""


def variable_of(*parts: str) -> str:
    """The name of the variable that an exported seed refers to, e.g. `BITBUCKET_ABC_APP_CREDENTIALS_SECRET`."""
    return re.sub(r"[^A-Z0-9]+", "_", "_".join(parts).upper())


class Variables:
    """The variables that an exported seed refers to, with the values that are known."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._values: dict[str, Secret] = {}

    def refer(self, value: Secret | None, *parts: str) -> JSON:
        """A reference to a variable of its own, named by `parts`; None for a value that nobody knows."""
        name = self._free(variable_of(*parts))
        self._names.add(name)
        if value is not None:
            self._values[name] = value
        return {"env": name}

    def _free(self, wanted: str) -> str:
        """That name, or the next one with a number: `X-A` and `x_a` are two things and would be one variable."""
        numbered = (f"{wanted}_{number}" for number in itertools.count(2))
        return next(each for each in itertools.chain([wanted], numbered) if each not in self._names)

    @property
    def values(self) -> Mapping[str, Secret]:
        """Every value that is known, by the name of its variable."""
        return self._values


def take_references(
    body: JSON, names: Iterable[str], place: str, problems: Problems
) -> tuple[JSON, dict[str, Reference]]:
    """`body` without the secrets of these dotted names, and what stands there instead."""
    rest = dict(body)
    found: dict[str, Reference] = {}
    for name in names:
        outer, inner = split(name)
        holder = rest.get(outer) if outer else rest
        if not isinstance(holder, dict) or holder.get(inner) is None:
            continue
        value = holder[inner]
        kept = {each: content for each, content in holder.items() if each != inner}
        rest = {**rest, outer: kept} if outer else kept
        reference = parse_reference(value, f"{place}.{name}", problems)
        if reference is not None:
            found[name] = reference
    return rest, found


def parse_reference(value: Any, place: str, problems: Problems) -> Reference | None:
    """The reference; None for anything else, which is noted without being shown."""
    if isinstance(value, dict):
        return problems.parse(Reference, place, value)
    problems.add(place, "This is a secret, which a seed only refers to: {env: NAME} or {file: PATH}.")
    return None


def split(name: str) -> tuple[str, str]:
    """The field that holds another one, or nothing, and that one, whose own name may have dots in it."""
    outer, dot, inner = name.partition(".")
    return (outer, inner) if dot else ("", outer)


def put_back(body: JSON, secrets: Mapping[str, Any]) -> JSON:
    """`body` with the secrets of these dotted names in their places."""
    whole = dict(body)
    for name, value in secrets.items():
        outer, inner = split(name)
        if outer:
            whole[outer] = {**whole[outer], inner: value}
        else:
            whole[inner] = value
    return whole
