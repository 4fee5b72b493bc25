"""At a real terminal: questions, widths, and text that would steer it."""

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.programs import TIELINE, CommandLine, clean_environment, wait_until

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """A command with a person in front of it."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int) -> None:
        self._process = process
        self._master = master
        self.screen = ""

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 20
        while text not in self.screen:
            assert time.monotonic() < deadline, f"waited for {text!r}, and saw {self.screen!r}"
            self._read()

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Read the rest; the exit status."""
        deadline = time.monotonic() + 20
        while self._read():
            assert time.monotonic() < deadline, f"still running: {self.screen!r}"
        return self._process.wait(20)

    def _read(self) -> bool:
        """Whether there may be more."""
        ready, _, _ = select.select([self._master], [], [], 0.1)
        if not ready:
            return self._process.poll() is None
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other side of the terminal is closed
            return False
        self.screen += data.decode()
        return bool(data)


@contextmanager
def terminal(tieline: CommandLine, *arguments: str, columns: int = 200, **settings: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [TIELINE, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=clean_environment(**{"TERM": "xterm-256color", **tieline.settings, "COLUMNS": str(columns), **settings}),
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_a_secret_that_is_needed_is_asked_for_and_not_shown(in_project: CommandLine) -> None:
    add = ("integration", "add", "bitbucket", "--repository", "acme/site", "--app-credentials.key", "sample-key")
    with terminal(in_project, *add) as asked:
        asked.wait_for("app_credentials.secret (not shown): ")
        asked.type("sample-secret\n")
        assert asked.end() == 0
    assert "sample-secret" not in asked.screen
    assert "Created environment main (production) from branch main" in asked.screen
    with terminal(in_project, "integration", "delete", "bitbucket") as asked:
        asked.wait_for("? [y/N]: ")
        asked.type("n\n")
        assert asked.end() == 1
    assert "Nothing was changed." in asked.screen
    assert in_project("integration", "delete", "bitbucket", "--yes").status == 0


def test_ctrl_c_at_a_question(in_project: CommandLine) -> None:
    with terminal(in_project, "integration", "add", "bitbucket", "--app-credentials.secret", "prompt") as asked:
        asked.wait_for("app_credentials.secret (not shown): ")
        asked.interrupt()
        assert asked.end() == 130
    assert "Traceback" not in asked.screen


def test_what_a_log_says_does_not_steer_the_terminal(connected: CommandLine) -> None:
    main_is_deployed = ("activity", "list", "--environment", "main", "--result", "success", "--json")
    wait_until(lambda: bool(connected(*main_is_deployed).document), "main to be deployed")
    activity = connected(*main_is_deployed).document[0]["id"]
    assert "\x1b]0;title\x07" in connected("activity", "log", activity).out
    with terminal(connected, "activity", "log", activity) as shown:
        assert shown.end() == 0
    assert "deploy [bold]ends[/bold]" in shown.screen
    assert "\x1b" not in shown.screen


TITLE = "A rather long title that says [red]what[/red] the project is for, and then some more of it \x1b[2J🎉"
SHOWN = TITLE.replace("\x1b[2J", "")


@pytest.fixture
def titled(tieline: CommandLine) -> CommandLine:
    created = tieline("project", "create", "--title", TITLE, "--json").document
    return tieline.within(TIELINE_PROJECT=created["_embedded"]["entity"]["id"])


def test_a_table_is_as_wide_as_the_terminal(titled: CommandLine) -> None:
    with terminal(titled, "project", "list") as wide:
        assert wide.end() == 0
    assert SHOWN in ESCAPES.sub("", wide.screen)
    with terminal(titled, "project", "list", columns=60) as narrow:
        assert narrow.end() == 0
    lines = ESCAPES.sub("", narrow.screen).splitlines()
    assert max(map(len, lines)) <= 60
    assert SHOWN not in "\n".join(lines)


def test_a_table_in_a_pipe_has_80_columns(titled: CommandLine) -> None:
    lines = titled("project", "list").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in "".join(lines)
    assert any(line.startswith(titled.settings["TIELINE_PROJECT"]) for line in lines)
    everything = " ".join("".join(line[15:60] for line in lines).split())
    assert "[red]what[/red]" in everything
