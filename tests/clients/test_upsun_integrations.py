"""`upsun integration:*` on what is there: list, get, update, validate, delete, and the activities of each."""

import pytest

from tests.clients.api import Api
from tests.clients.upsun import FAILED, INVALID, Upsun

FIELDS = {
    "type": "bitbucket",
    "repository": "acme/site",
    "fetch_branches": "true",
    "prune_branches": "true",
    "build_pull_requests": "true",
    "resync_pull_requests": "false",
    "pull_requests_max_pages": "",
    "environment_init_resources": "default",
    "app_credentials": "key: sample-key",
    "addon_credentials": "",
}


@pytest.fixture(scope="module")
def followed(api: Api, site: str) -> str:
    """The id of the integration with the sample repository."""
    (integration,) = api.integrations(site)
    found: str = integration["id"]
    return found


@pytest.fixture
def strayed(api: Api, project: str) -> str:
    """The id of an integration with a repository that is not there."""
    return api.follow(project, "acme/nowhere")


def test_the_list_shows_the_repository_and_where_hooks_go(in_site: Upsun, site: str, followed: str) -> None:
    hook = f"{in_site.server}/api/projects/{site}/integrations/{followed}/hook"
    table = in_site("integration:list")
    assert f"| {followed} | bitbucket | Repository: acme/site " in table
    assert hook in table
    assert in_site("integration:list", "--format", "csv", "--columns", "id,type") == f"ID,Type\n{followed},bitbucket\n"
    assert in_site("integration:list", "--format", "plain", "--columns", "id,type", "--no-header") == (
        f"{followed}\tbitbucket\n"
    )


def test_one_is_read_whole_by_its_beginning_and_by_property(in_site: Upsun, followed: str) -> None:
    whole = dict(in_site.rows("integration:get", followed))
    assert {name: whole[name] for name in FIELDS} == FIELDS
    assert whole["hook_url"].startswith("http://127.0.0.1")
    assert "sample-secret" not in str(whole)
    assert in_site("integration:get", followed[:6], "--property", "repository") == "acme/site\n"
    assert in_site("integration:get", followed, "--property", "app_credentials.key") == "sample-key\n"
    assert 'Integration not found: "nowhere"' in in_site("integration:get", "nowhere", status=FAILED)


def test_an_update_sends_what_differs_and_waits_for_the_fetch(
    in_site: Upsun, api: Api, site: str, followed: str
) -> None:
    ended = in_site.run("integration:update", followed, "--resync-pull-requests", "true")
    assert ended.status == 0, ended
    assert f"Integration {followed} (bitbucket) updated" in ended.err
    assert "No changes since last fetch" in ended.out + ended.err
    assert "The activity succeeded" in ended.err
    assert api.integrations(site)[0]["resync_pull_requests"] is True
    again = in_site("integration:update", followed, "--resync-pull-requests", "true", status=FAILED)
    assert "No changed values were provided to update" in again


def test_a_switch_that_needs_another_one_goes_off_with_it(in_site: Upsun, api: Api, site: str, followed: str) -> None:
    in_site("integration:update", followed, "--fetch-branches", "0", "--no-wait")
    (stored,) = api.integrations(site)
    assert (stored["fetch_branches"], stored["prune_branches"]) == (False, False)


def test_a_wrong_value_is_refused_with_its_field(in_site: Upsun, api: Api, site: str, followed: str) -> None:
    before = api.integrations(site)
    said = in_site("integration:update", followed, "--repository", "acme/si te", status=INVALID)
    assert f"The integration {followed} (type: bitbucket) is invalid." in said
    assert "repository: Must be user/repo" in said
    assert api.integrations(site) == before


def test_validation_asks_the_host(in_site: Upsun, followed: str, in_project: Upsun, strayed: str) -> None:
    assert "The integration is valid." in in_site.run("integration:validate", followed).err
    said = in_project("integration:validate", strayed, status=INVALID)
    assert "repository: There is no repository acme/nowhere" in said


def test_the_activities_of_an_integration_are_listed_and_read(in_site: Upsun, followed: str) -> None:
    listed = in_site.rows("integration:activity:list", followed, "--columns", "id,type,state,result")
    fetches = [row for row in listed if row[1:] == ["integration.bitbucket.fetch", "complete", "success"]]
    first = fetches[-1][0]
    assert "integration.bitbucket.register_hooks" in {row[1] for row in listed}
    read = dict(in_site.rows("integration:activity:get", followed, first))
    assert (read["text"], read["result"]) == ("Fetching from Bitbucket repository acme/site", "success")
    newest = in_site("integration:activity:get", followed, "--property", "id")
    assert newest.strip() == listed[0][0]
    assert "redesign" in in_site("integration:activity:log", followed, first)


def test_who_waits_for_a_fetch_that_fails_is_told_why(in_project: Upsun, strayed: str) -> None:
    said = in_project.run("integration:update", strayed, "--build-pull-requests", "0").err
    assert "acme/nowhere not found" in said
    assert "The activity failed" in said


def test_one_is_deleted(in_project: Upsun, api: Api, project: str, strayed: str) -> None:
    assert f"Deleted integration {strayed}" in in_project.run("integration:delete", strayed, "--yes").err
    assert api.integrations(project) == []
