"""What people and clients write for a repository, and what is kept of it."""

import time
from typing import Any

import pytest

from tieline.core.errors import Invalid
from tieline.core.secret import Secret
from tieline.integrations import bitbucket_server, github, gitlab
from tieline.integrations.fields import IntegrationFields, validate_create, validate_patch

SERVER = "https://git.example.com/bitbucket"


def of_github(**given: Any) -> Any:
    return validate_create(github.TYPE.fields, {"token": "t", **given}).config["repository"]


def of_gitlab(**given: Any) -> Any:
    return validate_create(gitlab.TYPE.fields, {"token": "t", **given}).config["project"]


def of_server(**given: Any) -> Any:
    config = validate_create(
        bitbucket_server.TYPE.fields, {"token": "t", "username": "sam", "url": SERVER, **given}
    ).config
    return config["project"], config["repository"]


@pytest.mark.parametrize(
    "given",
    ["o/r", "/o/r", "o/r.git", "https://github.com/o/r", "https://www.github.com/o/r/", "git@github.com:o/r.git"],
)
def test_a_repository_at_github_may_be_spelled_as_people_copy_it(given: str) -> None:
    assert of_github(repository=given) == "o/r"


@pytest.mark.parametrize(
    "base_url", ["https://ghe.example:8443/api/v3", "https://ghe.example:8443/api/v3/", "https://ghe.example:8443"]
)
def test_a_repository_at_an_enterprise_server_may_be_given_by_its_address(base_url: str) -> None:
    assert of_github(repository="https://ghe.example:8443/o/r", base_url=base_url) == "o/r"
    assert of_github(repository="ssh://git@ghe.example:22/o/r.git", base_url=base_url) == "o/r"


def test_an_address_in_a_patch_is_understood_by_what_is_stored() -> None:
    config = validate_create(
        github.TYPE.fields, {"token": "t", "repository": "o/r", "base_url": "https://ghe.example/api/v3"}
    ).config
    body = {"repository": "https://ghe.example/o/other"}
    after = validate_patch(github.TYPE.fields, "github", config, {"token": Secret("t")}, body)
    assert after.config["repository"] == "o/other"


@pytest.mark.parametrize("given", ["https://gitlab.com/o/r", "https://ghe.example/o/r", "git@bitbucket.org:o/r.git"])
def test_a_repository_at_another_host_is_refused(given: str) -> None:
    with pytest.raises(Invalid) as caught:
        of_github(repository=given)
    assert "https://github.com/user/repo" in caught.value.detail["repository"]


@pytest.mark.parametrize("base_url", ["http://[", "https://", "nonsense"])
def test_a_base_url_that_is_none_is_what_is_refused(base_url: str) -> None:
    with pytest.raises(Invalid) as caught:
        of_github(repository="o/r", base_url=base_url)
    assert list(caught.value.detail) == ["base_url"]


@pytest.mark.parametrize(
    ("token", "kind"),
    [("ghp_abc", "classic_personal_token"), ("ghs_abc", "github_app"), ("anything", "classic_personal_token")],
)
def test_the_kind_of_a_token_is_read_from_it_and_follows_it(token: str, kind: str) -> None:
    fields = github.TYPE.fields
    assert validate_create(fields, {"token": token, "repository": "o/r"}).config["token_type"] == kind
    config = validate_create(fields, {"token": "ghs_before", "repository": "o/r"}).config
    after = validate_patch(fields, "github", config, {"token": Secret("ghs_before")}, {"token": token})
    assert after.config["token_type"] == kind


@pytest.mark.parametrize(
    ("given", "more"),
    [
        ("g/s/r", {}),
        ("/g/s/r", {}),
        ("https://gitlab.com/g/s/r.git", {}),
        ("git@gitlab.com:g/s/r.git", {}),
        ("https://git.example/lab/g/s/r", {"base_url": "https://git.example/lab/"}),
    ],
)
def test_a_project_at_gitlab_may_have_subgroups_and_be_given_by_its_address(given: str, more: dict[str, str]) -> None:
    assert of_gitlab(project=given, **more) == "g/s/r"


@pytest.mark.parametrize(
    "given",
    [
        {"project": "ACME", "repository": "site"},
        {"project": "/ACME/", "repository": "/site.git"},
        {"repository": f"{SERVER}/scm/ACME/site.git"},
        {"repository": f"{SERVER}/projects/ACME/repos/site"},
        {"repository": f"{SERVER}/projects/ACME/repos/site/browse"},
        {"project": "ACME", "repository": f"{SERVER}/scm/acme/site.git"},
    ],
)
def test_the_address_of_a_repository_at_a_server_names_its_project_too(given: dict[str, str]) -> None:
    assert of_server(**given) == ("ACME", "site")


def test_an_address_in_another_project_than_the_one_that_is_given_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        of_server(project="SHOP", repository=f"{SERVER}/scm/ACME/site.git")
    assert list(caught.value.detail) == ["repository"]


@pytest.mark.parametrize("wrong", [None, 5, [], {}])
def test_what_is_no_text_is_told_by_the_field(wrong: object) -> None:
    for read in (of_github, of_server):
        with pytest.raises(Invalid) as caught:
            read(repository=wrong)
        assert "repository" in caught.value.detail
    with pytest.raises(Invalid) as caught:
        of_server(repository=f"{SERVER}/scm/ACME/site.git", project=wrong)
    assert "project" in caught.value.detail


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (github.TYPE.fields, {"repository": "o/r", "base_url": "https://" + "-." * 450_000}),
        (gitlab.TYPE.fields, {"project": "o/r", "base_url": "https://" + "-." * 450_000}),
        (bitbucket_server.TYPE.fields, {"project": "O", "repository": "r", "url": "https://" + "-." * 450_000}),
    ],
)
def test_an_address_without_end_takes_no_time(fields: type[IntegrationFields], body: dict[str, Any]) -> None:
    begun = time.process_time()
    validate_create(fields, {"token": "t", "username": "sam", **body} if "url" in body else {"token": "t", **body})
    assert time.process_time() - begun < 1


def test_a_secret_is_no_longer_than_logs_can_mask() -> None:
    assert validate_create(github.TYPE.fields, {"token": "t" * 16_384, "repository": "o/r"}).secrets
    with pytest.raises(Invalid) as refused:
        validate_create(github.TYPE.fields, {"token": "t" * 16_385, "repository": "o/r"})
    assert refused.value.detail == {"token": "Must have at most 16,384 characters."}
