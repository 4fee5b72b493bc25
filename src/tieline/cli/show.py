"""What commands print: documents and tables on standard output, remarks on standard error."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import typer

from tieline.cli.client import Answer
from tieline.cli.text import escaped, flat, printable

if TYPE_CHECKING:
    from rich.text import Text

Fit = Literal["keep", "fold", "cut"]
Row = Sequence[str]


@dataclass(frozen=True)
class Column:
    """A heading, and what becomes of values too long for a narrow terminal: kept, folded into lines, or cut."""

    heading: str
    fit: Fit = "fold"


def warnings(answer: Answer) -> None:
    """What a change was accepted with, on standard error."""
    for name, sentence in answer.warnings.items():
        remark(f"Warning: {name}: {sentence}")


def document(answer: Answer) -> None:
    """The API's own answer, and a line end."""
    raw(answer.body + b"\n")


def raw(json_text: bytes) -> None:
    """JSON byte for byte; at a terminal with escapes for what would steer that."""
    typer.echo(escaped(json_text.decode(errors="replace")) if sys.stdout.isatty() else json_text, nl=False)


def listing(answer: Answer, columns: Sequence[Column], row: Callable[[Any], Row], *, empty: str, as_json: bool) -> None:
    """A list, as a table; `empty` is said when there is nothing in it."""
    if as_json:
        document(answer)
    elif answer.items:
        table(columns, [row(each) for each in answer.items])
    else:
        remark(empty)


def entity(answer: Answer, *, as_json: bool, but: Iterable[str] = (), **more: str) -> None:
    """One thing, a property a line, without those in `but` and with `more`."""
    if as_json:
        document(answer)
        return
    shown = {name: value for name, value in answer.entity.items() if name not in but}
    table(
        (Column("PROPERTY"), Column("VALUE")), [*flat(shown), *((name, value) for name, value in more.items() if value)]
    )


def done(answer: Answer, sentence: str, *, as_json: bool) -> None:
    """The end of something that leaves nothing to show."""
    if as_json:
        document(answer)
    else:
        remark(sentence)


def table(columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """Rows as wide as the terminal, or as 80 columns where there is none."""
    from rich.console import Console  # noqa: PLC0415 - takes longer to load than a help text to be read
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=any(each.heading for each in columns))
    for column in columns:
        heading = Text(column.heading, style="bold")
        shown.add_column(heading, overflow="fold", no_wrap=column.fit == "keep")
    for row in rows:
        shown.add_row(*(_cell(value, column.fit) for value, column in zip(row, columns, strict=True)))
    console = Console(highlight=False)
    with console.capture() as captured:
        console.print(shown)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


def _cell(value: str, fit: Fit) -> "Text":
    from rich.text import Text  # noqa: PLC0415

    shown = printable(value)
    return Text(shown, no_wrap=True, overflow="ellipsis") if fit == "cut" else Text(shown)


def remark(text: str) -> None:
    """A line on standard error."""
    typer.echo(printable(text), err=True)
