"""Questions to the person at the terminal."""

import sys
from collections.abc import Callable
from typing import Any

import typer

from tieline.cli.failure import Failure, Status


def is_attended() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, *, agreed: bool) -> None:
    """Ask before what cannot be taken back, unless the person agreed beforehand. Ends the command on a no."""
    if agreed:
        return
    if not is_attended():
        raise Failure(Status.USAGE, "There is no terminal to ask at whether this is meant; add --yes.")
    if not _ask(lambda: typer.confirm(question, err=True)):
        raise Failure(Status.FAILED, "Nothing was changed.")


def ask_secret(name: str) -> str:
    """A value that is not shown while it is typed."""
    return str(_ask(lambda: typer.prompt(f"{name} (not shown)", hide_input=True, err=True)))


def _ask(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except typer.Abort:
        raise typer.Exit(Status.INTERRUPTED) from None
