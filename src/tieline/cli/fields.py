"""What can be set of an integration of some type, learned from the server's OpenAPI document. Pure."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

JSON = dict[str, Any]
Kind = Literal["flag", "integer", "number", "choice", "text", "list", "map", "json"]

_UNION: Final = "IntegrationCreate"
_PLAIN: Final[Mapping[str, Kind]] = {"boolean": "flag", "integer": "integer", "number": "number", "string": "text"}
_METAVARS: Final[Mapping[Kind, str]] = {
    "integer": "INTEGER",
    "number": "NUMBER",
    "text": "TEXT",
    "list": "TEXT",
    "map": "NAME=VALUE",
    "json": "JSON",
}


@dataclass(frozen=True)
class Field:
    """A field, or a part of one that is an object. `required` is meant within its object."""

    path: tuple[str, ...]
    kind: Kind
    help: str
    secret: bool = False
    required: bool = False
    nullable: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None

    @property
    def name(self) -> str:
        """Dotted, as the API's errors have it."""
        return ".".join(self.path)

    @property
    def emptied(self) -> Any:
        """What an empty field holds: null where that is allowed, and otherwise nothing of its kind."""
        return None if self.nullable else {"list": [], "map": {}, "text": ""}.get(self.kind)

    @property
    def metavar(self) -> str | None:
        """What stands for the value in a help text; flags have none."""
        if self.secret:
            return "SOURCE"
        return "|".join(self.choices) if self.choices else _METAVARS.get(self.kind)


def is_ours(document: Any) -> bool:
    """Whether a document describes types of integrations at all."""
    return isinstance(_at(document, ("components", "schemas", _UNION, "discriminator", "mapping")), dict)


def types(document: JSON) -> dict[str, str]:
    """The types of integrations that a server has, with a sentence each."""
    mapping = _schemas(document)[_UNION]["discriminator"]["mapping"]
    return {
        key: str(_resolve(document, {"$ref": reference}).get("description", "")) for key, reference in mapping.items()
    }


def fields(document: JSON, type_key: str) -> list[Field]:
    """The fields of one type, in the order in which it declares them."""
    reference = _schemas(document)[_UNION]["discriminator"]["mapping"][type_key]
    schema = _resolve(document, {"$ref": reference})
    return [each for each in _walk(document, schema, ()) if each.path != ("type",)]


def _schemas(document: JSON) -> JSON:
    schemas: JSON = document["components"]["schemas"]
    return schemas


def _resolve(document: JSON, schema: JSON) -> JSON:
    """The schema that a reference stands for."""
    if "$ref" not in schema:
        return schema
    found: JSON = _schemas(document)[schema["$ref"].rpartition("/")[2]]
    return found


def _walk(document: JSON, schema: JSON, above: tuple[str, ...]) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, described in schema.get("properties", {}).items():
        value = _value_schema(document, described)
        if "properties" in value:
            yield from _walk(document, value, (*above, name))
        else:
            yield _field((*above, name), described, value, required=name in required)


def _value_schema(document: JSON, described: JSON) -> JSON:
    """What a value looks like when it is not null."""
    given = [each for each in described.get("anyOf", [described]) if each.get("type") != "null"]
    return _resolve(document, given[0]) if len(given) == 1 else {}


def _field(path: tuple[str, ...], described: JSON, value: JSON, *, required: bool) -> Field:
    choices = value.get("enum") or value.get("items", {}).get("enum") or ()
    return Field(
        path=path,
        kind=_kind(value),
        help=str(described.get("description", "")),
        # A choice that is not read back is no secret: everybody can read what there is to choose from.
        secret=(bool(described.get("writeOnly")) or described.get("format") == "password") and not choices,
        required=required,
        nullable={"type": "null"} in described.get("anyOf", ()),
        default=described.get("default"),
        choices=tuple(str(each) for each in choices),
        least=value.get("minimum"),
        most=value.get("maximum"),
    )


def _kind(value: JSON) -> Kind:
    match value:
        case {"enum": _, "type": "string"}:
            return "choice"
        case {"type": "array", "items": {"type": "string"}}:
            return "list"
        case {"type": "object", "additionalProperties": {"type": "string"}}:
            return "map"
    return _PLAIN.get(str(value.get("type")), "json")


def parse(field: Field, text: str) -> Any:
    """The value that a person wrote. Raises `ValueError` with a sentence."""
    match field.kind:
        case "integer":
            return _within(field, _number(text, int, "a whole number"))
        case "number":
            return _within(field, _number(text, float, "a number"))
        case "choice":
            return _chosen(field, text)
        case "json":
            return _json(text)
    return text


def parse_several(field: Field, texts: Sequence[str]) -> Any:
    """The value of an option that may be given again and again. Raises `ValueError` with a sentence."""
    if field.kind == "list":
        return [_chosen(field, each) if field.choices else each for each in texts]
    return dict(split_pair(each) for each in texts)


def _number(text: str, kind: type[int] | type[float], wanted: str) -> float:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"must be {wanted}, not {text!r}.") from None


def _within(field: Field, number: float) -> float:
    if field.least is not None and number < field.least:
        raise ValueError(f"must be at least {field.least:g}, not {number:g}.")
    if field.most is not None and number > field.most:
        raise ValueError(f"must be at most {field.most:g}, not {number:g}.")
    return number


def _chosen(field: Field, text: str) -> str:
    if text in field.choices:
        return text
    raise ValueError(f"{text!r} is none of {', '.join(field.choices)}{suggest(text, field.choices)}")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"must be JSON: {error}.") from None


def split_pair(text: str) -> tuple[str, str]:
    """The two sides of NAME=VALUE. Raises `ValueError` with a sentence."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"must be NAME=VALUE, not {text!r}.")
    return name, value


def suggest(text: str, known: Iterable[str]) -> str:
    """The end of a sentence about something that is not known: what may have been meant."""
    near = difflib.get_close_matches(text, list(known), 1)
    return f"; did you mean {near[0]}?" if near else "."


def compose(given: Mapping[tuple[str, ...], Any], present: JSON | None = None) -> JSON:
    """A body of the values by path. An object keeps what is known of it at `present`, for it is sent whole."""
    body: JSON = {}
    for path, value in given.items():
        place = body
        for depth, part in enumerate(path[:-1]):
            known = _at(present, path[: depth + 1])
            place = place.setdefault(part, dict(known) if isinstance(known, dict) else {})
        place[path[-1]] = value
    return body


def secrets_to_ask(
    known: Iterable[Field], given: Mapping[tuple[str, ...], Any], present: JSON | None = None
) -> list[Field]:
    """The secrets without which the values will not do: those of a new integration, and of objects that change."""
    body = compose(given, present)
    return [
        each
        for each in known
        if each.secret and each.required and each.path not in given and _needs(body, present, each.path[:-1])
    ]


def _needs(body: JSON, present: JSON | None, parent: tuple[str, ...]) -> bool:
    if not parent:
        return present is None
    wanted = _at(body, parent)
    return isinstance(wanted, dict) and wanted != _at(present, parent)


def _at(document: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        document = document.get(part) if isinstance(document, dict) else None
    return document
