"""Integrations, read and written: their fields are those of their types. Pure but for where secrets are looked up."""

import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from tieline.core.clock import iso
from tieline.core.documents import JSON, Integration, Variable
from tieline.core.errors import Invalid
from tieline.core.ids import ID_LENGTH, short_hash
from tieline.core.secret import Secret
from tieline.integrations.base import IntegrationType, Registry
from tieline.integrations.fields import is_read_only, render_config, validate_create
from tieline.seeds.models import IntegrationPart
from tieline.seeds.problems import enumerated
from tieline.seeds.references import Variables, put_back, take_references
from tieline.seeds.secret_fields import choice_names, is_wanted, secret_names, shown_secrets
from tieline.seeds.seed import Reading
from tieline.seeds.variables import read_variables, write_variable

HOOK_SECRET: Final = "hook"  # noqa: S105 - the name under which it is stored
_HOOK_SECRET_BYTES: Final = 32
# What stands in for a secret that is not there while the other fields are checked.
_STAND_IN: Final = "not-there"


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
    shown = [name for name, each in shown_secrets(kind.fields, own) if isinstance(each, dict)]
    rest, references = take_references(own, [*secret_names(kind.fields), *shown], place, reading.problems)
    found = {
        name: reading.secret(each, place, f"{name} of the {kind.key} integration {id}")
        for name, each in references.items()
    }
    there = {name: each.reveal() if each else _stand_in(kind, name, shown) for name, each in found.items()}
    filled = put_back(rest, {name: each for name, each in there.items() if each is not None})
    try:
        accepted = validate_create(kind.fields, filled)
    except Invalid as error:
        reading.problems.add_all(place, error)
        return None
    known = {name: each for name, each in accepted.secrets.items() if each is not None and found.get(name, each)}
    return _Fields({**accepted.config, **_read_only(kind, own)}, known)


def _stand_in(kind: IntegrationType, name: str, shown: Collection[str]) -> str | None:
    """What takes the place of a secret that is not there; None where it can be done without."""
    if name not in shown:
        return _STAND_IN
    field = kind.fields.model_fields.get(name)
    return kind.example[name] if field is not None and field.is_required() else None


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
    common = {
        "id": integration.id,
        "type": integration.type,
        "created_at": iso(integration.created_at),
        "updated_at": iso(integration.updated_at),
    }
    own = {"variables": [write_variable(each, variables) for each in own_variables]} if own_variables else {}
    return {**common, **own, **_write_fields(kind, integration, variables)}


def _write_fields(kind: IntegrationType, integration: Integration, variables: Variables) -> JSON:
    kept = integration.secrets
    config = render_config(kind.fields, integration.config, kept)
    choices = {name: kept[name].reveal() for name in choice_names(kind.fields) if name in kept}
    hidden = {name: kept.get(name) for name in secret_names(kind.fields) if is_wanted(kind.fields, config, kept, name)}
    shown = {name: Secret(value) if value else None for name, value in shown_secrets(kind.fields, config)}
    values = {**hidden, **shown}
    references = {name: variables.refer(value, kind.key, integration.id, name) for name, value in values.items()}
    return put_back(config, {**choices, **references})
