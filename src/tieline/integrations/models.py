"""The create, patch and read models of a type, derived from its fields, for the API's own description.

Pure. What they describe is done by `fields`: these carry titles, defaults and help into OpenAPI.
"""

import copy
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import (
    READ_ONLY,
    UNLESS_DEFAULT,
    Fields,
    IntegrationFields,
    default_of,
    is_read_only,
    is_write_only,
    nested,
)

if TYPE_CHECKING:
    from pydantic.config import JsonDict

_READ_CONFIG: Final = ConfigDict(extra="allow")


@cache
def model_to_create(kind: IntegrationType) -> type[BaseModel]:
    """What a client sends to create an integration of this type."""
    fields = {name: (field.annotation, field) for name, field in _writable(kind.fields)}
    return _model(f"{_stem(kind)}Create", {**_type_of(kind), **fields}, _help(kind))


@cache
def model_to_patch(kind: IntegrationType) -> type[BaseModel]:
    """What a client sends to change one: any part of it, and its type only to say that it is the same."""
    type_of = (Literal[kind.key], Field(default=None, description="The type, which cannot be changed."))
    fields = {name: (field.annotation, _optional(field)) for name, field in _writable(kind.fields)}
    return _model(f"{_stem(kind)}Patch", {"type": type_of, **fields}, _help(kind))


@cache
def model_to_read(kind: IntegrationType) -> type[BaseModel]:
    """What a client reads: never a secret."""
    return _model(f"{_stem(kind)}Integration", {**_COMMON, **_type_of(kind), **_readable(kind.fields)}, _help(kind))


def _help(kind: IntegrationType) -> str:
    """What the type is for, and what it does not do yet."""
    return f"{kind.summary} {kind.not_yet}".rstrip()


def _stem(kind: IntegrationType) -> str:
    return "".join(part.capitalize() for part in kind.key.replace(".", "_").split("_"))


def _writable(fields: type[IntegrationFields]) -> list[tuple[str, FieldInfo]]:
    return [(name, field) for name, field in fields.model_fields.items() if not is_read_only(field)]


def _readable(fields: type[Fields]) -> dict[str, Any]:
    return {
        name: (_readable_type(field), _read_field(field))
        for name, field in fields.model_fields.items()
        if not is_write_only(field)
    }


def _readable_type(field: FieldInfo) -> Any:
    inner = nested(field)
    if inner is None:
        return field.annotation
    readable: Any = create_model(f"{inner.__name__}Read", __config__=_READ_CONFIG, **_readable(inner))
    return readable | None if type(None) in getattr(field.annotation, "__args__", ()) else readable


def _read_field(field: FieldInfo) -> Any:
    """Every field is always there, but for those that are left out while they have their default."""
    default = default_of(field) if UNLESS_DEFAULT in field.metadata else ...
    return Field(default, description=field.description, json_schema_extra=_read_marks(field))


def _read_marks(field: FieldInfo) -> "JsonDict":
    return {READ_ONLY.keyword: True} if is_read_only(field) else {}


def _optional(field: FieldInfo) -> FieldInfo:
    """The same field, with its marks and limits, which need not be sent."""
    optional = copy.copy(field)
    optional.default, optional.default_factory = None, None
    return optional


def _type_of(kind: IntegrationType) -> dict[str, Any]:
    return {"type": (Literal[kind.key], Field(description="The type of the integration."))}


def _model(name: str, fields: dict[str, Any], help_text: str) -> type[BaseModel]:
    made: type[BaseModel] = create_model(name, __doc__=help_text, **fields)
    return made


def _given(help_text: str) -> Any:
    """A field that is Tieline's to set."""
    return Field(description=help_text, json_schema_extra={READ_ONLY.keyword: True})


_COMMON: Final[dict[str, Any]] = {
    "id": (str, _given("The identifier of the integration.")),
    "created_at": (datetime | None, _given("When it was created.")),
    "updated_at": (datetime | None, _given("When it was last changed; null until then.")),
    "role": (str, _given("Always empty; the vendor's clients expect it.")),
}
