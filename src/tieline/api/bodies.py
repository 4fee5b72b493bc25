"""Request bodies: capped, strict about JSON, and precise about what is wrong with them."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, NoReturn, TypeVar

from fastapi import Depends
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from tieline.api.plain import read_capped
from tieline.core.documents import JSON
from tieline.core.errors import Invalid
from tieline.integrations.fields import describe_error

LIMIT: Final = 1024 * 1024
DEEPEST: Final = 32
# What is wrong is said of each field, so there must not be endlessly many.
MOST_NAMES: Final = 1000
MOST_ITEMS: Final = 10_000
LONGEST_NAME: Final = 255
# Beyond this, numbers do not survive JSON implementations that read them as doubles.
LARGEST: Final = 2**53 - 1
_WHOLE: Final = "body"
M = TypeVar("M", bound=BaseModel)


async def read_bytes(request: Request, limit: int = LIMIT) -> bytes:
    """The whole body. Raises `TooLarge` when it is longer than `limit` bytes."""
    return await read_capped(request.scope, request.receive, limit)


async def read_object(request: Request) -> JSON:
    """The body as a JSON object; an empty one counts as `{}`. Raises `Invalid`, `TooLarge`."""
    return parse_object(await read_bytes(request))


async def read_list(request: Request) -> list[Any]:
    """The body as a JSON array. Raises `Invalid`, `TooLarge`."""
    value = parse_json(await read_bytes(request))
    if not isinstance(value, list):
        raise Invalid({_WHOLE: f"The body must be a JSON array, not {_kind(value)}."})
    return value


Body = Annotated[JSON, Depends(read_object)]
ListBody = Annotated[list[Any], Depends(read_list)]


def parse_object(body: bytes) -> JSON:
    """A JSON object. Raises `Invalid` for anything else; nothing but white space counts as `{}`."""
    if not body.strip():
        return {}
    value = parse_json(body)
    if not isinstance(value, dict):
        raise Invalid({_WHOLE: f"The body must be a JSON object, not {_kind(value)}."})
    return value


def parse_json(body: bytes) -> Any:
    """JSON without the things that systems disagree about. Raises `Invalid`.

    Refused: double names, NaN and infinities, numbers beyond 2^53, nesting beyond `DEEPEST`, more members than
    anything has here, and strings that PostgreSQL cannot keep (NUL, lone surrogates).
    """
    try:
        text = body.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise Invalid({_WHOLE: f"The body is not UTF-8 (byte {error.start})."}) from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Invalid({_WHOLE: f"The body is not JSON: {error.msg} at {place}."}) from error
    except (RecursionError, ValueError) as error:
        # ValueError without more: a number of more digits than Python reads.
        raise Invalid({_WHOLE: "The body is nested too deeply, or has a number that is too long."}) from error
    _check(value, ())
    return value


def _unique(pairs: list[tuple[str, Any]]) -> JSON:
    if len(pairs) > MOST_NAMES:
        raise Invalid({_WHOLE: f"The body has an object of more than {MOST_NAMES:,} names."})
    names = dict(pairs)
    if len(names) < len(pairs):
        seen: set[str] = set()
        double = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise Invalid({_printable(double): "This field is there twice; give it once."})
    return names


def _no_constant(name: str) -> NoReturn:
    raise Invalid({_WHOLE: f"The body is not JSON: {name} is not a JSON number."})


def _check(value: Any, path: tuple[str, ...]) -> None:
    if len(path) > DEEPEST:
        raise Invalid({_dotted(path): f"This is nested more than {DEEPEST} levels deep."})
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, dict):
        for name, each in value.items():
            _check_name(name, (*path, name))
            _check(each, (*path, name))
    elif isinstance(value, list):
        _check_list(value, path)
    elif isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= LARGEST):
        raise Invalid({_dotted(path): "This number is too large."})


def _check_list(items: list[Any], path: tuple[str, ...]) -> None:
    if len(items) > MOST_ITEMS:
        raise Invalid({_dotted(path): f"This has more than {MOST_ITEMS:,} items."})
    for index, each in enumerate(items):
        _check(each, (*path, str(index)))


def _check_name(name: str, path: tuple[str, ...]) -> None:
    _check_text(name, path)
    if len(name) > LONGEST_NAME:
        raise Invalid({_dotted(path): f"This name is longer than {LONGEST_NAME} characters."})


def _check_text(text: str, path: tuple[str, ...]) -> None:
    if "\0" in text:
        raise Invalid({_dotted(path): "This contains a NUL character, which cannot be kept."})
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise Invalid({_dotted(path): "This contains half a surrogate pair, which is not text."}) from error


def _dotted(path: tuple[str, ...]) -> str:
    shown = path if len(path) <= DEEPEST else (*path[:3], "...")
    return _printable(".".join(shown)) or _WHOLE


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")[:200]


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def parse_each(model: type[M], items: Sequence[Any]) -> list[M]:
    """Each item as `model` has it. Raises `Invalid` with a sentence per field, named after the number of its item."""
    given: list[M] = []
    problems: dict[str, str] = {}
    for number, item in enumerate(items):
        try:
            given.append(parse(model, _as_object(item)))
        except Invalid as error:
            problems |= {".".join(filter(None, (str(number), name))): each for name, each in error.detail.items()}
    if problems:
        raise Invalid(problems)
    return given


def _as_object(item: Any) -> JSON:
    if not isinstance(item, dict):
        raise Invalid({"": f"Must be an object, not {_kind(item)}."})
    return item


def parse(model: type[M], body: Mapping[str, Any]) -> M:
    """The body as `model` has it. Raises `Invalid` with a sentence per field."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise Invalid(dict(describe_error(model, each, body) for each in error.errors())) from None
