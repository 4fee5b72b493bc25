"""Options made from the fields of an integration type."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from tieline.cli.fields import Field, parse, parse_several
from tieline.cli.sources import EXPLANATION, parse_source
from tieline.cli.text import printable, readable

Values = dict[tuple[str, ...], Any]

_GENERAL: Final = frozenset({"server", "project", "json", "no-wait", "help", "unset"})
_GENERAL_HELP: Final = "Besides: --server URL, -p/--project ID, --json, --no-wait."
_UNSET: Final = "unset"
_AGAIN: Final = " Can be given again and again."
_SEVERAL: Final = ("list", "map")


@dataclass(frozen=True)
class TypeOptions:
    """The options of one type: for a new integration, or for `changing` one that is there."""

    type_key: str
    known: Sequence[Field]
    changing: bool = False

    def name_of(self, field: Field) -> str:
        """The option of a field; one that is called like a general option gets the type's name before it."""
        name = field.name.replace("_", "-")
        return f"--{self.type_key.replace('_', '-')}-{name}" if name in _GENERAL else f"--{name}"

    def read(self, ctx: typer.Context, name: str) -> Values:
        """The values of `ctx.args` by path; secrets as a `Source`. Usage errors end the command."""
        given: Values = {}
        command = self._command(name, given.update)
        with command.make_context(name, list(ctx.args), parent=ctx.parent) as inner:
            command.invoke(inner)
        return given

    def describe(self, ctx: typer.Context, name: str, summary: str) -> str:
        """The help text."""
        command = self._command(name, lambda _: None, summary)
        with command.make_context(name, [], parent=ctx.parent, resilient_parsing=True) as inner:
            return str(command.get_help(inner))

    def _command(self, name: str, take: Callable[[Values], None], summary: str = "") -> Any:
        ordered = sorted(self.known, key=lambda field: not _is_mandatory(field))
        fields = {f"field_{number}": field for number, field in enumerate(ordered)}

        def run(**values: Any) -> None:
            given = {
                fields[key].path: _read(fields[key], value) for key, value in values.items() if _is_given(key, value)
            }
            emptied: Values = {tuple(each.split(".")): self._emptied(each) for each in values.get(_UNSET) or ()}
            _refuse_both(given, emptied)
            take(given | emptied)

        parameters = [self._parameter(key, field) for key, field in fields.items()]
        own = [self._unset_parameter()] if self.changing else []
        run.__signature__ = inspect.Signature([*parameters, *own])  # type: ignore[attr-defined]
        secret_help = f"{EXPLANATION}\n\n" if any(each.secret for each in self.known) else ""
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name, help=printable(summary), epilog=secret_help + _GENERAL_HELP)(run)
        return typer.main.get_command(app)

    def _emptied(self, name: str) -> Any:
        """What an empty field holds; objects can only be null."""
        return next((each.emptied for each in self.known if each.name == name), None)

    def _parameter(self, key: str, field: Field) -> inspect.Parameter:
        option, several = self.name_of(field), field.kind in _SEVERAL and not field.secret
        kind: Any = bool if field.kind == "flag" else list[str] if several else str
        described = typer.Option(
            f"{option}/--no-{option[2:]}" if field.kind == "flag" else option,
            metavar=field.metavar,
            callback=_checker(field),
            help=printable(field.help) + _AGAIN * several + ("" if self.changing else _fate(field)),
        )
        return _optional(key, Annotated[kind | None, described])

    def _unset_parameter(self) -> inspect.Parameter:
        names = {".".join(each.path[:depth]) for each in self.known for depth in range(1, len(each.path) + 1)}

        def check(given: list[str] | None) -> list[str] | None:
            for each in given or ():
                if each not in names:
                    raise typer.BadParameter(f"there is no field {each!r}.")
            return given

        described = typer.Option("--unset", metavar="FIELD", callback=check, help="Empty a field, or set it to null.")
        return _optional(_UNSET, Annotated[list[str] | None, described])


def _optional(key: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _refuse_both(given: Values, emptied: Values) -> None:
    for path in emptied:
        if any(each[: len(path)] == path for each in given):
            raise typer.BadParameter(f"{'.'.join(path)} is given a value as well.", param_hint="--unset")


def _is_given(key: str, value: Any) -> bool:
    return key != _UNSET and value is not None


def _checker(field: Field) -> Callable[[Any], Any]:
    """Refuses what cannot be meant. What is written is passed on: of a list, typer would make a list again."""

    def check(value: Any) -> Any:
        try:
            if value is not None:
                _read(field, value)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        return value

    return check


def _read(field: Field, value: Any) -> Any:
    """The value of what is written."""
    if isinstance(value, bool):
        return value
    if field.secret:
        return parse_source(value)
    return parse_several(field, value) if isinstance(value, list) else parse(field, value)


def _is_mandatory(field: Field) -> bool:
    """Whether a new integration cannot be without it; objects can, and so can their parts."""
    return field.required and len(field.path) == 1


def _fate(field: Field) -> str:
    """What becomes of a field that is not given."""
    if _is_mandatory(field):
        return "  [required]"
    if field.default in (None, "", [], {}):
        return ""
    default = ("yes" if field.default else "no") if field.kind == "flag" else readable(field.default)
    return f"  [default: {default}]"
