"""One class per type declares its fields; everything else about them is derived here.

A subclass of `IntegrationFields` is what a client may send on creation. Marks in `Annotated` say what may not be read
back (`WRITE_ONLY`) or not be sent (`READ_ONLY`), what is kept among the secrets although it is read (`SEALED`), which
other field one needs (`Needs`), what Tieline calls (`Called`), and what a field rests on (`Basis`). Objects nest one
level deep. Pure: no I/O.
"""

import dataclasses
import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import UnionType
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, Union, get_args, get_origin

import orjson
from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, ErrorDetails

from tieline.core.documents import JSON
from tieline.core.errors import Invalid
from tieline.core.redact import texts_in
from tieline.core.secret import Secret

MESSAGE: Final = "The integration is invalid."
# Clients send whole documents back, so what they may not change is ignored.
COMMON_READ_ONLY: Final = frozenset({"id", "created_at", "updated_at", "role", "project", "_links", "_embedded"})
M = TypeVar("M")


@dataclass(frozen=True)
class Mark:
    """How a field differs from one that is both sent and read; `keyword` is what JSON Schema calls that."""

    name: str
    keyword: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JSON:
        """Clients that build forms and options learn from the document which fields are secrets."""
        return {**handler(schema), self.keyword: True}


WRITE_ONLY: Final = Mark("write-only", "writeOnly")
READ_ONLY: Final = Mark("read-only", "readOnly")


@dataclass(frozen=True)
class Custom:
    """How Tieline treats a field that is sent and read like any other."""

    name: str


@dataclass(frozen=True)
class Sealed(Custom):
    """The mark of a secret that is read back; text is described as what is not shown while it is typed."""

    name: str = "sealed"

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JSON:
        """Clients learn from the document to take it from where nobody else reads it."""
        described = handler(schema)
        is_text = any(each.get("type") == "string" for each in described.get("anyOf", (described,)))
        return {**described, "format": "password"} if is_text else described


SEALED: Final = Sealed()
"""A secret that is read back: it is kept with those that are not, and left out of activities, logs and exports."""

ROTATES: Final = Custom("rotates")
"""A secret whose former value stays good for `RETIRED_FOR` when it is replaced, under the name `retired_name` gives."""

UNLESS_DEFAULT: Final = Custom("unless-default")
"""Neither kept nor read while it has its default: the vendor's documents do not have the field."""

RETIRED_FOR: Final = timedelta(hours=24)


@dataclass(frozen=True)
class Needs:
    """The switch is off whenever another one of the same type is."""

    switch: str


@dataclass(frozen=True)
class Called:
    """What stands in the field is an address that Tieline calls: a whole `url`, or a `host`."""

    kind: Literal["url", "host"]


CALLED_URL: Final = Called("url")
CALLED_HOST: Final = Called("host")


@dataclass(frozen=True)
class Basis:
    """What a field, or its default, rests on.

    `documented` by the vendor; `observed` on the vendor's clients; `inferred`, which is Tieline's choice where the
    vendor says nothing; `added` by Tieline. The note is a sentence about it.
    """

    kind: Literal["documented", "observed", "inferred", "added"]
    note: str
    about: Literal["field", "default"] = "field"


DOCUMENTED: Final = Basis("documented", "It is in the vendor's OpenAPI document.")
SENT_BY_CLI: Final = Basis("observed", "The vendor's command line sends it when it is not told otherwise.", "default")
OUR_CHOICE: Final = Basis("inferred", "The vendor names no default.", "default")
NULLABLE: Final = Basis("documented", "It is optional and may be null.", "default")
_MARKS: Final = (Mark, Custom, Needs, Called, Basis)


