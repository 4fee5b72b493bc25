"""`tieline integration`, against the real server and the simulated host."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import CONSUMER
from tests.cli.programs import CommandLine, Server

ADD = ("integration", "add", "bitbucket", "--repository", "acme/site")
SECRET = "sample-secret"


def test_the_help_is_the_servers(tieline: CommandLine) -> None:
    general = tieline("integration", "add", "--help")
    assert general.status == 0
    assert "bitbucket Branches and pull requests of a Bitbucket Cloud repository" in " ".join(general.out.split())
    special = tieline("integration", "add", "bitbucket", "--help").out
    assert "Usage: tieline integration add bitbucket [OPTIONS]" in special
    assert special.index("--repository TEXT") < special.index("--fetch-branches / --no-fetch-branches")
    for line in (
        "--app-credentials.secret SOURCE",
        "--environment-init-resources default|manual|minimum|parent",
        "The OAuth consumer key.",
        "[required]",
        "[default: yes]",
        "@FILE, env:NAME",
    ):
        assert line in special


def test_the_help_without_a_server_says_what_is_missing(alone: CommandLine) -> None:
    ended = alone("integration", "add", "--help")
    assert ended.status == 0
    assert "--no-wait" in ended.out
    assert "Which types there are is not known: http://127.0.0.1:1 cannot be reached" in ended.err


def test_an_integration_from_creation_to_removal(in_project: CommandLine, server: Server) -> None:
    added = in_project(*ADD, *CONSUMER, "--no-prune-branches", stdin=f"{SECRET}\n")
    assert added.status == 0
    assert "app_credentials.key              sample-key" in added.out
    assert "prune_branches                   false" in added.out
    assert "hook_url" in added.out
    assert "Created environment main (production) from branch main" in added.err

    listed = in_project("integration", "list", "--json")
    path = f"/projects/{in_project.settings['TIELINE_PROJECT']}/integrations"
    assert listed.out.encode() == server.bytes_of(path) + b"\n"
    [integration] = listed.document
    shown = in_project("integration", "list").out
    assert shown.splitlines()[1].split()[:3] == [integration["id"], "bitbucket", "acme/site"]

    assert in_project("integration", "validate", integration["id"]).status == 0
    changed = in_project("integration", "update", "bitbucket", "--pull-requests-max-pages", "3", "--json")
    assert changed.status == 0
    assert changed.document["_embedded"]["entity"]["pull_requests_max_pages"] == 3
    emptied = in_project("integration", "update", "bitbucket", "--unset", "pull_requests_max_pages", "--no-wait")
    assert "pull_requests_max_pages          -" in emptied.out
    synced = in_project("integration", "sync", "bitbucket")
    assert (synced.status, synced.out) == (0, "")
    assert "No changes since last fetch" in synced.err

    assert in_project("integration", "delete", "bitbucket").status == 2
    gone = in_project("integration", "delete", "bitbucket", "--yes", "--json")
    assert (gone.status, gone.document["code"]) == (0, 200)
    assert in_project("integration", "get", "bitbucket").status == 5
    empty = in_project("integration", "list")
    assert (empty.status, empty.out) == (0, "")
    assert "There are none yet" in empty.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("add",), "Which type?"),
        (("add", "bitbukket"), "There is no integration type 'bitbukket'; did you mean bitbucket?"),
        (("add", "--repository", "acme/site", "bitbucket"), "The type comes first"),
        (("add", "bitbucket", "--repositry", "acme/site"), "No such option: --repositry"),
        (("add", "bitbucket", "--pull-requests-max-pages", "0"), "must be at least 1, not 0."),
        (("add", "bitbucket", "--environment-init-resources", "parnt"), "did you mean parent?"),
        (("add", "bitbucket", "acme/site"), "unexpected extra argument"),
        (("update",), "Which integration?"),
    ],
)
def test_a_wrong_command_line_is_explained_before_anything_is_sent(
    in_project: CommandLine, arguments: tuple[str, ...], sentence: str
) -> None:
    ended = in_project("integration", *arguments)
    assert (ended.status, ended.out) == (2, "")
    assert sentence in ended.err


def test_what_the_server_refuses_is_said_field_by_field(in_project: CommandLine) -> None:
    ended = in_project("integration", "add", "bitbucket", "--repository", "nonsense")
    assert (ended.status, ended.out) == (4, "")
    assert ended.err.startswith("repository: Must be user/repo")
    assert in_project("integration", "add", "bitbucket").err.startswith("repository: This field is required.")


def test_a_validation_that_fails_names_the_field(in_project: CommandLine) -> None:
    in_project(*ADD, "--no-wait", "--app-credentials.key", "k", "--app-credentials.secret", "-", stdin="wrong")
    ended = in_project("integration", "validate", "bitbucket")
    assert (ended.status, ended.out) == (4, "")
    assert ended.err.startswith("app_credentials")


def test_a_synchronisation_that_fails_ends_with_1(in_project: CommandLine) -> None:
    ended = in_project(*ADD, "--app-credentials.key", "k", "--app-credentials.secret", "-", "--json", stdin="wrong")
    assert ended.status == 1
    assert ended.document["_embedded"]["entity"]["app_credentials"] == {"key": "k"}
    assert "ended as: failure." in ended.err


def test_secrets_come_from_files_and_variables_and_never_from_the_command_line(
    in_project: CommandLine, tmp_path: Path
) -> None:
    given = (*ADD, "--no-wait", "--app-credentials.key", "sample-key", "--app-credentials.secret")
    refused = in_project(*given, SECRET)
    assert refused.status == 2
    assert "secrets are not written on the command line" in refused.err
    assert SECRET not in refused.out + refused.err
    missing = in_project(*given, "env:NO_SUCH_VARIABLE")
    assert (missing.status, missing.err.strip()) == (
        2,
        "app_credentials.secret: the environment variable NO_SUCH_VARIABLE is not set.",
    )
    unreadable = in_project(*given, f"@{tmp_path}/nothing")
    assert unreadable.err.startswith(f"app_credentials.secret: {tmp_path}/nothing cannot be read: No such file")
    unattended = in_project(*ADD, "--app-credentials.key", "sample-key")
    assert (unattended.status, unattended.err.strip()) == (
        2,
        "This needs a secret more: --app-credentials.secret @FILE|env:NAME|-",
    )

    (tmp_path / "secret").write_text(f"{SECRET}\n")
    assert in_project(*given, f"@{tmp_path}/secret").status == 0
    assert in_project("integration", "validate", "bitbucket").status == 0
    rotated = in_project(
        "integration", "update", "bitbucket", "--app-credentials.secret", "env:NEW_SECRET", NEW_SECRET="other"
    )
    assert rotated.status == 1
    assert SECRET not in rotated.out + rotated.err
    assert in_project("integration", "validate", "bitbucket").status == 4


def test_one_standard_input_holds_one_secret(in_project: CommandLine) -> None:
    ended = in_project(
        *ADD, *CONSUMER, "--addon-credentials.addon-key", "a", "--addon-credentials.client-key", "c",
        "--addon-credentials.shared-secret", "-", stdin="s",
    )  # fmt: skip
    assert ended.status == 2
    assert "app_credentials.secret and addon_credentials.shared_secret" in ended.err


def test_setting_and_unsetting_one_thing_at_once_is_refused(connected: CommandLine) -> None:
    both = ("--app-credentials.key", "other", "--unset", "app_credentials")
    ended = connected("integration", "update", "bitbucket", *both)
    assert ended.status == 2
    assert "app_credentials is given a value as well." in ended.err
    assert connected("integration", "update", "bitbucket", "--unset", "nothing").status == 2
    nothing = connected("integration", "update", "bitbucket")
    assert (nothing.status, "There is nothing to change" in nothing.err) == (2, True)
    assert json.loads(connected("integration", "get", "bitbucket", "--json").out)["app_credentials"]
