"""How faithful this server is to the vendor's: every type, field, operation and rule with what it rests on."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Final, Literal

from tieline.api.description.behaviours import BEHAVIOURS, MISSING
from tieline.api.outputs import Output
from tieline.core.documents import JSON
from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import Fields, basis_of, basis_of_default, is_read_only, is_write_only, nested

MEANINGS: Final[Mapping[str, str]] = {
    "documented": "The vendor says so, in its OpenAPI documents or its guides.",
    "observed": "Seen on the vendor's clients or server, in no document.",
    "inferred": "Tieline's choice where nothing is known of the vendor.",
    "added": "Tieline's own, beyond the vendor.",
}
Basis = tuple[str, str]
_DOCUMENTED: Final = ("documented", "")
BasisName = Literal["documented", "observed", "inferred", "added"]


class DefaultFidelity(Output):
    basis: BasisName
    """What the default rests on."""

    note: str
    """More about it."""


class TypeFieldFidelity(Output):
    field: str
    """Its dotted name."""

    basis: BasisName
    """What it rests on."""

    note: str
    """More about it; empty where the vendor's document says all."""

    read: bool
    """Whether it is in what is read."""

    written: bool
    """Whether it can be sent."""

    default: DefaultFidelity | None
    """What its default rests on; null where nothing is to be said."""


class TypeFidelity(Output):
    type: str
    """The type."""

    basis: BasisName
    """What it rests on."""

    acts: bool
    """Whether integrations of the type do anything, or are only kept and served."""

    note: str
    """What does not happen yet; empty for types that act."""

    fields: list[TypeFieldFidelity]
    """Its own fields."""


class NotYet(Output):
    type: str
    """The type."""

    note: str
    """What does not happen yet."""


class Missing(Output):
    name: str
    """What it is."""

    note: str
    """Why, or what there is instead."""


class FieldFidelity(Output):
    document: str
    """The schema, as the OpenAPI document names it."""

    field: str
    """The field."""

    basis: BasisName
    """What it rests on."""

    note: str
    """More about it."""

    constant: bool
    """Whether it has one value, whatever happens."""


class EndpointFidelity(Output):
    method: str
    """The method."""

    path: str
    """The path."""

    basis: BasisName
    """What it rests on."""

    note: str
    """More about it."""


class BehaviourFidelity(Output):
    subject: str
    """What it is about."""

    name: str
    """The rule."""

    basis: BasisName
    """What it rests on."""

    note: str
    """What is done, and why."""


class FidelityDocument(Output):
    meanings: dict[BasisName, str]
    """What the four words mean."""

    summary: dict[str, dict[BasisName, int]]
    """How many of each, by subject."""

    not_yet: list[NotYet]
    """The types that do not act yet."""

    missing: list[Missing]
    """What the vendor has and Tieline has not."""

    types: list[TypeFidelity]
    """Every type of integration."""

    fields: list[FieldFidelity]
    """Every field of every other document."""

    endpoints: list[EndpointFidelity]
    """Every operation."""

    behaviours: list[BehaviourFidelity]
    """What is done beyond the documents."""


_CONSTANT_FIELD: Final = ("Always ", "Not offered")
_OAUTH: Final = ("observed", "By RFC 6749 and 7009, as the vendor's clients use them.")
_OLD: Final = ("observed", "Read by the vendor's older clients.")
_ERROR: Final = ("observed", "In the oldest of the vendor's documents, and read by its clients.")
_OWN: Final = ("added", "")
# Bodies that are not in the vendor's schemas, or not as they are there.
_DOCUMENTS: Final[Mapping[str, Basis]] = {
    "AccessToken": _OAUTH,
    "OAuthError": _OAUTH,
    "TokenRequest": _OAUTH,
    "RevocationRequest": _OAUTH,
    "Profile": _OLD,
    "ProjectStub": _OLD,
    "EnvironmentSettings": ("observed", "Asked for by the vendor's command line."),
    "Error": _ERROR,
    "ProjectCreate": ("inferred", "What the vendor's internal document wants is not known."),
    "Health": _OWN,
    "IntegrationSync": _OWN,
    "IntegrationPause": _OWN,
    "DeliveriesReplay": _OWN,
    "DeliveredActivity": _OWN,
    "DeliveryDocument": _OWN,
    "DeliveryInFull": _OWN,
    "DeliveryCounts": _OWN,
    "SentRequestDocument": _OWN,
    "AttemptDocument": _OWN,
    "SentBody": _OWN,
    "ReceiverDocument": _OWN,
    "ReceiverChanged": _OWN,
    "Replayed": _OWN,
    "UserCreate": _OWN,
}
# The same of single fields; everything that is named in neither table is in the vendor's schemas or guides.
_FIELDS: Final[Mapping[str, Basis]] = {
    "EnvironmentDocument.awaiting_approval": _OWN,
    "EnvironmentActivate.commit": _OWN,
    "User.is_operator": _OWN,
    "User.mfa_enabled": ("observed", "Sent by the vendor's server."),
    "User.phone_number_verified": ("observed", "Sent by the vendor's server."),
    "User.sso_enabled": ("observed", "Sent by the vendor's server."),
    "APITokenDocument.expires_at": _OWN,
    "APITokenCreated.expires_at": _OWN,
    "APITokenCreate.expires_at": _OWN,
    "Error.reference": _OWN,
    "Validated.warnings": _OWN,
    "Me.created_at": _OLD,
    "Me.updated_at": _OLD,
    "Me.email": _OLD,
    "Me.first_name": _OLD,
    "Me.last_name": _OLD,
    "Me.teams": _OLD,
}
# What carries something else, and what describes fidelity itself, is nothing to compare.
_CARRIERS: Final = ("Embedded", "Accepted", "Removed", "Link", "AccessLink", "NotYet", "Missing")


