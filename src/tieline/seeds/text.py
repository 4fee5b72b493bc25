"""The YAML that seeds are written in: what JSON can say, and nothing more. Pure.

Of plain words only `true`, `false`, `null`, `~` and JSON's numbers are not strings, so `yes`, `2026-01-01` and `1_000`
need no quotes. Aliases, anchors, tags and merge keys are refused: a file can construct no objects, and it takes no more
memory than it has bytes.
"""

import re
from typing import Any, Final

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, ScalarNode

from tieline.core.errors import Invalid, TooLarge

LIMIT: Final = 16 * 1024 * 1024
DEEPEST: Final = 40
LARGEST: Final = 2**63 - 1
_FILE: Final = "file"
_WIDTH: Final = 120
_STRING: Final = "tag:yaml.org,2002:str"
_NUMBER: Final = r"-?(?:0|[1-9][0-9]*)"
_RESOLVERS: Final = (
    ("tag:yaml.org,2002:null", re.compile(r"(?:~|null|Null|NULL|)\Z"), "~nN\0"),
    ("tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), "tTfF"),
    ("tag:yaml.org,2002:int", re.compile(_NUMBER + r"\Z"), "-0123456789"),
    (
        "tag:yaml.org,2002:float",
        re.compile(_NUMBER + r"(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)\Z"),
        "-0123456789",
    ),
)


class _Loader(yaml.CSafeLoader):
    """Builds values from nodes; which words are numbers is decided by `_RESOLVERS`."""

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        _check_names(node)
        return super().construct_mapping(node, deep)


def _check_names(node: MappingNode) -> None:
    seen: set[str] = set()
    for name, _ in node.value:
        if not isinstance(name, ScalarNode) or name.tag != _STRING:
            raise ConstructorError(None, None, "names must be strings; put this one in quotes", name.start_mark)
        if name.value in seen:
            raise ConstructorError(None, None, f"{name.value!r} is there twice; give it once", name.start_mark)
        seen.add(name.value)


class _Dumper(yaml.CSafeDumper):
    """Writes what `_Loader` reads, so that other readers of YAML, older ones too, take it for the same."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _add_resolvers() -> None:
    _Loader.yaml_implicit_resolvers = {}
    for tag, pattern, first in _RESOLVERS:
        starts = ["" if each == "\0" else each for each in first]
        _Loader.add_implicit_resolver(tag, pattern, starts)
        # Beside those of YAML 1.1 that are inherited: whatever is no string to somebody is quoted.
        _Dumper.add_implicit_resolver(tag, pattern, starts)


def _represent_text(dumper: _Dumper, text: str) -> ScalarNode:
    """Lines as lines, where that is possible."""
    return dumper.represent_scalar(_STRING, text, style="|" if "\n" in text else None)


_add_resolvers()
_Dumper.add_representer(str, _represent_text)


def write_yaml(document: Any) -> bytes:
    """A document of dicts, lists, strings, numbers, booleans and nulls."""
    written: bytes = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH, encoding="utf-8"
    )
    return written


def read_yaml(data: bytes) -> Any:
    """The document of a file. Raises `Invalid` with the place of what cannot be read, and `TooLarge`."""
    if len(data) > LIMIT:
        raise TooLarge(f"The file is larger than {LIMIT:,} bytes, the most that is read.")
    try:
        text = data.decode("utf-8-sig")
        _check_events(text)
        document = yaml.load(text, _Loader)  # noqa: S506 - a subclass of the safe one
    except UnicodeDecodeError as error:
        raise _invalid(f"The file is not UTF-8 (byte {error.start}).") from None
    except yaml.MarkedYAMLError as error:
        raise _invalid(f"{_place(error.problem_mark)}{error.problem or 'this is not YAML'}.") from None
    except yaml.YAMLError as error:
        raise _invalid(f"The file is not YAML: {str(error).partition(chr(10))[0]}.") from None
    except ValueError:
        raise _invalid("The file has a number of more digits than can be read; put it in quotes.") from None
    _check(document, "")
    return document


def _check_events(text: str) -> None:
    """Refuse what must not even be built. Not recursive, as building is."""
    depth = documents = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _refused(event, "anchors and aliases (&name, *name) are not read here; write the value out")
        if getattr(event, "tag", None) is not None:
            raise _refused(event, "tags (!name) are not read here")
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            raise _refused(event, "a second document begins; one file is one document")
        if depth > DEEPEST:
            raise _refused(event, f"this is nested more than {DEEPEST} levels deep")


def _refused(event: yaml.Event, problem: str) -> Invalid:
    return _invalid(f"{_place(event.start_mark)}{problem}.")


def _place(mark: Any) -> str:
    return "" if mark is None else f"Line {mark.line + 1}, column {mark.column + 1}: "


def _invalid(sentence: str) -> Invalid:
    return Invalid({_FILE: sentence}, "The seed cannot be read.")


def _check(value: Any, path: str) -> None:
    """Refuse what the database cannot keep."""
    if isinstance(value, str) and "\0" in value:
        raise Invalid({path or _FILE: "This contains a NUL character, which cannot be kept."}, "The seed is wrong.")
    if isinstance(value, int | float) and not abs(value) <= LARGEST:
        raise Invalid({path or _FILE: "This number is too large; put it in quotes."}, "The seed is wrong.")
    if isinstance(value, dict):
        for name, each in value.items():
            _check(name, path)
            _check(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            _check(each, f"{path}[{index}]")
