"""`upsun auth:info`, `project:*` and `organization:*`, and how commands end for whom they are not meant."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.clients.api import Api
from tests.clients.upsun import FAILED, FORBIDDEN, LOGIN_NEEDED, Upsun

FLAVOUR = Path(__file__).with_name("flavour.yaml")


@pytest.fixture
def viewer(api: Api, in_project: Upsun, project: str) -> Upsun:
    """Somebody who may look at the project, and do no more."""
    return in_project.as_somebody(api.create_viewer(project))


def test_it_knows_who_runs_it(upsun: Upsun, api: Api) -> None:
    me = api.read("/users/me")
    shown = dict(upsun.rows("auth:info"))
    assert (shown["id"], shown["username"], shown["email"]) == (me["id"], "admin", me["email"])
    assert upsun("auth:info", "username") == "admin\n"


def test_projects_are_listed(upsun: Upsun, project: str, viewer: Upsun) -> None:
    assert [project, "Shop"] in [row[:2] for row in upsun.rows("project:list", "--count", "0")]
    assert [row[:2] for row in viewer.within("").rows("project:list")] == [[project, "Shop"]]
    assert viewer.within("")("project:list", "--pipe") == project + "\n"


def test_the_other_flavour_lists_projects_another_way(viewer: Upsun, project: str) -> None:
    """It has no organizations, and asks who it is instead; its variables have other names."""
    names = {name.replace("UPSUN_", "PLATFORMSH_"): value for name, value in viewer.environment.items()}
    platform = replace(viewer.within(""), variables={**names, "CLI_CONFIG_FILE": str(FLAVOUR)})
    assert platform("project:list", "--pipe") == project + "\n"


def test_a_project_is_read_and_changed(in_project: Upsun, api: Api, project: str) -> None:
    whole = dict(in_project.rows("project:info"))
    assert (whole["id"], whole["title"], whole["default_branch"]) == (project, "Shop", "")
    assert whole["url"] == f"{in_project.server}/api/projects/{project}"
    said = in_project.run("project:info", "title", "The shop")
    assert (said.status, said.err) == (0, "Property title set to: The shop\n")
    assert api.read(f"/projects/{project}")["title"] == "The shop"
    assert "Must have at least 1 character" in in_project("project:info", "title", "", status=255)


def test_organizations_are_listed(upsun: Upsun, api: Api) -> None:
    listed = upsun.rows("organization:list", "--columns", "id,name,label")
    organization = next(each for each in api.read("/organizations")["items"] if each["name"] == "tieline")
    assert [organization["id"], organization["name"], organization["label"]] in listed
    org = ("--org", organization["name"])
    assert dict(upsun.rows("organization:info", *org))["label"] == organization["label"]
    members = upsun.rows("organization:user:list", *org, "--columns", "email,owner,permissions")
    assert members == [["admin@localhost", "true", "admin"]]


def test_who_has_access_is_listed_changed_and_removed(in_project: Upsun, project: str, viewer: Upsun) -> None:
    name = f"viewer-{project}@example.com"
    columns = ("--columns", "email,role")
    assert in_project.rows("user:list", *columns) == [["admin@localhost", "admin (owner)"], [name, "viewer"]]
    in_project("user:update", name, "--role", "admin", "--yes")
    assert in_project("user:get", name, "--level", "project", "--pipe") == "admin\n"
    in_project("user:delete", name, "--yes")
    assert "Specified project not found" in viewer("project:info", status=FAILED)


def test_who_has_no_token_is_asked_to_log_in(in_project: Upsun) -> None:
    assert "Authentication is required" in in_project.as_somebody("")("integration:list", status=LOGIN_NEEDED)


def test_a_token_that_is_not_one_is_said_to_be_none(in_project: Upsun) -> None:
    assert "The API token is invalid" in in_project.as_somebody("nonsense")("integration:list", status=FAILED)


def test_a_viewer_looks_and_touches_nothing(viewer: Upsun, api: Api, project: str) -> None:
    integration = api.add(project, type="webhook", url="https://example.com/in")
    assert viewer("project:info", "title") == "Shop\n"
    assert (
        viewer("activity:list", "--all", "--columns", "type", "--format", "plain", "--no-header") == "project.create\n"
    )
    assert "Permission denied" in viewer("integration:delete", integration, "--yes", status=FORBIDDEN)
    assert "Operation not available: edit" in viewer("project:info", "title", "Mine", status=FAILED)
    assert [each["id"] for each in api.integrations(project)] == [integration]


def test_the_project_of_others_is_none(upsun: Upsun, api: Api, viewer: Upsun) -> None:
    other = viewer.within(api.create_project("Secret"))
    assert "Specified project not found" in other("integration:list", status=FAILED)
