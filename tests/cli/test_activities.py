"""`tieline environment` and `tieline activity`: operations, their logs, and what they end with."""

import json
import signal
from collections.abc import Iterator
from subprocess import Popen

import pytest

from tests.cli.conftest import CONSUMER
from tests.cli.programs import ADMIN_TOKEN, CommandLine, Cutter, Server, read_until, started, wait_until

BRANCH = "feature/search"
ENVIRONMENT = "feature-search"


@pytest.fixture(scope="module")
def project(server: Server) -> Iterator[CommandLine]:
    """A project of this module that is tied to the sample repository, at rest."""
    with pytest.MonkeyPatch.context() as patch:
        tieline = CommandLine(patch, {"TIELINE_SERVER": server.url, "TIELINE_TOKEN": ADMIN_TOKEN})
        created = tieline("project", "create", "--title", "Activities", "--json")
        tieline = tieline.within(TIELINE_PROJECT=created.document["_embedded"]["entity"]["id"])
        tieline("integration", "add", "bitbucket", "--repository", "acme/site", *CONSUMER, stdin="sample-secret")
        wait_until(lambda: not tieline("activity", "list", *OPEN, "--json").document, "everything to be at rest")
        yield tieline
        tieline("integration", "delete", "bitbucket", "--yes")


OPEN = ("--state", "pending", "--state", "in_progress")


def newest(project: CommandLine) -> str:
    return str(project("activity", "list", "--count", "1", "--json").document[0]["id"])


def test_environments_are_shown_and_found_by_their_branch(project: CommandLine, server: Server) -> None:
    listed = project("environment", "list")
    assert listed.status == 0
    rows = {line.split()[0]: line.split()[1:4] for line in listed.out.splitlines()[1:]}
    assert rows["main"] == ["main", "active", "-"]
    assert rows[ENVIRONMENT] == [BRANCH, "inactive", "main"]
    shown = project("environment", "get", BRANCH, "--json")
    path = f"/projects/{project.settings['TIELINE_PROJECT']}/environments/{ENVIRONMENT}"
    assert shown.out.encode() == server.bytes_of(path) + b"\n"
    missing = project("environment", "get", "feature/serch")
    assert (missing.status, missing.out) == (5, "")
    assert missing.err.splitlines() == [
        "There is no environment and no branch 'feature/serch'; did you mean feature/search?",
        "`tieline environment list` shows what there is.",
    ]
    assert project.within(TIELINE_PROJECT="nowhere")("environment", "get", "main").err.startswith("Project not found")


def test_an_environment_goes_up_and_down_again(project: CommandLine) -> None:
    up = project("environment", "activate", BRANCH, "--init", "parent")
    assert (up.status, up.out) == (0, "")
    assert "build begins" in up.err
    assert "[bold]ends[/bold]" in up.err
    again = project("environment", "activate", BRANCH)
    assert again.status == 4
    assert "cannot activate now" in again.err
    synchronized = project("environment", "synchronize", ENVIRONMENT, "--yes")
    assert "sync-data begins" in synchronized.err
    assert project("environment", "redeploy", ENVIRONMENT, "--no-wait", "--json").document["code"] == 200
    assert project("activity", "log", "--follow").status == 0
    assert project("environment", "deactivate", ENVIRONMENT).status == 2
    assert project("environment", "deactivate", ENVIRONMENT, "--yes").status == 0
    removed = project("environment", "delete", BRANCH, "--yes")
    assert (removed.status, "delete begins" in removed.err) == (0, True)
    assert project("integration", "sync", "bitbucket").status == 0
    assert project("environment", "get", ENVIRONMENT).status == 0


def test_the_production_environment_stays(project: CommandLine) -> None:
    ended = project("environment", "delete", "main", "--yes")
    assert (ended.status, ended.err) == (4, "status: The production environment cannot be deleted.\n")


def test_an_activity_that_fails_ends_the_command_with_1(project: CommandLine, server: Server) -> None:
    with server.deployer_told("fail"):
        failed = project("environment", "redeploy", "main")
    assert failed.status == 1
    assert failed.err.splitlines()[-1] == f"The activity {newest(project)} ended as: failure."
    assert project("activity", "log", "--follow").status == 1
    assert project("activity", "log").status == 0
    assert project("activity", "list", "--count", "1").out.splitlines()[1].split()[3] == "failure"
    assert project("activity", "list", "--result", "failure", "--count", "1", "--json").document[0]["id"] == newest(
        project
    )


