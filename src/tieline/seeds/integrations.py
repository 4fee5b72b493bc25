"""Integrations, read and written: their fields are those of their types. Pure but for where secrets are looked up."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from tieline.core.clock import iso
from tieline.core.documents import JSON, Integration, Variable
from tieline.core.errors import Invalid
from tieline.core.ids import ID_LENGTH, short_hash
from tieline.core.secret import Secret
from tieline.integrations.base import IntegrationType, Registry
from tieline.integrations.fields import (
    Fields,
    is_read_only,
    is_write_only,
    nested,
    render_config,
    validate_create,
    write_only_names,
)
from tieline.seeds.models import IntegrationPart
from tieline.seeds.problems import enumerated
from tieline.seeds.references import Variables, put_back, split, take_references
from tieline.seeds.seed import Reading
from tieline.seeds.variables import read_variables, write_variable

HOOK_SECRET: Final = "hook"  # noqa: S105 - the name under which it is stored
_HOOK_SECRET_BYTES: Final = 32
# What stands in for a secret that is not there while the other fields are checked.
_STAND_IN: Final = "not-there"
# What the API shows, as the vendor's does, and is a secret all the same: a file is passed on sooner than an answer.
_SHOWN: Final = "shared_key"
_SHOWN_MAP: Final = "headers"


@dataclass(frozen=True)
class _Fields:
    """The type's own part of an integration."""

    config: JSON
    secrets: dict[str, Secret]


def read_integrations(
    reading: Reading, place: str, project_id: str, values: list[Any]
) -> tuple[tuple[Integration, ...], tuple[Variable, ...]]:
    """The integrations of a project, and the variables of all of them."""
    found: list[Integration] = []
    variables: list[Variable] = []
    for index, (each_place, value) in enumerate(enumerated(place, values)):
        part = reading.problems.parse(IntegrationPart, each_place, value)
        kind = _type_of(reading, each_place, part.type) if part is not None else None
        if part is None or kind is None:
            continue
        id = part.id or short_hash("integration", project_id, part.type, str(index), length=ID_LENGTH)  # noqa: A001
        fields = _fields(reading, each_place, id, kind, value)
        reading.ids("integration").add(f"{each_place}.id", id)
        variables += read_variables(reading, f"{each_place}.variables", id, part.variables)
        if fields is not None:
            found.append(_integration(reading, project_id, id, part, kind, fields, index))
    _refuse_second_source(reading, place, found)
    return tuple(found), tuple(variables)


def _type_of(reading: Reading, place: str, key: str) -> IntegrationType | None:
    if key in reading.registry:
        return reading.registry[key]
    known = ", ".join(each.key for each in reading.registry)
    reading.problems.add(f"{place}.type", f"There is no integration type {key[:50]!r}. There are: {known}.")
    return None


def _fields(reading: Reading, place: str, id: str, kind: IntegrationType, value: JSON) -> _Fields | None:
    own = {name: each for name, each in value.items() if name not in IntegrationPart.model_fields}
    shown = [name for name, each in _shown_secrets(kind, own) if name == _SHOWN or isinstance(each, dict)]
    rest, references = take_references(own, [*_secret_names(kind), *shown], place, reading.problems)
    found = {
        name: reading.secret(each, place, f"{name} of the {kind.key} integration {id}")
        for name, each in references.items()
    }
    there = {name: each.reveal() if each else _STAND_IN for name, each in found.items() if each or name not in shown}
    filled = put_back(rest, there)
    try:
        accepted = validate_create(kind.fields, filled)
    except Invalid as error:
        reading.problems.add_all(place, error)
        return None
    known = {name: each for name, each in accepted.secrets.items() if each is not None and found.get(name, each)}
    return _Fields({**accepted.config, **_read_only(kind, own)}, known)


def _secret_names(kind: IntegrationType) -> list[str]:
    """The dotted names of what is secret: a choice among a few words is none, though it may not be read back either."""
    return [name for name in write_only_names(kind.fields) if not _is_choice(_field(kind.fields, name))]


