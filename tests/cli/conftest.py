import os
from collections.abc import Iterator

import pytest

from tests.cli.programs import (
    ADMIN_TOKEN,
    CommandLine,
    Server,
)


@pytest.fixture
def tieline(server: Server, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line of the server's administrator."""
    return CommandLine(monkeypatch, {"TIELINE_SERVER": server.url, "TIELINE_TOKEN": ADMIN_TOKEN})


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line with no server to talk to."""
    return CommandLine(monkeypatch, {"TIELINE_SERVER": "http://127.0.0.1:1"})


@pytest.fixture
def in_project(tieline: CommandLine) -> CommandLine:
    """The same in a project of its own that is tied to nothing."""
    created = tieline("project", "create", "--title", os.environ["PYTEST_CURRENT_TEST"].split("::")[-1], "--json")
    return tieline.within(TIELINE_PROJECT=created.document["_embedded"]["entity"]["id"])


CONSUMER = ("--app-credentials.key", "sample-key", "--app-credentials.secret", "-")


@pytest.fixture
def connected(in_project: CommandLine) -> Iterator[CommandLine]:
    """The same, tied to the sample repository."""
    added = in_project("integration", "add", "bitbucket", "--repository", "acme/site", *CONSUMER, stdin="sample-secret")
    assert added.status == 0, added.err
    yield in_project
    in_project("integration", "delete", "bitbucket", "--yes")
