"""Options of a type that has one of everything, read as the program reads them."""

from dataclasses import replace
from typing import Any

import pytest
import typer

from tests.cli.test_fields import KNOWN
from tieline.cli.sources import Source
from tieline.cli.typed import TypeOptions

OPTIONS = TypeOptions("sample_type", list(KNOWN.values()))


def context(*arguments: str) -> typer.Context:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(lambda: None)
    made: Any = typer.main.get_command(app).make_context("tieline", [])
    made.args = list(arguments)
    return made  # type: ignore[no-any-return]


def test_every_kind_of_option_is_read() -> None:
    line = (
        "--url https://x --token env:TOKEN --port 80 --ratio 0.5 --colour red --loud --names a --names b "
        "--states open --headers A=b --headers C=d --rules [1] --login.user ada --login.password @file"
    )
    assert OPTIONS.read(context(*line.split()), "add") == {
        ("url",): "https://x",
        ("token",): Source("env", "TOKEN"),
        ("port",): 80,
        ("ratio",): 0.5,
        ("colour",): "red",
        ("loud",): True,
        ("names",): ["a", "b"],
        ("states",): ["open"],
        ("headers",): {"A": "b", "C": "d"},
        ("rules",): [1],
        ("login", "user"): "ada",
        ("login", "password"): Source("file", "file"),
    }
    assert OPTIONS.read(context("--no-loud"), "add") == {("loud",): False}
    assert OPTIONS.read(context(), "add") == {}


def test_a_field_that_is_called_like_a_general_option_gets_the_types_name() -> None:
    project = replace(KNOWN["url"], path=("project",))
    assert OPTIONS.name_of(project) == "--sample-type-project"
    assert OPTIONS.name_of(KNOWN["login.user"]) == "--login.user"
    assert TypeOptions("sample_type", [project]).read(context("--sample-type-project", "p"), "add") == {
        ("project",): "p"
    }


def test_what_is_there_can_be_emptied_by_name() -> None:
    changing = replace(OPTIONS, changing=True)
    assert changing.read(context("--unset", "login", "--unset", "ratio"), "update") == {
        ("login",): None,
        ("ratio",): None,
    }
    assert changing.read(context("--unset", "names", "--unset", "headers"), "update") == {
        ("names",): [],
        ("headers",): {},
    }
    with pytest.raises(typer.BadParameter, match="there is no field 'logn'"):
        changing.read(context("--unset", "logn"), "update")
    with pytest.raises(typer.BadParameter, match="login is given a value as well"):
        changing.read(context("--unset", "login", "--login.user", "ada"), "update")


def test_a_new_one_is_told_what_it_needs_and_what_it_gets() -> None:
    shown = OPTIONS.describe(context(), "add", "One of everything.")
    assert shown.index("--token SOURCE") < shown.index("--port INTEGER")
    assert "[default: 443]" in shown
    assert shown.count("again and again") == sum(each.kind in ("list", "map") for each in KNOWN.values())
    assert "[default: no]" in shown
    starred = TypeOptions("sample_type", [replace(KNOWN["names"], default=["*", "push"])])
    assert "[default: *, push]" in starred.describe(context(), "add", "One.")
    changing = replace(OPTIONS, changing=True).describe(context(), "update", "One of everything.")
    assert "[default" not in changing
    assert "[required]" not in changing
    assert "--unset FIELD" in changing
