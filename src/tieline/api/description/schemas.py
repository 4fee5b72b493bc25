"""The integration types in the OpenAPI document: a union each for what is read, created and changed."""

from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel

from tieline.api.description.documented import REFERENCE, drop_absent
from tieline.core.documents import JSON
from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import render_config, validate_create
from tieline.integrations.models import model_to_create, model_to_patch, model_to_read

_LINKS: Final[JSON] = {
    "type": "object",
    "description": "`self`, and as `#operation` what can be done with it.",
    "additionalProperties": {"$ref": REFERENCE.format(model="Link")},
    "readOnly": True,
}
_SELF: Final = {
    "self": {"href": "https://tieline.example/api/projects/azertyuiop234/integrations/c4opi5tjv3yfd"},
}
_COMMON: Final[JSON] = {
    "id": "c4opi5tjv3yfd",
    "created_at": "2026-11-23T10:00:00.000000+00:00",
    "updated_at": None,
    "role": "",
}
_SENTENCES: Final = {
    "Integration": "An integration; `type` says which fields it has.",
    "IntegrationCreate": "What it takes to create an integration; `type` says which fields there are.",
    "IntegrationPatch": "What is to change of an integration; the fields are those of its type, none is required.",
}


def add_integrations(schemas: JSON, types: Iterable[IntegrationType]) -> None:
    """Add the schemas of all types, and the unions `Integration`, `IntegrationCreate` and `IntegrationPatch`."""
    kinds = list(types)
    schemas["Integration"] = _union("Integration", {each.key: _add_read(schemas, each) for each in kinds})
    create = {each.key: _add(schemas, model_to_create(each), _body(each)) for each in kinds}
    schemas["IntegrationCreate"] = _union("IntegrationCreate", create)
    patch = {each.key: _add(schemas, model_to_patch(each), _body(each)) for each in kinds}
    schemas["IntegrationPatch"] = _union("IntegrationPatch", patch)


def _body(kind: IntegrationType) -> JSON:
    return {"type": kind.key, **{name: each for name, each in kind.example.items() if name != "type"}}


def _add_read(schemas: JSON, kind: IntegrationType) -> str:
    """Links are the API's to add, so the declarations know nothing of them."""
    model = model_to_read(kind)
    accepted = validate_create(kind.fields, kind.example)
    own = render_config(kind.fields, accepted.config, accepted.kept)
    read = {**_COMMON, "type": kind.key, **own, "_links": _SELF}
    name = _add(schemas, model, {each: read[each] for each in (*model.model_fields, "_links") if each in read})
    schemas[name]["properties"]["_links"] = _LINKS
    schemas[name]["required"].append("_links")
    return name


def _add(schemas: JSON, model: type[BaseModel], example: JSON) -> str:
    schema = drop_absent(model.model_json_schema(ref_template=REFERENCE))
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = {**schema, "examples": [example]}
    return model.__name__


def _union(name: str, models: dict[str, str]) -> JSON:
    """Told apart by `type`. A change need not name it, and then is any that it fits."""
    references = {key: REFERENCE.format(model=model) for key, model in models.items()}
    union: dict[str, Any] = {
        "description": _SENTENCES[name],
        "anyOf" if name == "IntegrationPatch" else "oneOf": [{"$ref": each} for each in references.values()],
        "discriminator": {"propertyName": "type", "mapping": references},
    }
    return union
