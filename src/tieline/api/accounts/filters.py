"""`filter[...]` and `sort`, with which the vendor's clients ask the account side of the API for less."""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from tieline.core.documents import JSON
from tieline.core.errors import Invalid

# Each filter is asked of each document.
MOST: Final = 20
# How the lists describe what they take.
DESCRIBED: Final = {
    "parameters": [
        {
            "name": "filter",
            "in": "query",
            "description": "Only what has these values, by field: `filter[name]=acme`, or one of several by "
            "`filter[name][in]=acme,other`.",
            "style": "deepObject",
            "explode": True,
            "example": {},
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        {
            "name": "sort",
            "in": "query",
            "description": "The field to sort by; with a minus before it, the other way round.",
            "schema": {"type": "string"},
        },
    ]
}
_FILTER: Final = re.compile(r"filter\[(\w+)\](?:\[(\w+)\])?\Z")


@dataclass(frozen=True)
class Filter:
    """A field, and the values that it may have."""

    name: str
    values: Collection[str]


def filters_of(request: Request) -> Iterator[Filter]:
    """What the query asks for: `filter[name]=value`, also as `[eq]`, or as `[in]` with a comma list."""
    for key, value in request.query_params.multi_items():
        found = _FILTER.match(key)
        if found and found[2] in (None, "eq", "value"):
            yield Filter(found[1], {value})
        elif found and found[2] == "in":
            yield Filter(found[1], set(value.split(",")))


def select(request: Request, documents: Iterable[JSON]) -> list[JSON]:
    """Those of the documents that the query asks for, in its order. What no document has is not asked of any.

    Raises `Invalid` for more than `MOST` filters.
    """
    asked = list(filters_of(request))
    if len(asked) > MOST:
        raise Invalid({"filter": f"Give at most {MOST} filters at once."})
    found = [each for each in documents if all(_has(each, wanted) for wanted in asked)]
    name = request.query_params.get("sort", "")
    key = name.removeprefix("-")
    if found and isinstance(found[0].get(key), str):
        found.sort(key=lambda each: str(each[key]), reverse=name.startswith("-"))
    return found


def _has(document: JSON, wanted: Filter) -> bool:
    value = document.get(wanted.name)
    values = value if isinstance(value, list) else [value]
    return wanted.name not in document or any(each in wanted.values for each in values)
