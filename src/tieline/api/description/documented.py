"""How a route says what it takes and gives.

Schemas are built when the OpenAPI document is first asked for: a server that builds them while it starts is not
ready for half a second.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, TypeAdapter

from tieline.api.outputs import Accepted
from tieline.core.documents import JSON

REFERENCE: Final = "#/components/schemas/{model}"
MEDIA_TYPE: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
_ATTRIBUTE: Final = "tieline_documentation"
F = TypeVar("F", bound=Callable[..., Any])
BasisKind = Literal["documented", "observed", "inferred", "added"]


@dataclass(frozen=True)
class Documentation:
    """What a route takes and gives.

    `answer` is a model or a list of one, `accepted` the entity of an answer to a change; `body` what is sent, as a
    list (`many`) or as a form too (`form`). `errors` are statuses beyond those that every route may answer with, and
    `others` the models of bodies that look otherwise, by status. `basis` is what the operation rests on: the vendor's
    document, what was observed of the vendor's server or clients, a choice where both say nothing, or Tieline's own
    addition; the `note` says more.
    """

    answer: Any = None
    accepted: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    many: bool = False
    required: bool = True
    form: bool = False
    errors: tuple[int, ...] = ()
    others: Mapping[int, type[BaseModel]] = field(default_factory=dict)
    basis: BasisKind = "documented"
    note: str = ""

    def answer_schema(self, schemas: JSON) -> JSON | None:
        """The schema of the answer; what it refers to is added to `schemas`."""
        shown = Accepted[self.accepted] if self.accepted is not None else self.answer  # type: ignore[name-defined]
        return None if shown is None else add_schema(schemas, shown)

    def request_body(self, schemas: JSON) -> JSON | None:
        """The body as an operation describes it; what it refers to is added to `schemas`."""
        if self.body is None:
            return None
        one = add_schema(schemas, self.body, mode="validation")
        shown = {"type": "array", "items": one} if self.many else one
        types = [MEDIA_TYPE, *([FORM] if self.form else [])]
        return {"required": self.required, "content": {each: {"schema": shown} for each in types}}


def documented(  # noqa: PLR0913 - all by name, and none is required
    *,
    answer: Any = None,
    accepted: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
    many: bool = False,
    required: bool = True,
    form: bool = False,
    errors: tuple[int, ...] = (),
    others: Mapping[int, type[BaseModel]] | None = None,
    basis: BasisKind = "documented",
    note: str = "",
) -> Callable[[F], F]:
    """Say of a route's function what `Documentation` has; it stands below the router's own decorator."""

    def mark(function: F) -> F:
        said = Documentation(answer, accepted, body, many, required, form, errors, others or {}, basis, note)
        setattr(function, _ATTRIBUTE, said)
        return function

    return mark


def documentation_of(function: Callable[..., Any]) -> Documentation:
    """What a route's function says of itself."""
    return getattr(function, _ATTRIBUTE, Documentation())


def drop_absent(schema: JSON) -> JSON:
    """The schema without null as the default of fields that are never null: one that is not sent has no value."""
    for described in schema.get("properties", {}).values():
        if described.get("default", "") is None and {"type": "null"} not in described.get("anyOf", ()):
            del described["default"]
    return schema


def add_schema(schemas: JSON, shown: Any, *, mode: Literal["validation", "serialization"] = "serialization") -> JSON:
    """The schema of a model, or of a list of one, by reference; the definitions are added to `schemas`."""
    if get_origin(shown) is list:
        return {"type": "array", "items": add_schema(schemas, get_args(shown)[0], mode=mode)}
    name = shown.__name__ if isinstance(shown, type) and issubclass(shown, BaseModel) else None
    if name not in schemas:
        schema: JSON = drop_absent(TypeAdapter(shown).json_schema(ref_template=REFERENCE, mode=mode))
        schemas.update(schema.pop("$defs", {}))
        if name is None:
            return schema
        schemas[name] = schema
    return {"$ref": REFERENCE.format(model=name)}
