"""The generated parts of the docs. `python -m tools.docs` writes them; `--check` fails when they are not current.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`. Links between files are checked as well.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from tieline.integrations import ALL
from tieline.integrations.base import IntegrationType
from tieline.integrations.fields import Fields, default_of, is_read_only, is_write_only, nested
from tieline.net.ranges import RULES
from tieline.settings import PREFIX, Settings
from tools import fidelity, vectors
from tools.rights import CALLERS, rights_rows, without_rule
from tools.tables import table

ROOT: Final = Path(__file__).resolve().parents[1]
PART: Final = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
LINK: Final = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CODE: Final = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
NAMES: Final[Mapping[Any, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    datetime: "date and time",
    list: "list of strings",
    dict: "map of strings",
}


def settings_table() -> str:
    """Every setting of the operator's, those of the types last."""
    own = ((PREFIX + name.upper(), shown(field.default), field) for name, field in Settings.model_fields.items())
    rows = [(f"`{name}`", default, field.description or "") for name, default, field in own]
    rows += [(f"`{each.name}`", f"`{each.default}`", each.help) for kind in ALL for each in kind.settings]
    return table(("Setting", "Default", "Meaning"), rows)


def shown(default: Any) -> str:
    """A default as a person writes it; empty ones and secrets are described by their sentence."""
    text = (
        "" if hasattr(default, "get_secret_value") else f"{default:g}" if isinstance(default, float) else str(default)
    )
    return f"`{text}`" if text else "empty"


def types_pages() -> str:
    """Every type: a table of all, then each with its fields."""
    rows = [(f"[`{kind.key}`](#{anchor(kind)})", kind.summary, kind.not_yet or "Acts.") for kind in ALL]
    return table(("Type", "What it is for", "Today"), rows) + "".join(type_section(kind) for kind in ALL)


def type_section(kind: IntegrationType) -> str:
    today = f" {kind.not_yet} What is set is kept and served." if kind.not_yet else ""
    return f"\n## `{kind.key}`\n\n{kind.summary}{today}\n\n{fields_table(kind)}"


def anchor(kind: IntegrationType) -> str:
    """What a heading of the key is linked by."""
    return kind.key.replace(".", "")


def fields_table(kind: IntegrationType) -> str:
    """The fields of a type as clients send and read them."""
    return table(("Field", "Type", "Default", "What it does"), field_rows(kind.fields))


def field_rows(fields: type[Fields], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    for name, field in fields.model_fields.items():
        help_text = (field.description or "") + remark(field)
        yield f"`{prefix}{name}`", type_name(field), written_default(field), help_text
        if (inner := nested(field)) is not None:
            yield from field_rows(inner, f"{prefix}{name}.")


def remark(field: FieldInfo) -> str:
    return " Write-only." if is_write_only(field) else " Read-only." if is_read_only(field) else ""


def type_name(field: FieldInfo) -> str:
    """What the values of a field are called; where they are a few, all of them."""
    alternatives = [plain(each) for each in alternatives_of(field.annotation)]
    if all(isinstance(each, str) for each in alternatives):
        return ", ".join(f"`{each}`" for each in alternatives)
    null = " or null" if type(None) in alternatives else ""
    return next(name_of(each) for each in alternatives if each is not type(None)) + null


def name_of(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, Fields):
        return "object"
    if get_origin(kind) is dict and name_of(plain(get_args(kind)[1])) == "object":
        return "map of objects"
    return NAMES[get_origin(kind) or kind]


def alternatives_of(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, the values of a literal, or the one type that there is."""
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType, Literal) else (annotation,)


def plain(annotation: Any) -> Any:
    """Without what is annotated to a type."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def written_default(field: FieldInfo) -> str:
    return "required" if field.is_required() else f"`{json.dumps(default_of(field))}`"


def rights_table() -> str:
    """What each caller gets, by route."""
    return table(("Route", *CALLERS), rights_rows())


def egress_table() -> str:
    """Every range of addresses that is not called, with the document that says why."""
    rows = ((f"`{rule.network}`", rule.sentence, rule.source) for rule in RULES)
    return table(("Range", "An address in it is", "By"), rows)


def parts() -> Mapping[str, Callable[[], str]]:
    """What can be generated, by name."""
    fields = {f"fields-{kind.key}": lambda kind=kind: fields_table(kind) for kind in ALL}
    tables = {"settings": settings_table, "rights": rights_table, "types": types_pages, "egress": egress_table}
    return {**tables, **fields, **fidelity.PARTS}


def documents() -> list[Path]:
    """Every page of the project."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("bench/*.md")]
    return sorted(page for page in found if "node_modules" not in page.parts)


def fill(text: str) -> str:
    """A page with its generated parts as they are today."""
    return PART.sub(lambda part: part[1] + parts()[part[2]]() + part[3], text)


def broken_links(page: Path) -> Iterator[str]:
    for target in LINK.findall(CODE.sub("", page.read_text())):
        if "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists():
            yield f"{page.relative_to(ROOT)}: there is nothing at {target}"


def problems() -> Iterator[str]:
    """What is not true of the docs."""
    pages = documents()
    for page in pages:
        if fill(page.read_text()) != page.read_text():
            yield f"{page.relative_to(ROOT)}: a generated part is not current; run make format"
        yield from broken_links(page)
    if not vectors.FILE.exists() or vectors.FILE.read_text() != vectors.render():
        yield f"{vectors.FILE.relative_to(ROOT)}: not current; run make format"
    named = {name for page in pages for _, name, _ in PART.findall(page.read_text())}
    # The fields of a type are in the part of all types; a page of its own may have them too.
    wanted = {name for name in parts() if not name.startswith("fields-")}
    yield from without_rule()
    yield from (f"no page shows the generated part {name}" for name in sorted(wanted - named))


def main() -> None:
    if "--check" not in sys.argv:
        for page in documents():
            page.write_text(fill(page.read_text()))
        vectors.FILE.write_text(vectors.render())
    found = list(problems())
    print("\n".join(found) or "The docs are current.")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
