"""Declarations against the contract's table, field by field."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.table import ADDRESSES, COMMON, TYPES, Row
from tieline.integrations import ALL
from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import Called, Fields, mark_of, nested
from tieline.integrations.models import model_to_create, model_to_patch, model_to_read

KINDS = {kind.key: kind for kind in ALL}
each_type = pytest.mark.parametrize("key", TYPES)


def test_every_type_of_the_table_is_declared() -> None:
    assert len(TYPES) == 18
    assert TYPES.keys() <= KINDS.keys()


@each_type
def test_what_is_created_is_declared_as_in_the_table(key: str) -> None:
    document = model_to_create(KINDS[key]).model_json_schema()
    rows = {name: row for name, row in TYPES[key].items() if not row.read_only}
    assert list(document["properties"]) == ["type", *rows]
    assert set(document["required"]) == {"type", *(name for name, row in rows.items() if row.is_required)}
    assert differences(document, rows) == []


@each_type
def test_what_is_patched_is_declared_as_in_the_table_and_nothing_is_required(key: str) -> None:
    document = model_to_patch(KINDS[key]).model_json_schema()
    rows = {name: row for name, row in TYPES[key].items() if not row.read_only}
    assert list(document["properties"]) == ["type", *rows]
    assert "required" not in document
    assert differences(document, rows, with_defaults=False) == []


@each_type
def test_what_is_read_is_declared_as_in_the_table_and_always_there(key: str) -> None:
    document = model_to_read(KINDS[key]).model_json_schema()
    rows = {name: row for name, row in TYPES[key].items() if not row.write_only}
    assert set(document["properties"]) == {*COMMON, *rows}
    assert set(document["required"]) == {*COMMON, *(name for name, row in rows.items() if not row.own)}
    assert differences(document, rows, with_defaults=False, with_limits=False) == []


@each_type
def test_whoever_reads_the_description_learns_what_does_not_act_yet(key: str) -> None:
    kind = KINDS[key]
    for make in (model_to_create, model_to_patch, model_to_read):
        assert make(kind).model_json_schema()["description"] == f"{kind.summary} {kind.not_yet}".strip()


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.key)
def test_every_field_for_an_address_is_marked_as_one_that_is_called(kind: IntegrationType) -> None:
    """What is not marked is not checked when it is set."""
    called = [name for name, field in kind.fields.model_fields.items() if mark_of(field, Called)]
    assert called == addresses_of(kind.fields)
    assert called == [each for each in [ADDRESSES.get(kind.key)] if each]


def addresses_of(fields: type[Fields], prefix: str = "") -> list[str]:
    """The dotted names of the fields that take URLs and hosts."""
    properties = fields.model_json_schema()["properties"]
    own = [f"{prefix}{name}" for name, schema in properties.items() if name == "host" or "'uri'" in str(schema)]
    models = [(name, nested(field)) for name, field in fields.model_fields.items()]
    return own + [each for name, model in models if model for each in addresses_of(model, f"{prefix}{name}.")]


def differences(
    document: dict[str, Any], rows: dict[str, Row], *, with_defaults: bool = True, with_limits: bool = True
) -> list[str]:
    """Where a schema says something else than the table."""
    return [
        f"{name}: {said!r} is not {wanted!r}"
        for name, row in rows.items()
        for said, wanted in facts(document, document["properties"][name], row, with_defaults, with_limits)
        if said != wanted
    ]


def facts(
    document: dict[str, Any],
    described: dict[str, Any],
    row: Row,
    with_defaults: bool,  # noqa: FBT001
    with_limits: bool,  # noqa: FBT001
) -> Iterator[tuple[Any, Any]]:
    arms = described.get("anyOf", [described])
    value = next(each for each in arms if each.get("type") != "null")
    if "$ref" in value:
        value = document["$defs"][value["$ref"].rpartition("/")[2]]
    yield {"type": "null"} in arms, row.nullable
    yield kind_of(value), row.kind
    yield tuple(value.get("enum", ())), row.enum
    yield bool(described.get("writeOnly")), row.write_only
    yield bool(described.get("readOnly")), row.read_only
    yield bool(described.get("description")), True
    if with_defaults and not row.is_required:
        yield described["default"], row.default
    if with_limits and row.limits != (None, None):
        yield (value["minimum"], value["maximum"]), row.limits


def kind_of(value: dict[str, Any]) -> str:
    match value:
        case {"type": "array", "items": {"type": "string"}}:
            return "strings"
        case {"type": "object", "additionalProperties": {}}:
            return "map"
        case {"format": "date-time"}:
            return "date-time"
    return str(value["type"])
