"""Requests of clients that cannot be installed from a registry, as they were recorded, byte for byte.

`upsun-sdk-node` 0.6.0 loses most of what it is told about an integration; what is left of it is answered as it should
be. The JavaScript library of GitHub (0.2.40) sends JSON for a token. Both are sent here as they stand on the wire.
"""

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.cli.programs import wait_until
from tests.clients.api import Answer, Api

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
AS_JSON = {"Content-Type": "application/json"}
SDK = {"User-Agent": "upsun-sdk-node@0.6.0", "X-Upsun-Client": "upsun-sdk-node/0.6.0"}
CONSUMER = '{"key":"sample-key","secret":"sample-secret"}'


def basic(client: str) -> dict[str, str]:
    """What a client without a secret identifies itself with."""
    return {"Authorization": "Basic " + base64.b64encode(f"{client}:".encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (FORM, "client_id=upsun-cli&client_secret=&grant_type=api_token&api_token={}"),
        ({**FORM, **basic("platform-cli")}, "api_token={}&scope=&grant_type=api_token"),
        ({**AS_JSON, **basic("platform-cli")}, '{{"grant_type":"api_token","api_token":"{}"}}'),
        ({**FORM, **basic("platform-api-user")}, "grant_type=api_token&api_token={}"),
    ],
    ids=["upsun", "platform", "platformsh-client", "upsun-sdk-node"],
)
def test_a_token_is_asked_for_in_four_shapes(api: Api, headers: dict[str, str], body: str) -> None:
    answer = api.send("POST", "/oauth2/token", body.format(api.token).encode(), headers)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    issued = answer.document
    assert (issued["token_type"], issued["scope"], issued["expires_in"] > 0) == ("bearer", "", True)
    assert _payload(issued["access_token"])["sub"] == api.read("/users/me")["id"]

    refused = api.send("POST", "/oauth2/token", body.format("nonsense").encode(), headers)
    assert refused.status == 400
    assert refused.document == {"error": "invalid_grant", "error_description": "The API token is invalid."}


def test_tokens_are_renewed_and_ended_as_clients_ask(api: Api) -> None:
    asked = f"grant_type=api_token&api_token={api.token}&scope=offline_access"
    refresh = api.send("POST", "/oauth2/token", asked.encode(), FORM).document["refresh_token"]
    renewals = [
        f"grant_type=refresh_token&refresh_token={refresh}&client_id=sdk-node-client-id",
        f"client_id=upsun-cli&client_secret=&grant_type=refresh_token&refresh_token={refresh}",
    ]
    answers = [api.send("POST", "/oauth2/token", each.encode(), FORM) for each in renewals]
    assert [each.status for each in answers] == [200, 200]

    logout = f"client_id=upsun-cli&client_secret=&token={refresh}&token_type_hint=refresh_token"
    ended = api.send("POST", "/oauth2/revoke", logout.encode(), FORM)
    assert (ended.status, ended.document) == (200, {})
    refused = api.send("POST", "/oauth2/token", renewals[0].encode(), FORM)
    assert (refused.status, refused.document["error_description"]) == (400, "Invalid refresh token")