def test_activities_are_filtered_and_shown(project: CommandLine) -> None:
    fetched = project("activity", "list", "--integration", "bitbucket", "--json").document
    assert {each["type"].rpartition(".")[0] for each in fetched} == {"integration.bitbucket"}
    of_main = project("activity", "list", "--environment", "main", "--type", "environment.push", "--json").document
    assert [each["environments"] for each in of_main] == [["main"]]
    of_branch = project("activity", "list", "--environment", BRANCH, "--json").document
    assert {*(each["environments"][0] for each in of_branch)} <= {ENVIRONMENT}
    assert project("activity", "list", "-e", "main", "-i", "x").status == 2
    assert project("activity", "list", "--state", "bygone").status == 4
    shown = project("activity", "get", of_main[0]["id"])
    assert ["state", "complete"] in [line.split() for line in shown.out.splitlines()]
    log = project("activity", "log", of_main[0]["id"], "--timestamps").out.splitlines()
    assert log[1].endswith("build begins")
    assert log[1].startswith(of_main[0]["created_at"][:2])


def test_a_log_is_followed_while_it_is_written(project: CommandLine, server: Server) -> None:
    with server.deployer_told("hold") as hold:
        project("environment", "redeploy", "main", "--no-wait")
        with started("activity", "log", "--follow", "--json", settings=project.settings) as following:
            first = read_until(following.stdout, b'"deploy begins\\n"')
            unfinished = project("activity", "log")
            assert (unfinished.status, unfinished.out.splitlines()[-1]) == (0, "deploy begins")
            assert unfinished.err == "It goes on; --follow waits for the rest.\n"
            hold.unlink()
            rest, err = following.communicate(timeout=20)
    lines = [json.loads(each) for each in (*first, *rest.splitlines())]
    assert [each["_id"] for each in lines] == list(range(1, len(lines) + 1))
    assert lines[-1]["seal"] is True
    assert (following.returncode, err) == (0, b"")


def test_a_stream_that_breaks_is_taken_up_where_it_was(project: CommandLine, server: Server) -> None:
    with server.deployer_told("hold") as hold, Cutter(server.url, b"deploy beg") as cutter:
        project("environment", "redeploy", "main", "--no-wait")
        settings = {**project.settings, "TIELINE_SERVER": cutter.url}
        with started("activity", "log", newest(project), "--follow", settings=settings) as following:
            wait_until(lambda: sum("/log" in each for each in cutter.requests) > 1, "the log to be asked for again")
            hold.unlink()
            out, _ = following.communicate(timeout=20)
    assert (following.returncode, cutter.cuts) == (0, 1)
    assert out.decode().splitlines()[1:3] == [
        "deploy begins",
        "\x1b]0;title\x07\x1b[31mdeploy\x1b[0m [bold]ends[/bold]",
    ]
    assert "start_at=0" in cutter.requests[0]
    assert "start_at=1" in cutter.requests[1]


def test_ctrl_c_ends_the_waiting_and_nothing_else(project: CommandLine, server: Server) -> None:
    settings = project.settings
    with server.deployer_told("hold"):
        with started("environment", "redeploy", "main", settings=settings) as waiting:
            read_until(waiting.stderr, b"deploy begins")
            with started("activity", "log", "--follow", settings=settings) as following:
                read_until(following.stdout, b"deploy begins")
                said = [interrupted(each) for each in (waiting, following)]
        assert said == [b"What was begun goes on; `tieline activity list` shows how far it is.\n", b""]
        [still] = project("activity", "list", *OPEN, "--json").document
        assert project("activity", "cancel", still["id"]).status == 0
    assert project("activity", "log", "--follow").status == 1
    assert project("activity", "get", "--json").document["state"] == "cancelled"


def interrupted(process: Popen[bytes]) -> bytes:
    """What it says on standard error when Ctrl-C ends it."""
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    return err


def test_a_pipe_that_closes_early_is_no_disaster(project: CommandLine) -> None:
    with started("activity", "list", "--count", "100", "--json", settings=project.settings) as listing:
        assert listing.stdout is not None
        assert listing.stderr is not None
        listing.stdout.close()
        assert b"Traceback" not in listing.stderr.read()
    assert listing.returncode == 1
