"""Variables of integrations, read and written. Pure but for where sensitive values are looked up."""

import json
from typing import Any, Final

from tieline.core.documents import JSON, Variable
from tieline.core.secret import Secret
from tieline.seeds.models import VariablePart
from tieline.seeds.problems import Names, enumerated
from tieline.seeds.references import Variables, parse_reference
from tieline.seeds.seed import Reading, compact

# What stands in for a sensitive value that is not there: JSON too.
_STAND_IN: Final = '""'


def read_variables(reading: Reading, place: str, integration_id: str, values: list[Any]) -> list[Variable]:
    """The variables of an integration."""
    names = Names(reading.problems, "name")
    variables = []
    for index, (each_place, value) in enumerate(enumerated(place, values)):
        part = reading.problems.parse(VariablePart, each_place, value)
        if part is not None:
            names.add(f"{each_place}.name", part.name)
            variables.append(_variable(reading, each_place, integration_id, part, index))
    return variables


def _variable(reading: Reading, place: str, integration_id: str, part: VariablePart, index: int) -> Variable:
    return Variable(
        integration_id=integration_id,
        name=part.name,
        value=_value(reading, f"{place}.value", integration_id, part),
        attributes=part.attributes,
        is_json=part.is_json,
        is_sensitive=part.is_sensitive,
        created_at=part.created_at or reading.moment_of(index),
        updated_at=part.updated_at,
    )


def _value(reading: Reading, place: str, integration_id: str, part: VariablePart) -> Secret:
    if part.is_sensitive:
        reference = parse_reference(part.value, place, reading.problems)
        what = f"the value of the variable {part.name} of the integration {integration_id}"
        found = reading.secret(reference, place, what) if reference is not None else None
        return found or Secret(_STAND_IN)
    if not isinstance(part.value, str):
        reading.problems.add(place, "This must be a string; put it in quotes.")
        return Secret("")
    if part.is_json and not _is_json(part.value):
        reading.problems.add(place, "This is not JSON, which `is_json` says that it is.")
    return Secret(part.value)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def write_variable(variable: Variable, variables: Variables) -> JSON:
    """A variable as the file has it; a sensitive value refers to a variable of the environment."""
    values = {
        "name": variable.name,
        "value": _write_value(variable, variables),
        "attributes": dict(variable.attributes),
        "is_json": variable.is_json,
        "is_sensitive": variable.is_sensitive,
        "created_at": variable.created_at,
        "updated_at": variable.updated_at,
    }
    return compact(VariablePart, values)


def _write_value(variable: Variable, variables: Variables) -> JSON | str:
    if variable.is_sensitive:
        # An id may begin with a digit, which the name of a variable must not.
        return variables.refer(variable.value, "variable", variable.integration_id, variable.name)
    return variable.value.reveal()