def _payload(token: str) -> Any:
    """The middle of a JWT, as PHP decodes it."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.fixture
def library(api: Api) -> "Library":
    return Library(api, api.access_token())


class Library:
    """A client library: it puts its token and its name on every request, and sends the bytes that it was seen to."""

    def __init__(self, api: Api, token: str) -> None:
        self._api = api
        self._headers = {"Authorization": f"Bearer {token}", **AS_JSON, **SDK}

    def __call__(self, method: str, path: str, body: str | None = None) -> Answer:
        return self._api.send(method, path, None if body is None else body.encode(), self._headers)


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ('{"type":"webhook"}', {"url"}),
        ('{"type":"script"}', {"script"}),
        ('{"type":"gitlab"}', {"token", "project"}),
        ('{"type":"github","fetch_branches":true,"repository":"o/r","build_pull_requests":true}', {"token"}),
        ('{"type":"bitbucket_server","repository":"r"}', {"url", "username", "token", "project"}),
        ('{"type":"health.email"}', {"recipients"}),
        ('{"type":"health.slack"}', {"channel", "token"}),
        ('{"type":"health.pagerduty"}', {"routing_key"}),
        ('{"type":"health.webhook"}', {"url"}),
        ('{"type":"httplog"}', {"url"}),
        ('{"type":"otlplog"}', {"url"}),
        ('{"type":"newrelic"}', {"url", "license_key"}),
        ('{"type":"splunk"}', {"url", "index", "token"}),
        ('{"type":"sumologic"}', {"url"}),
        ('{"type":"cdn.fastly"}', {"service_id", "token"}),
    ],
    ids=lambda each: json.loads(each)["type"] if isinstance(each, str) else "",
)
def test_what_the_sdk_leaves_out_is_missed(
    api: Api, library: Library, project: str, body: str, missing: set[str]
) -> None:
    answer = library("POST", f"/projects/{project}/integrations", body)
    assert (answer.status, set(answer.document["detail"])) == (400, missing)
    assert api.integrations(project) == []


@pytest.mark.parametrize(
    "body",
    [
        '{"type":"syslog"}',
        '{"type":"blackfire"}',
        f'{{"type":"bitbucket","fetch_branches":true,"app_credentials":{CONSUMER},"repository":"acme/site"}}',
    ],
    ids=lambda each: json.loads(each)["type"],
)
def test_what_the_sdk_can_say_is_enough_for_some_types(api: Api, library: Library, project: str, body: str) -> None:
    answer = library("POST", f"/projects/{project}/integrations", body)
    assert answer.status == 201
    entity = answer.document["_embedded"]["entity"]
    assert entity.items() >= {"type": json.loads(body)["type"]}.items()
    changed = library("PATCH", f"/projects/{project}/integrations/{entity['id']}", f'{{"type":"{entity["type"]}"}}')
    assert (changed.status, changed.document["_embedded"]["entity"]) == (200, entity)
    deleted = library("DELETE", f"/projects/{project}/integrations/{entity['id']}")
    assert (deleted.status, deleted.document["code"]) == (200, 200)
    assert api.integrations(project) == []


def test_what_the_cli_would_add_for_bitbucket_is_taken(api: Api, library: Library, project: str) -> None:
    """Its own check at bitbucket.org keeps it from ever sending this."""
    body = (
        f'{{"type":"bitbucket","app_credentials":{CONSUMER},"repository":"acme/site","build_pull_requests":true,'
        '"resync_pull_requests":false,"fetch_branches":true,"prune_branches":true,"environment_init_resources":"parent"}'
    )
    answer = library("POST", f"/projects/{project}/integrations", body)
    assert answer.status == 201
    embedded = answer.document["_embedded"]
    assert embedded["entity"].items() >= {**json.loads(body), "app_credentials": {"key": "sample-key"}}.items()
    assert {each["type"] for each in embedded["activities"]} == {
        "integration.bitbucket.register_hooks",
        "integration.bitbucket.fetch",
    }
    wait_until(lambda: api.is_settled(project), "the first deployments")
    api.unfollow(project)


def test_the_sdk_reads_and_operates(library: Library, site: str) -> None:
    project = f"/projects/{site}"
    (activity, *_) = library("GET", f"{project}/activities").document
    read = [
        "/users/me",
        project,
        f"{project}/capabilities",
        f"{project}/integrations",
        f"{project}/environments",
        f"{project}/environments/main",
        f"{project}/environments/main/activities",
        f"{project}/activities/{activity['id']}",
    ]
    assert {path: library("GET", path).status for path in read} == dict.fromkeys(read, 200)
    late = library("POST", f"{project}/activities/{activity['id']}/cancel")
    assert late.status == 400
    assert "cannot be cancelled in its current state" in late.document["message"]


def test_the_library_of_github_goes_through_all_of_it(api: Api, library: Library, project: str, site: str) -> None:
    me = library("GET", "/me").document
    listed = next(each for each in me["projects"] if each["id"] == project)
    assert listed["endpoint"] == f"{api.server}/api/projects/{project}"
    integrations = f"/api/projects/{project}/integrations"
    assert library("GET", f"/projects/{project}/integrations").document == library("GET", integrations).document == []

    created = library("POST", integrations, '{"type":"webhook","url":"https://e.x/h","events":["*"]}').document
    one = f"{integrations}/{created['_embedded']['entity']['id']}"
    changed = library("PATCH", one, '{"url":"https://q/w"}').document["_embedded"]["entity"]
    assert (library("GET", one).document, changed["url"]) == (changed, "https://q/w")
    assert library("GET", f"{one}/activities").document == []
    assert library("DELETE", one, "{}").document["_embedded"]["activities"] == []
    gone = library("GET", one)
    assert (gone.status, gone.headers["content-type"], gone.document["code"]) == (404, "application/json", 404)

    renamed = library("PATCH", f"/api/projects/{project}", '{"title":"New"}').document
    assert renamed["_embedded"]["entity"]["title"] == "New"
    assert library("GET", f"/api/projects/{site}/capabilities").document["integrations"]["enabled"] is True


def test_it_follows_an_activity_to_its_end(api: Api, library: Library, site: str) -> None:
    (integration,) = api.integrations(site)
    one = f"/api/projects/{site}/integrations/{integration['id']}"
    hook = api.send("POST", f"{one}/hook", None, AS_JSON)
    assert (hook.status, hook.document["code"]) == (200, 200)

    since = quote("2026-01-01T00:00:00Z", safe="")
    assert library("GET", f"{one}/activities?type=integration.webhook&starts_at={since}").document == []
    early = "1970-01-01T00%3A00%3A00.000Z"
    assert library("GET", f"{one}/activities?type=a&type=b&starts_at={early}").document == []
    activity = library("GET", f"{one}/activities").document[-1]
    assert library("GET", f"{one}/activities/{activity['id']}").document["id"] == activity["id"]
    at = f"/api/projects/{site}/activities/{activity['id']}"
    assert library("GET", f"{at}?timeout=6").document["completion_percent"] == 100
    lines = [json.loads(line) for line in library("GET", f"{at}/log?start_at=0").body.splitlines()]
    assert [each.get("seal", False) for each in lines] == [False] * (len(lines) - 1) + [True]


@pytest.mark.parametrize("written", ["+", "%20"], ids=["upsun", "platform"])
def test_the_next_page_is_found_whatever_became_of_the_plus(library: Library, site: str, written: str) -> None:
    first, *others = library("GET", f"/projects/{site}/activities?count=25").document
    until = others[0]["created_at"].replace("+", written)
    page = library("GET", f"/projects/{site}/activities?starts_at={until}&count=25").document
    assert [each["id"] for each in page] == [each["id"] for each in others]
    assert first["id"] not in {each["id"] for each in page}