class Fields(BaseModel):
    """An object of fields: strict about JSON types and about names."""

    model_config = ConfigDict(
        strict=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True, defer_build=True
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """A mark within a type, where nobody would see it, could give a secret away."""
        for name, each in cls.model_fields.items():
            for mark in _marks_within(each.annotation):
                raise TypeError(f"{cls.__name__}.{name}: {mark} belongs to the whole: Annotated[str | None, MARK]")
            if is_sealed(each) and not issubclass(cls, IntegrationFields):
                raise TypeError(f"{cls.__name__}.{name}: only a field of the integration itself can be {SEALED}")


class IntegrationFields(Fields):
    """The fields of one integration type, each with its type, default and a docstring that is its help."""

    also_accepted: ClassVar[frozenset[str]] = frozenset()
    """Fields that clients send although the vendor's document forbids them, and that mean nothing here."""

    @classmethod
    def normalise(cls, body: JSON) -> JSON:
        """Spellings that clients use for the same thing, made one. Values may still be of any type."""
        return body

    @classmethod
    def settle(cls, values: JSON) -> JSON:
        """Fields that depend on others, brought in line after validation."""
        needs = ((name, mark_of(field, Needs)) for name, field in cls.model_fields.items())
        return values | {name: values[name] and values[each.switch] for name, each in needs if each is not None}


@dataclass(frozen=True)
class Accepted:
    """Input that passed: what is kept in plain, and secrets by dotted name (None: forget the stored one).

    `retired` are the values that were replaced and stay good for `RETIRED_FOR`.
    """

    config: JSON
    secrets: Mapping[str, Secret | None]
    changed: bool = True
    retired: Mapping[str, Secret] = dataclasses.field(default_factory=dict)

    @property
    def kept(self) -> dict[str, Secret]:
        """The secrets that there are from now on."""
        return {name: each for name, each in self.secrets.items() if each is not None}


def is_write_only(field: FieldInfo) -> bool:
    """Whether the field is never read back."""
    return WRITE_ONLY in field.metadata


def is_sealed(field: FieldInfo) -> bool:
    """Whether the field is read back and kept as a secret all the same."""
    return SEALED in field.metadata


def is_left_out(field: FieldInfo, value: Any) -> bool:
    """Whether a document does without the field when this is its value."""
    return UNLESS_DEFAULT in field.metadata and value == default_of(field)


def is_choice(field: FieldInfo) -> bool:
    """Whether the field has one of a few values, which everybody can know."""
    return any(get_origin(each) is Literal for each in _alternatives(field.annotation))


def is_text(field: FieldInfo) -> bool:
    """Whether the field holds a string, if anything."""
    return str in _alternatives(field.annotation)


def is_read_only(field: FieldInfo) -> bool:
    """Whether the field is Tieline's to set."""
    return READ_ONLY in field.metadata


def mark_of(field: FieldInfo, kind: type[M]) -> M | None:
    """The field's first mark of a kind."""
    return next((each for each in field.metadata if isinstance(each, kind)), None)


def basis_of(field: FieldInfo) -> Basis:
    """What the field rests on."""
    return next((each for each in _bases(field) if each.about == "field"), DOCUMENTED)


def basis_of_default(field: FieldInfo) -> Basis | None:
    """What the field's default rests on; None where nothing is said, and for required fields."""
    return next((each for each in _bases(field) if each.about == "default"), None)


def _bases(field: FieldInfo) -> Iterator[Basis]:
    return (each for each in field.metadata if isinstance(each, Basis))


def default_of(field: FieldInfo) -> Any:
    """The value of an optional field that is not sent."""
    return field.get_default(call_default_factory=True)


def called_urls(kind: type[Fields], config: JSON) -> Iterator[tuple[str, str]]:
    """The fields that hold addresses to call, with a URL for each; defaults, which nobody chose, are left out."""
    for name, field in kind.model_fields.items():
        called, value = mark_of(field, Called), config.get(name)
        if called is not None and isinstance(value, str) and value != field.default:
            yield name, value if called.kind == "url" else f"https://{f'[{value}]' if ':' in value else value}/"


def nested(field: FieldInfo) -> type[Fields] | None:
    """The model of a field that is an object, nullable or not."""
    for candidate in _alternatives(field.annotation):
        if isinstance(candidate, type) and issubclass(candidate, Fields):
            return candidate
    return None


def write_only_names(kind: type[Fields], prefix: str = "") -> Iterator[str]:
    """The dotted names of a type's secrets."""
    for name, field in kind.model_fields.items():
        if is_write_only(field):
            yield prefix + name
        elif (inner := nested(field)) is not None:
            yield from write_only_names(inner, f"{prefix}{name}.")


def sealed_names(kind: type[Fields]) -> list[str]:
    """The names of a type's secrets that are read back."""
    return [name for name, each in kind.model_fields.items() if is_sealed(each)]


def secret_texts(kind: type[Fields], secrets: Mapping[str, Secret]) -> Iterator[str]:
    """What a log must not show of these secrets: each as it is, and every text in one that is no string."""
    for name, secret in secrets.items():
        each = kind.model_fields.get(name)
        if each is None or not (is_choice(each) or is_sealed(each)):
            yield secret.reveal()
        elif is_sealed(each):
            yield from texts_in(_unseal(each, secret))


def retired_name(name: str) -> str:
    """Under which name the former value of a secret is kept while it is still good."""
    return f"{name}.previous"


def validate_create(kind: type[IntegrationFields], body: JSON) -> Accepted:
    """What to store of a creation's body. Raises `Invalid` with one sentence per field."""
    values = _validate(kind, _without_read_only(kind, body))
    return Accepted(_readable(kind, values), dict(_secrets(kind, values)))


def validate_patch(
    kind: type[IntegrationFields], type_key: str, config: JSON, secrets: Mapping[str, Secret], body: JSON
) -> Accepted:
    """What to store after a partial change; `config` and `secrets` are what is stored now.

    A secret that the body does not give stays, unless the object it belongs to is another one now.
    """
    if body.get("type", type_key) != type_key:
        raise Invalid({"type": f"The type of an integration cannot be changed; it is {type_key!r}."}, MESSAGE)
    given = kind.normalise(_without_read_only(kind, body))
    ours = {name: config[name] for name, each in kind.model_fields.items() if is_read_only(each) and name in config}
    values = _validate(kind, _merge(kind, config, secrets, given), ours)
    kept = dict(_secrets(kind, values))
    forgotten = {name: None for name in _gone(kind, kept) if name in secrets}
    new_config = _readable(kind, values)
    present = {name: config.get(name, default_of(each)) for name, each in kind.model_fields.items()}
    same = new_config == _readable(kind, present)
    same = same and all(secrets.get(name) == each for name, each in kept.items())
    return Accepted(new_config, {**kept, **forgotten}, not same or bool(forgotten), _retired(kind, secrets, kept))


def render_config(kind: type[IntegrationFields], config: JSON, secrets: Mapping[str, Secret]) -> JSON:
    """The readable fields in their declared order; those stored before a field existed get its default.

    A required one that is missing, because a seed was loaded without it, is empty.
    """
    fields = {name: each for name, each in kind.model_fields.items() if not is_write_only(each)}
    values = {name: _value_of(each, name, config, secrets) for name, each in fields.items()}
    return {name: value for name, value in values.items() if not is_left_out(fields[name], value)}


def describe_error(kind: type[BaseModel], error: ErrorDetails, body: Any) -> tuple[str, str]:
    """The dotted field and the sentence for one of Pydantic's errors. Never shows a secret's value."""
    # Of a name that is wrong in a map, the last part says no more than that.
    path = [str(part) for part in error["loc"] if part != "[key]"]
    field, known = _field_at(kind, path)
    secret = field is not None and (is_write_only(field) or is_sealed(field))
    return ".".join(path), _sentence(error, _value_at(body, path), known, secret=secret)


def _validate(kind: type[IntegrationFields], body: JSON, ours: JSON | None = None) -> JSON:
    """The values of all fields; `ours` are those that only Tieline sets."""
    normal = kind.normalise(body)
    try:
        values = kind.model_validate(normal).model_dump() | (ours or {})
    except ValidationError as errors:
        raise Invalid(dict(describe_error(kind, each, normal) for each in errors.errors()), MESSAGE) from None
    return kind.settle(values)


def _without_read_only(kind: type[IntegrationFields], body: JSON) -> JSON:
    own = {name for name, field in kind.model_fields.items() if is_read_only(field)}
    # A type may have a field of its own by a common name, as GitLab's have a project.
    ignored = (COMMON_READ_ONLY - kind.model_fields.keys()) | own | kind.also_accepted | {"type"}
    return {name: value for name, value in body.items() if name not in ignored}


def _merge(kind: type[IntegrationFields], config: JSON, secrets: Mapping[str, Secret], given: JSON) -> JSON:
    merged: JSON = {}
    for name, field in kind.model_fields.items():
        if is_read_only(field):
            continue
        if name in given:
            merged[name] = _keep_secrets(field, name, config.get(name), secrets, given[name])
        elif is_write_only(field) and name in secrets:
            merged[name] = secrets[name].reveal()
        elif is_sealed(field) and name in secrets:
            merged[name] = _unseal(field, secrets[name])
        elif name in config:
            merged[name] = _keep_secrets(field, name, config[name], secrets, config[name])
    unknown = {name: value for name, value in given.items() if name not in kind.model_fields}
    return merged | unknown


def _value_of(field: FieldInfo, name: str, config: JSON, secrets: Mapping[str, Secret]) -> Any:
    if is_sealed(field) and name in secrets:
        return _unseal(field, secrets[name])
    if name in config:
        return config[name]
    return "" if is_sealed(field) and field.is_required() else default_of(field)


def _unseal(field: FieldInfo, secret: Secret) -> Any:
    return secret.reveal() if is_text(field) else orjson.loads(secret.reveal())


def _gone(kind: type[Fields], kept: Mapping[str, Secret]) -> list[str]:
    """The names of the secrets that there are no more, and of what they were before."""
    gone = [name for name in (*write_only_names(kind), *sealed_names(kind)) if name not in kept]
    return [*gone, *(retired_name(name) for name in _rotating(kind) if name in gone)]


def _retired(kind: type[Fields], secrets: Mapping[str, Secret], kept: Mapping[str, Secret]) -> dict[str, Secret]:
    """The values that others replace now and that stay good for a while."""
    there = [name for name in _rotating(kind) if name in secrets and name in kept]
    return {retired_name(name): secrets[name] for name in there if secrets[name] != kept[name]}


def _rotating(kind: type[Fields]) -> list[str]:
    return [name for name, each in kind.model_fields.items() if ROTATES in each.metadata]


def _keep_secrets(field: FieldInfo, name: str, stored: Any, secrets: Mapping[str, Secret], value: Any) -> Any:
    """An object whose readable part is as stored keeps the secrets that were not given anew."""
    inner = nested(field)
    if inner is None or not isinstance(value, dict) or not isinstance(stored, dict):
        return value
    if any(value.get(part) != content for part, content in stored.items()):
        return value
    held = {part: secrets[f"{name}.{part}"].reveal() for part in write_only_names(inner) if f"{name}.{part}" in secrets}
    return held | value


def _readable(kind: type[Fields], values: JSON) -> JSON:
    readable: JSON = {}
    for name, field in kind.model_fields.items():
        if is_write_only(field) or is_sealed(field) or is_left_out(field, values.get(name)):
            continue
        inner, value = nested(field), values.get(name)
        readable[name] = _readable(inner, value) if inner is not None and isinstance(value, dict) else value
    return readable


def _secrets(kind: type[Fields], values: JSON, prefix: str = "") -> Iterator[tuple[str, Secret]]:
    for name, field in kind.model_fields.items():
        value = values.get(name)
        if is_sealed(field) and value:
            yield name, Secret.of(value)
        elif is_write_only(field) and isinstance(value, str) and value:
            yield prefix + name, Secret(value)
        elif (inner := nested(field)) is not None and isinstance(value, dict):
            yield from _secrets(inner, value, f"{prefix}{name}.")


def _field_at(kind: type[BaseModel], path: list[str]) -> tuple[FieldInfo | None, type[BaseModel]]:
    """The declaration at a path, and the object that it is, or should have been, declared in."""
    current = kind
    for part in path[:-1]:
        field = current.model_fields.get(part)
        inner = nested(field) if field is not None else None
        if inner is None:
            return field, current
        current = inner
    return current.model_fields.get(path[-1]) if path else None, current


def _value_at(body: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(body, list) and part.isdecimal() and int(part) < len(body):
            body = body[int(part)]
        elif isinstance(body, Mapping):
            body = body.get(part)
        else:
            return None
    return body


# Pydantic's name of an error -> what is wanted instead, where a kind of value is missing.
_EXPECTED: Final = {
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}


_JSON_TYPES: Final = {bool: "a boolean", int: "a number", float: "a fraction", str: "a string", list: "a list"}
_SUBJECT: Final = re.compile(r"\A\w+ should")
_LIMITS: Final = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


def _sentence(error: ErrorDetails, found: Any, kind: type[BaseModel], *, secret: bool) -> str:
    context, name = error.get("ctx", {}), str(error["loc"][-1])
    match error["type"]:
        case "missing":
            return _required(name, kind)
        case "extra_forbidden":
            return _unknown(name, kind)
        case "value_error":
            return f"{str(context.get('error', 'This value is not valid')).rstrip('.')}."
        case "literal_error" | "enum":
            shown = "" if secret and isinstance(found, str) else f", not {_show(found, secret=secret)}"
            return f"Must be {context['expected']}{shown}."
        case "string_pattern_mismatch":
            return " ".join([f"Must match {context['pattern']}.", *_help(name, kind)])
    return _mismatch(error, found, secret=secret)


def _mismatch(error: ErrorDetails, found: Any, *, secret: bool) -> str:
    """A value of the wrong type, or beyond a limit."""
    name = error["type"]
    if name in _EXPECTED:
        return f"Must be {_EXPECTED[name]}, not {_json_type(found)}."
    if name in _LIMITS:
        words, bound = _LIMITS[name]
        return f"Must be {words} {error['ctx'][bound]}, not {_show(found, secret=secret)}."
    if name == "too_long":
        return f"Must have at most {_items(error['ctx']['max_length'])}."
    if name == "too_short":
        return f"Must have at least {_items(error['ctx']['min_length'])}."
    return f"{_SUBJECT.sub('Must', error['msg'])}."


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"


def _required(name: str, kind: type[BaseModel]) -> str:
    return " ".join(["This field is required.", *_help(name, kind)])


def _help(name: str, kind: type[BaseModel]) -> list[str]:
    field = kind.model_fields.get(name)
    return [field.description] if field and field.description else []


def _unknown(name: str, kind: type[BaseModel]) -> str:
    known = [each for each, field in kind.model_fields.items() if not is_read_only(field)]
    near = difflib.get_close_matches(name, known, 1)
    return f"There is no such field; did you mean {near[0]}?" if near else "There is no such field."


def _show(found: Any, *, secret: bool) -> str:
    short = isinstance(found, str | int) and len(str(found)) <= 40  # noqa: PLR2004 - enough for a typing error
    return repr(found) if short and not secret else _json_type(found)


def _json_type(value: Any) -> str:
    return "null" if value is None else _JSON_TYPES.get(type(value), "an object")


def _marks_within(annotation: Any) -> Iterator[object]:
    for part in get_args(annotation):
        if isinstance(part, _MARKS):
            yield part
        yield from _marks_within(part)


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) not in (Union, UnionType):
        return (annotation,)
    return tuple(each for arm in get_args(annotation) for each in _alternatives(arm))