def assess(document: JSON, types: Iterable[IntegrationType]) -> JSON:
    """The whole table, of the OpenAPI document and the declared types."""
    kinds = [_assess_type(kind) for kind in types]
    endpoints = list(_endpoints(document))
    fields = list(_fields(document["components"]["schemas"]))
    behaviours = [asdict(each) for each in BEHAVIOURS]
    type_fields = [each for kind in kinds for each in kind["fields"]]
    return {
        "meanings": dict(MEANINGS),
        "summary": {
            "types": _count(kinds),
            "fields of types": _count(type_fields),
            "fields of other documents": _count(fields),
            "endpoints": _count(endpoints),
            "behaviours": _count(behaviours),
        },
        "not_yet": [{"type": each["type"], "note": each["note"]} for each in kinds if not each["acts"]],
        "missing": [{"name": name, "note": note} for name, note in MISSING],
        "types": kinds,
        "fields": fields,
        "endpoints": endpoints,
        "behaviours": behaviours,
    }


def _count(rows: Iterable[JSON]) -> JSON:
    found = Counter(each["basis"] for each in rows)
    return {basis: found[basis] for basis in MEANINGS}


def _assess_type(kind: IntegrationType) -> JSON:
    return {
        "type": kind.key,
        "basis": "documented",
        "acts": kind.acts,
        "note": kind.not_yet,
        "fields": list(_assess_fields(kind.fields)),
    }


def _assess_fields(fields: type[Fields], prefix: str = "") -> Iterator[JSON]:
    for name, field in fields.model_fields.items():
        basis, default = basis_of(field), basis_of_default(field)
        yield {
            "field": prefix + name,
            "basis": basis.kind,
            "note": "" if basis.kind == "documented" else basis.note,
            "read": not is_write_only(field),
            "written": not is_read_only(field),
            "default": None if default is None else {"basis": default.kind, "note": default.note},
        }
        if (inner := nested(field)) is not None:
            yield from _assess_fields(inner, f"{prefix}{name}.")


def _endpoints(document: JSON) -> Iterator[JSON]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield {
                "method": method.upper(),
                "path": path,
                "basis": operation["x-basis"],
                "note": operation["x-basis-note"],
            }


def _fields(schemas: JSON) -> Iterator[JSON]:
    """The fields of all documents but those of integrations, which are told with their types."""
    left_out = _of_integrations(schemas)
    for name, schema in schemas.items():
        if name in left_out or name.startswith(_CARRIERS) or name.endswith(("Fidelity", "FidelityDocument")):
            continue
        for field, described in schema.get("properties", {}).items():
            yield _assess_field(name, field, str(described.get("description", "")))


def _of_integrations(schemas: JSON) -> set[str]:
    """The schemas of the types, and those of their objects."""
    unions = [schemas[name] for name in ("Integration", "IntegrationCreate", "IntegrationPatch")]
    own = {each.rpartition("/")[2] for union in unions for each in union["discriminator"]["mapping"].values()}
    parts = {name for name in schemas for each in own if f"#/components/schemas/{name}'" in str(schemas[each])}
    return own | parts


def _assess_field(document: str, field: str, help_text: str) -> JSON:
    basis, note = _FIELDS.get(f"{document}.{field}") or _DOCUMENTS.get(document) or _DOCUMENTED
    constant = help_text.startswith(_CONSTANT_FIELD)
    told = note or (help_text if constant or basis != "documented" else "")
    return {"document": document, "field": field, "basis": basis, "note": told, "constant": constant}


def unknown_exceptions(schemas: JSON) -> list[str]:
    """What the tables above name and the document does not have."""
    there = {f"{name}.{field}" for name, schema in schemas.items() for field in schema.get("properties", {})}
    return sorted((_FIELDS.keys() - there) | (_DOCUMENTS.keys() - schemas.keys()))
