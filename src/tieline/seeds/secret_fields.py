"""Which fields of an integration type are secrets, to a file that is passed on. Pure."""

from collections.abc import Collection, Iterator
from typing import Any

from pydantic.fields import FieldInfo

from tieline.core.documents import JSON
from tieline.integrations.fields import Fields, is_choice, is_text, nested, sealed_names, write_only_names
from tieline.seeds.references import split


def secret_names(kind: type[Fields]) -> list[str]:
    """The dotted names of what is never read back, and secret."""
    return [name for name in write_only_names(kind) if not is_choice(_field(kind, name))]


def choice_names(kind: type[Fields]) -> list[str]:
    """The dotted names of what is never read back, and no secret all the same: a choice among a few words."""
    return [name for name in write_only_names(kind) if is_choice(_field(kind, name))]


def shown_secrets(kind: type[Fields], config: JSON) -> Iterator[tuple[str, Any]]:
    """The dotted names of secrets that can be read back, with what stands there; nothing where one is missing.

    An answer shows them and a file does not: it is passed on sooner.
    """
    for name in sealed_names(kind):
        value, field = config.get(name), kind.model_fields[name]
        if is_text(field) and (value or field.is_required()):
            yield name, value
        elif isinstance(value, dict) and not is_text(field):
            yield from ((f"{name}.{part}", each) for part, each in value.items())


def is_wanted(kind: type[Fields], config: JSON, kept: Collection[str], name: str) -> bool:
    """Whether a file has to name the secret: it is kept, or could not be done without, though it was loaded without."""
    outer = split(name)[0]
    is_there = not outer or isinstance(config.get(outer), dict)
    return is_there and (name in kept or _field(kind, name).is_required())


def _field(kind: type[Fields], name: str) -> FieldInfo:
    outer, inner = split(name)
    holder = nested(kind.model_fields[outer]) if outer else kind
    assert holder is not None  # noqa: S101 - a dotted name is that of a field of an object
    return holder.model_fields[inner]
