"""What is wrong with a seed: everything that is, each by its place. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tieline.core.errors import Invalid
from tieline.integrations.fields import describe_error

WRONG: Final = "The seed is wrong; nothing of it is loaded."
MOST: Final = 50
_ITEM: Final = re.compile(r"\.(\d+)(?=\.|\Z)")
_INDEX: Final = r"[\1]"
M = TypeVar("M", bound=BaseModel)


class Problems:
    """Collects sentences by place, such as `projects[0].integrations[2].url`."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def add(self, place: str, sentence: str) -> None:
        self._found.setdefault(place, sentence)

    def add_all(self, place: str, error: Invalid) -> None:
        """What is wrong with the fields of the thing at `place`."""
        for name, sentence in error.detail.items():
            self.add(f"{place}.{_ITEM.sub(_INDEX, name)}".strip("."), sentence)

    def parse(self, model: type[M], place: str, value: Any) -> M | None:
        """The value as `model` has it; None when it is not, which is noted."""
        if not isinstance(value, dict):
            self.add(place or "file", "This must be a mapping: one `name: value` a line.")
            return None
        try:
            return model.model_validate(value)
        except ValidationError as error:
            self.add_all(place, Invalid(dict(_describe(model, each, value) for each in error.errors())))
            return None

    def raise_any(self) -> None:
        """Raises `Invalid` when there is anything."""
        if not self._found:
            return
        shown = dict(list(self._found.items())[:MOST])
        if len(self._found) > MOST:
            shown["..."] = f"There are {len(self._found) - MOST} problems more."
        raise Invalid(shown, WRONG)


def _describe(model: type[BaseModel], error: ErrorDetails, value: Any) -> tuple[str, str]:
    """The field and the sentence; what is wrong with the whole has no field."""
    if not error["loc"]:
        return "", f"{error['ctx']['error']}."
    return describe_error(model, error, value)


def enumerated(place: str, values: list[Any]) -> Iterator[tuple[str, Any]]:
    """The items of a list, each with its place."""
    return ((f"{place}[{index}]", each) for index, each in enumerate(values))


class Names:
    """Names that must differ, with the place where each was first seen."""

    def __init__(self, problems: Problems, what: str) -> None:
        self._problems = problems
        self._what = what
        self._places: dict[str, str] = {}

    def add(self, place: str, name: str) -> None:
        first = self._places.setdefault(name, place)
        if first != place:
            self._problems.add(place, f"{first} has the {self._what} {name!r} already.")

    @property
    def places(self) -> Mapping[str, str]:
        return self._places

    def __contains__(self, name: object) -> bool:
        return name in self._places
