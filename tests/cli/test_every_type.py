"""Every type can be added from the command line, with the options that the server declares."""

from typing import Any

import pytest

from tests.cli.programs import CommandLine

SECRET = "a-secret-of-ours"
TOKEN = ("--token", "env:SECRET")
URL = ("--url", "https://service.example.com/x")
# What is written for each type, and what is read of it then.
TYPES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "bitbucket_server": (
        (*URL, *TOKEN, "--username", "sam", "--bitbucket-server-project", "ACME", "--repository", "site"),
        {"project": "ACME", "repository": "site"},
    ),
    "github": (
        (*TOKEN, "--repository", "https://github.com/acme/site", "--no-build-draft-pull-requests"),
        {"repository": "acme/site", "build_draft_pull_requests": False, "base_url": None},
    ),
    "gitlab": (
        (*TOKEN, "--gitlab-project", "acme/web/site", "--rotate-token-validity-in-weeks", "8"),
        {"project": "acme/web/site", "rotate_token_validity_in_weeks": 8},
    ),
    "webhook": (
        (*URL, "--events", "environment.push", "--events", "environment.activate", "--result", "success"),
        {"events": ["environment.push", "environment.activate"], "states": ["complete"], "result": "success"},
    ),
    "script": (
        ("--script", "console.log(1);\n", "--states", "pending", "--states", "complete"),
        {"script": "console.log(1);\n", "states": ["pending", "complete"]},
    ),
    "health.email": (
        ("--recipients", "#admins", "--recipients", "ops@example.com"),
        {"recipients": ["#admins", "ops@example.com"], "from_address": None},
    ),
    "health.pagerduty": (("--routing-key", "env:ROUTING_KEY"), {"routing_key": "a-key"}),
    "health.slack": ((*TOKEN, "--channel", "#ops"), {"channel": "#ops"}),
    "health.webhook": ((*URL, "--shared-key", "env:SECRET"), {"url": URL[1]}),
    "httplog": (
        (*URL, "--headers", "X-A=b, c", "--headers", "X-B=", "--extra", "team=shop", "--no-tls-verify"),
        {"headers": {"X-A": "b, c", "X-B": ""}, "extra": {"team": "shop"}, "tls_verify": False},
    ),
    "otlplog": ((*URL, "--redaction"), {"redaction": True}),
    "newrelic": ((*URL, "--license-key", "env:SECRET"), {"url": URL[1]}),
    "splunk": ((*URL, *TOKEN, "--index", "main"), {"index": "main", "sourcetype": ""}),
    "sumologic": ((*URL, "--category", "site/web"), {"category": "site/web"}),
    "syslog": (
        (
            "--host",
            "syslog.example.com",
            "--port",
            "514",
            "--auth-token",
            "env:SECRET",
            "--auth-mode",
            "structured_data",
        ),
        {"host": "syslog.example.com", "port": 514, "protocol": "tls"},
    ),
    "cdn.fastly": ((*TOKEN, "--service-id", "an-id"), {"service_id": "an-id", "tls_certificates": False}),
    "blackfire": ((), {"environments_credentials": {}, "continuous_profiling": False}),
}
SOURCES = ("bitbucket_server", "github", "gitlab")


def test_every_type_can_be_added_and_is_listed(in_project: CommandLine) -> None:
    tieline = in_project.within(SECRET=SECRET, ROUTING_KEY="a-key")
    for key, (options, wanted) in TYPES.items():
        added = tieline("integration", "add", key, *options, "--json")
        assert added.status == 0, (key, added.err)
        entity = added.document["_embedded"]["entity"]
        assert {name: entity[name] for name in wanted} == wanted, key
        assert SECRET not in added.out, key
        if key in SOURCES:
            assert tieline("integration", "delete", key, "--yes").status == 0
    listed = tieline("integration", "list")
    assert [key for key in TYPES if key not in SOURCES and key not in listed.out] == []


def test_what_should_be_better_is_said_after_all_is_done(in_project: CommandLine) -> None:
    tieline = in_project.within(SHORT="short", LONG="k" * 32)
    added = tieline("integration", "add", "webhook", *URL, "--shared-key", "env:SHORT", "--no-ordered", "--json")
    assert (added.status, added.document["_embedded"]["entity"]["ordered"]) == (0, False)
    assert added.document["warnings"].keys() == {"shared_key"}
    assert "Warning: shared_key: The key is shorter than 32 bytes" in " ".join(added.err.split())
    changed = tieline("integration", "update", "webhook", "--ordered", "--shared-key", "env:LONG", "--json")
    assert "ordered" not in changed.document["_embedded"]["entity"]
    assert "Warning" not in changed.err


def test_a_secret_that_is_read_back_is_not_written_on_the_command_line_either(in_project: CommandLine) -> None:
    refused = in_project("integration", "add", "webhook", *URL, "--shared-key", "a-key-for-everybody-to-read")
    assert refused.status == 2
    assert "secrets are not written on the command line" in " ".join(refused.err.split())
    assert "a-key-for-everybody" not in refused.err


def test_a_choice_that_is_not_read_back_is_explained_as_one(in_project: CommandLine) -> None:
    helped = in_project("integration", "add", "syslog", "--help")
    assert helped.status == 0, helped.err
    assert "--auth-mode prefix|structured_data" in helped.out
    assert "--auth-token SOURCE" in helped.out


def test_lists_maps_and_secrets_can_be_emptied(in_project: CommandLine) -> None:
    tieline = in_project.within(SECRET=SECRET)
    options = ("--extra", "a=b", "--excluded-services", "db", "--auth-token", "env:SECRET")
    assert tieline("integration", "add", "syslog", *options).status == 0
    names = ("extra", "excluded_services", "auth_token")
    emptied = tieline("integration", "update", "syslog", *(f"--unset={name}" for name in names), "--json")
    assert emptied.status == 0, emptied.err
    entity = emptied.document["_embedded"]["entity"]
    assert (entity["extra"], entity["excluded_services"]) == ({}, [])


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("add health.email --recipients nobody", 4, "recipients.0: Must be an e-mail address"),
        ("add webhook --url http://10.0.0.1/", 4, "url: 10.0.0.1 is"),
        ("add syslog --facility 24", 2, "must be at most 23, not 24"),
        ("add syslog --protocol dccp", 2, "'dccp' is none of tcp, tls, udp"),
        ("add httplog --url https://a.example --headers X", 2, "must be NAME=VALUE"),
    ],
)
def test_what_cannot_be_is_told_by_its_name(in_project: CommandLine, line: str, status: int, words: str) -> None:
    ended = in_project("integration", *line.split())
    assert ended.status == status, ended.err
    assert words in " ".join(ended.err.split())
