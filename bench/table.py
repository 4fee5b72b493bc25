"""One row per promise: what was measured, against what, and whether it holds."""

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """`holds` is None for figures that promise nothing."""

    what: str
    measured: str
    baseline: str
    figure: str
    goal: str
    holds: bool | None


def show(rows: list[Row]) -> None:
    """Print the table; wide enough to be copied into `docs/performance.md`."""
    table = Table(title="Tieline, measured in one run on this machine")
    for heading in ("what", "measured", "baseline", "figure", "goal", ""):
        table.add_column(heading)
    for row in rows:
        mark = "" if row.holds is None else ("holds" if row.holds else "[red]missed[/red]")
        table.add_row(row.what, row.measured, row.baseline, row.figure, row.goal, mark)
    Console(width=150).print(table)
