"""Which fields of an integration type are secrets, to a file that is passed on. Pure."""

from collections.abc import Collection, Iterator
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from tieline.core.documents import JSON
from tieline.integrations.fields import Fields, is_write_only, nested, write_only_names
from tieline.seeds.references import split

# What the API shows, as the vendor's does, and is a secret all the same: a file is passed on sooner than an answer.
SHOWN: Final = "shared_key"
_SHOWN_MAP: Final = "headers"


def secret_names(kind: type[Fields]) -> list[str]:
    """The dotted names of what is never read back, and secret."""
    return [name for name in write_only_names(kind) if not _is_choice(_field(kind, name))]


def choice_names(kind: type[Fields]) -> list[str]:
    """The dotted names of what is never read back, and no secret all the same: a choice among a few words."""
    return [name for name in write_only_names(kind) if _is_choice(_field(kind, name))]


def shown_secrets(kind: type[Fields], config: JSON) -> Iterator[tuple[str, Any]]:
    """The dotted names of secrets that can be read back, with what stands there."""
    readable = {name for name, field in kind.model_fields.items() if not is_write_only(field)}
    if SHOWN in readable and config.get(SHOWN):
        yield SHOWN, config[SHOWN]
    headers = config.get(_SHOWN_MAP) if _SHOWN_MAP in readable else None
    if isinstance(headers, dict):
        yield from ((f"{_SHOWN_MAP}.{name}", each) for name, each in headers.items())


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


def _is_choice(field: FieldInfo) -> bool:
    alternatives = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else ()
    return any(get_origin(each) is Literal for each in (field.annotation, *alternatives))
