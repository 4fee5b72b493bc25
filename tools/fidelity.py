"""The tables of docs/wire.md: what `GET /fidelity` serves, for people to read."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import groupby

from tieline.api.application import bare_app
from tieline.api.description.fidelity import assess
from tieline.api.description.openapi import describe
from tieline.core.documents import JSON
from tieline.integrations import ALL
from tools.tables import table

HEADINGS = ("What", "Basis", "")


@cache
def _assessment() -> JSON:
    return assess(describe(bare_app(), ALL), ALL)


def _summary() -> str:
    meanings, summary = _assessment()["meanings"], _assessment()["summary"]
    rows = ((subject, *(str(counts[basis]) for basis in meanings)) for subject, counts in summary.items())
    return table(("", *meanings), rows)


def _meanings() -> str:
    return table(("Word", "Meaning"), ((f"**{word}**", meaning) for word, meaning in _assessment()["meanings"].items()))


def _types() -> str:
    rows = (
        (f"`{each['type']}`", each["basis"], "acts" if each["acts"] else each["note"])
        for each in _assessment()["types"]
    )
    return table(("Type", "Basis", "Today"), rows)


def _fields_of_types() -> str:
    """Only what is not simply documented: a field, or its default."""
    types: dict[tuple[str, str, str], list[str]] = {}
    for kind in _assessment()["types"]:
        for row in _exceptions(kind):
            types.setdefault(row, []).append(f"`{kind['type']}`")
    rows = ((name, ", ".join(kinds), basis, note) for (name, basis, note), kinds in types.items())
    return table(("Field", "of", "Basis", ""), rows)


def _exceptions(kind: JSON) -> Iterator[tuple[str, str, str]]:
    for each in kind["fields"]:
        name, default = f"`{each['field']}`", each["default"]
        if each["basis"] != "documented":
            yield name, each["basis"], each["note"]
        if default is not None and default["basis"] != "documented":
            yield f"default of {name}", default["basis"], default["note"]


def _fields() -> str:
    """Only what is not simply documented, or always the same; what is alike of one document is one row."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for each in _assessment()["fields"]:
        if each["basis"] != "documented" or each["constant"]:
            alike.setdefault((each["document"], each["basis"], each["note"]), []).append(f"`{each['field']}`")
    rows = ((f"`{name}`", ", ".join(fields), basis, note) for (name, basis, note), fields in alike.items())
    return table(("Document", "Fields", "Basis", ""), rows)


def _endpoints() -> str:
    rows = ((f"{each['method']} `{each['path']}`", each["basis"], each["note"]) for each in _assessment()["endpoints"])
    return table(HEADINGS, rows)


def _missing() -> str:
    return table(("What", ""), ((each["name"], each["note"]) for each in _assessment()["missing"]))


def _behaviours() -> str:
    by_subject = groupby(_assessment()["behaviours"], key=lambda each: each["subject"])
    return "".join(
        f"\n### {subject}\n\n{table(HEADINGS, ((each['name'], each['basis'], each['note']) for each in rules))}"
        for subject, rules in by_subject
    )


PARTS: Mapping[str, Callable[[], str]] = {
    "fidelity-meanings": _meanings,
    "fidelity-summary": _summary,
    "fidelity-types": _types,
    "fidelity-missing": _missing,
    "fidelity-fields-of-types": _fields_of_types,
    "fidelity-fields": _fields,
    "fidelity-endpoints": _endpoints,
    "fidelity-behaviours": _behaviours,
}
