"""`upsun environment:*`, `repo:*` and what is refused while a Git host decides about branches and code."""

import pytest

from tests.clients.api import Api
from tests.clients.upsun import FAILED, Upsun

TREE = [
    ["main", "main", "Active", "production"],
    ["feature-search", "feature/search", "Inactive", "development"],
    ["pr-1", "PR #1: Add a search", "Active", "development"],
    ["redesign", "redesign", "Inactive", "development"],
]


def test_environments_are_listed_below_their_parents(in_site: Upsun) -> None:
    assert in_site.rows("environment:list") == TREE
    table = in_site("environment:list")
    assert "| main             | main " in table
    assert "|   pr-1           | PR #1: Add a search " in table


def test_one_is_read_whole_and_by_property(in_site: Upsun, api: Api, site: str) -> None:
    whole = dict(in_site.rows("environment:info", "--environment", "pr-1"))
    stored = api.environment(site, "pr-1")
    assert whole["title"] == "PR #1: Add a search"
    assert (whole["parent"], whole["status"], whole["is_pr"]) == ("main", "active", "true")
    assert whole["head_commit"] == stored["head_commit"]
    assert whole["deployment_type"] == "automatic"
    assert in_site("environment:info", "--environment", ".", "machine_name") == (
        api.environment(site, "main")["machine_name"] + "\n"
    )


def test_what_a_person_may_set_is_set(in_site: Upsun, api: Api, site: str) -> None:
    done = in_site.run("environment:info", "--environment", "redesign", "title", "New looks")
    assert (done.status, done.err) == (0, "Property title set to: New looks\n")
    assert api.environment(site, "redesign")["title"] == "New looks"
    assert "not writable" in in_site("environment:info", "--environment", "main", "status", "paused", status=FAILED)
    said = in_site("environment:info", "--environment", "redesign", "title", "", status=FAILED)
    assert "Must have at least 1 character" in said


def test_who_may_look_at_an_environment_is_set(in_site: Upsun, api: Api, site: str) -> None:
    said = in_site.run(
        "environment:http-access", "-e", "redesign", "--access", "allow:192.0.2.0/24", "--auth", "visitor:a-password"
    )
    assert said.status == 0, said
    assert "a-password" not in said.out + said.err
    access = api.environment(site, "redesign")["http_access"]
    assert access["addresses"] == [{"permission": "allow", "address": "192.0.2.0/24"}]
    assert access["basic_auth"].keys() == {"visitor"}


def test_an_environment_lives_through_all_its_operations(in_site: Upsun, api: Api, site: str) -> None:
    for command, *arguments, status in [
        ("environment:activate", "active"),
        ("environment:pause", "paused"),
        ("environment:resume", "active"),
        ("environment:redeploy", "active"),
        ("environment:synchronize", "data", "active"),
        ("environment:delete", "--no-delete-branch", "inactive"),
    ]:
        said = in_site.run(command, *arguments, "--environment", "redesign", "--yes")
        assert said.status == 0, said
        assert "The activity succeeded: " in said.err
        assert api.environment(site, "redesign")["status"] == status


def test_what_an_environment_is_not_ready_for_is_not_available(in_site: Upsun) -> None:
    said = in_site("environment:resume", "--environment", "pr-1", "--yes", status=FAILED)
    assert "not paused" in said
    said = in_site("environment:delete", "main", "--allow-delete-parent", "--yes", status=FAILED)
    assert "Operation not available: deactivate" in said


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("environment:branch", "new", "main"), "branches are managed externally through its bitbucket integration"),
        (("environment:merge", "--environment", "pr-1"), "managed externally through its bitbucket integration"),
        (
            ("environment:synchronize", "code", "--environment", "pr-1"),
            "managed by the project's bitbucket integration",
        ),
    ],
    ids=lambda each: each[0] if isinstance(each, tuple) else "",
)
def test_code_is_changed_at_the_host_alone(
    in_site: Upsun, api: Api, site: str, command: tuple[str, ...], reason: str
) -> None:
    before = api.read(f"/projects/{site}/environments")
    assert reason in in_site(*command, "--yes", status=FAILED)
    assert api.read(f"/projects/{site}/environments") == before


def test_the_repository_is_read_like_a_folder(in_site: Upsun, api: Api, site: str) -> None:
    main = ("--environment", "main")
    assert in_site("repo:ls", *main) == "index.html\n"
    assert "<h1>" in in_site("repo:cat", *main, "index.html")
    assert in_site("repo:read", *main) == "index.html\n"
    assert "not found" in in_site("repo:cat", *main, "nowhere.html", status=2)
    head = api.environment(site, "main")["head_commit"]
    assert head[:7] in in_site("commit:list", *main)