def _shown_secrets(kind: IntegrationType, config: JSON) -> Iterator[tuple[str, Any]]:
    """The dotted names of secrets that can be read back, with what stands there."""
    readable = {name for name, field in kind.fields.model_fields.items() if not is_write_only(field)}
    if _SHOWN in readable and config.get(_SHOWN):
        yield _SHOWN, config[_SHOWN]
    headers = config.get(_SHOWN_MAP) if _SHOWN_MAP in readable else None
    if isinstance(headers, dict):
        yield from ((f"{_SHOWN_MAP}.{name}", each) for name, each in headers.items())


def _field(kind: type[Fields], name: str) -> FieldInfo:
    outer, inner = split(name)
    holder = nested(kind.model_fields[outer]) if outer else kind
    assert holder is not None  # noqa: S101 - a dotted name is that of a field of an object
    return holder.model_fields[inner]


def _is_choice(field: FieldInfo) -> bool:
    alternatives = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else ()
    return any(get_origin(each) is Literal for each in (field.annotation, *alternatives))


def _read_only(kind: IntegrationType, given: JSON) -> JSON:
    """What Tieline found out about the integration, which is not sent but kept."""
    names = (name for name, field in kind.fields.model_fields.items() if is_read_only(field))
    return {name: given[name] for name in names if name in given}


def _integration(
    reading: Reading,
    project_id: str,
    id: str,
    part: IntegrationPart,
    kind: IntegrationType,
    fields: _Fields,
    index: int,
) -> Integration:
    look = timedelta(seconds=reading.reconcile_seconds)
    hook = {HOOK_SECRET: Secret(secrets.token_hex(_HOOK_SECRET_BYTES))} if kind.hook_format else {}
    return Integration(
        id=id,
        project_id=project_id,
        type=kind.key,
        config=fields.config,
        created_at=part.created_at or reading.moment_of(index),
        updated_at=part.updated_at,
        secrets={**fields.secrets, **hook},
        next_reconcile_at=reading.moment + look if kind.is_followed else None,
    )


def git_source(registry: Registry, integrations: Iterable[Integration]) -> str | None:
    """The id of the Git source among them."""
    return next((each.id for each in integrations if registry[each.type].is_git_source), None)


def _refuse_second_source(reading: Reading, place: str, found: list[Integration]) -> None:
    sources = [each for each in found if reading.registry[each.type].is_git_source]
    if len(sources) > 1:
        named = " and ".join(each.id for each in sources)
        reading.problems.add(place, f"A project follows one repository at most; here {named} would.")


def write_integration(
    kind: IntegrationType, integration: Integration, own_variables: Sequence[Variable], variables: Variables
) -> JSON:
    """An integration as the file has it.

    Secrets refer to variables of the environment; that of its hook is made anew when it is read.
    """
    config = render_config(kind.fields, integration.config)
    secret_names = _secret_names(kind)
    hidden = [name for name in secret_names if name in integration.secrets or _is_needed(kind.fields, config, name)]
    shown = {name: Secret(value) for name, value in _shown_secrets(kind, config)}
    values = {name: integration.secrets.get(name) for name in hidden} | shown
    references = {name: variables.refer(value, kind.key, integration.id, name) for name, value in values.items()}
    choices = {
        name: integration.secrets[name].reveal()
        for name in write_only_names(kind.fields)
        if name not in secret_names and name in integration.secrets
    }
    common = {
        "id": integration.id,
        "type": integration.type,
        "created_at": iso(integration.created_at),
        "updated_at": iso(integration.updated_at),
    }
    own = {"variables": [write_variable(each, variables) for each in own_variables]} if own_variables else {}
    return {**common, **own, **put_back(config, {**references, **choices})}


def _is_needed(kind: type[Fields], config: JSON, name: str) -> bool:
    """Whether the integration could not be read without this secret, though it may have been loaded without it."""
    outer = split(name)[0]
    is_there = not outer or isinstance(config.get(outer), dict)
    return is_there and _field(kind, name).is_required()
