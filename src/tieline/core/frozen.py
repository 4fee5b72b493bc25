"""Objects that are made for every delivery."""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """A dataclass that the type checker alone holds to be frozen.

    What `@dataclass(frozen=True)` does at run time makes an object take several times as long, which is felt where a
    thousand deliveries a second make ten of them each. Use that one everywhere else.
    """
    return dataclass(cls)
