"""`upsun integration:add`: what the client was asked for is what is stored, whatever the type.

The bodies are those that the client is known to send; what is written only is not read back.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.clients.api import Api
from tests.clients.upsun import FAILED, INVALID, Upsun
from tieline.integrations import ALL

SITE = "https://example.com/in"
SCRIPT = "console.log(1)\n"
EVERYTHING = {"events": ["*"], "states": ["complete"], "environments": ["*"]}
PULL_REQUESTS = {"build_pull_requests": True, "pull_requests_clone_parent_data": True}
BRANCHES = {"fetch_branches": True, "prune_branches": True, "environment_init_resources": "parent"}
FORWARDED = {"tls_verify": True, "redaction": False}
SYSLOG = {
    "protocol": "tls",
    "host": "logs.example.com",
    "port": 514,
    "facility": 1,
    "message_format": "rfc5424",
    **FORWARDED,
}


@dataclass(frozen=True)
class Added:
    """What is typed, and what is then read back; `secret` was sent as well, and is not."""

    type: str
    options: str
    stored: dict[str, Any]
    secret: tuple[str, ...] = field(default=())

    @property
    def arguments(self) -> list[str]:
        return ["--type", self.type, *self.options.split(" "), "--yes"]


CASES = [
    Added("webhook", f"--url {SITE}", {"url": SITE, "excluded_environments": [], **EVERYTHING}),
    Added(
        "webhook",
        f"--url {SITE} --events environment.push,environment.merge --states pending,complete --environments main"
        " --excluded-environments a,b --shared-key s",
        {
            "url": SITE,
            "shared_key": "s",
            "events": ["environment.push", "environment.merge"],
            "states": ["pending", "complete"],
            "environments": ["main"],
            "excluded_environments": ["a", "b"],
        },
    ),
    Added("script", "--file s.js", {"script": SCRIPT, **EVERYTHING}),
    Added(
        "github",
        "--repository o/r --token t",
        {
            "repository": "o/r",
            "build_draft_pull_requests": True,
            "build_pull_requests_post_merge": False,
            **PULL_REQUESTS,
            **BRANCHES,
        },
        ("token",),
    ),
    Added("github", "--repository https://github.com/o/r --token t", {"repository": "o/r"}, ("token",)),
    Added(
        "github",
        "--repository o/r --token t --build-pull-requests 0 --fetch-branches false",
        {
            "build_pull_requests": False,
            "build_draft_pull_requests": False,
            "build_pull_requests_post_merge": False,
            "fetch_branches": False,
            "prune_branches": False,
        },
        ("token",),
    ),
    Added(
        "gitlab",
        "--server-project g/sub/r --token t --base-url https://gitlab.example.com",
        {
            "base_url": "https://gitlab.example.com",
            "project": "g/sub/r",
            "build_merge_requests": True,
            "build_wip_merge_requests": True,
            "merge_requests_clone_parent_data": True,
            **BRANCHES,
        },
        ("token",),
    ),
    Added("gitlab", "--server-project g/r --token t", {"base_url": "https://gitlab.com", "project": "g/r"}, ("token",)),
    Added(
        "bitbucket_server",
        "--bitbucket-url https://git.example.com --username u --token t --repository proj/repo",
        {
            "url": "https://git.example.com",
            "username": "u",
            "project": "proj",
            "repository": "repo",
            **PULL_REQUESTS,
            **BRANCHES,
        },
        ("token",),
    ),
    Added(
        "health.email",
        "--recipients a@b.co,#admins --from-address tieline@example.com",
        {"recipients": ["a@b.co", "#admins"], "from_address": "tieline@example.com"},
    ),
    Added("health.slack", "--channel #c --token t", {"channel": "#c"}, ("token",)),
    Added("health.pagerduty", "--routing-key k", {"routing_key": "k"}),
    Added("health.webhook", f"--url {SITE} --shared-key s", {"url": SITE}, ("shared_key",)),
    Added(
        "httplog",
        f"--url {SITE} --header X-A:1 --header X-B:2 --excluded-services a,b --verify-tls 0",
        {
            "url": SITE,
            "headers": {"X-A": "1", "X-B": "2"},
            "excluded_services": ["a", "b"],
            "tls_verify": False,
            "redaction": False,
        },
    ),
    Added(
        "otlplog", f"--url {SITE} --redaction 1", {"url": SITE, "headers": {}, "tls_verify": True, "redaction": True}
    ),
    Added("newrelic", f"--url {SITE} --license-key k", {"url": SITE, **FORWARDED}, ("license_key",)),
    Added(
        "splunk",
        f"--url {SITE} --index i --token t --sourcetype s",
        {"url": SITE, "index": "i", "sourcetype": "s", **FORWARDED},
        ("token",),
    ),
    Added("sumologic", f"--url {SITE} --category c", {"url": SITE, "category": "c", **FORWARDED}),
    Added(
        "syslog", "--syslog-host logs.example.com --syslog-port 514 --auth-token t", SYSLOG, ("auth_mode", "auth_token")
    ),
]


@pytest.fixture
def in_folder_with_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s.js").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("in_folder_with_script")
@pytest.mark.parametrize("case", CASES, ids=[f"{each.type}-{at}" for at, each in enumerate(CASES)])
def test_what_was_asked_for_is_stored(in_project: Upsun, api: Api, project: str, case: Added) -> None:
    shown = in_project("integration:add", *case.arguments)
    (stored,) = api.integrations(project)
    assert stored["type"] == case.type
    assert {name: stored[name] for name in case.stored} == case.stored
    assert not stored.keys() & set(case.secret)
    assert stored["id"] in shown


def test_each_wrong_field_gets_a_line(in_project: Upsun, api: Api, project: str) -> None:
    wrong = ("--url", "ftp://example.com/in", "--states", "nonsense")
    said = in_project("integration:add", "--type", "webhook", *wrong, "--yes", status=INVALID)
    assert "The integration is invalid" in said
    assert "url: " in said
    assert "states" in said
    assert api.integrations(project) == []


def test_a_project_follows_one_repository(in_site: Upsun, api: Api, site: str) -> None:
    before = api.integrations(site)
    said = in_site(
        "integration:add", "--type", "github", "--repository", "o/r", "--token", "t", "--yes", status=INVALID
    )
    assert "type: This project follows a Bitbucket repository already" in said
    assert api.integrations(site) == before


def test_a_bitbucket_integration_is_not_added_by_this_client(in_project: Upsun, api: Api, project: str) -> None:
    """It asks bitbucket.org for a token first, and its own library cannot send that request.

    That the same body is taken is told in `test_recorded_requests`.
    """
    said = in_project(
        "integration:add",
        *("--type", "bitbucket", "--repository", "acme/site", "--key", "sample-key", "--secret", "sample-secret"),
        "--yes",
        status=FAILED,
    )
    assert "Invalid Bitbucket credentials" in said
    assert api.integrations(project) == []


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"type": "health.email", "recipients": ["a@b.co", "#admins"]}, "--recipients a@b.co,#admins"),
        (
            {"type": "httplog", "url": SITE, "headers": {"X-A": "1"}, "tls_verify": False},
            "--header X-A:1 --verify-tls 0",
        ),
        ({"type": "syslog", "port": 514, "facility": 0}, "--syslog-port 514 --facility 0"),
    ],
    ids=lambda each: each["type"] if isinstance(each, dict) else "",
)
def test_what_is_so_already_is_not_changed(
    in_project: Upsun, api: Api, project: str, fields: dict[str, Any], options: str
) -> None:
    """The client compares strictly: what it reads has the types of what it sends."""
    integration = api.add(project, **fields)
    said = in_project("integration:update", integration, *options.split(" "), status=FAILED)
    assert "No changed values were provided to update" in said


def test_what_this_client_does_not_know_it_does_not_add(in_project: Upsun) -> None:
    assert "cdn.fastly is not one of" in in_project("integration:add", "--type", "cdn.fastly", "--yes", status=FAILED)


def test_all_types_are_listed_and_read(in_project: Upsun, api: Api, project: str) -> None:
    ids = {kind.key: api.add(project, **kind.example) for kind in ALL if not kind.is_git_source}
    assert {row[0]: row[1] for row in in_project.rows("integration:list")} == {ids[key]: key for key in ids}
    assert dict(in_project.rows("integration:get", ids["cdn.fastly"]))["service_id"]
