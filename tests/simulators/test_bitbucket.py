"""The simulator is as strict, as terse and as odd as Bitbucket Cloud itself."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tieline.simulators.bitbucket import BitbucketSimulator
from tieline.simulators.bitbucket.payloads import pick_fields

NAME = "acme/site"
TOKEN = "a-token-of-the-tests"


class Person:
    """Somebody with a token and the API."""

    def __init__(self, host: BitbucketSimulator, session: aiohttp.ClientSession) -> None:
        self._root = f"{host.api_url}/repositories/{NAME}"
        self._session = session

    async def __call__(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        async with self._session.request(method, self._root + path, json=body, headers=headers) as answer:
            text = await answer.read()
            return answer.status, await answer.json() if text else None, answer.headers


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[BitbucketSimulator]:
    async with BitbucketSimulator(tmp_path / "bitbucket") as simulator:
        simulator.add_access_token(TOKEN, frozenset({"repository", "pullrequest", "webhook"}))
        simulator.create_repository(NAME)
        await simulator.commit(NAME, "main", {"index.html": "main"}, "Start")
        await simulator.commit(NAME, "topic", {"page": "1"}, parent="main")
        await simulator.open_pull(NAME, source="topic", target="main")
        yield simulator


@pytest.fixture
async def person(host: BitbucketSimulator) -> AsyncIterator[Person]:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        yield Person(host, session)


async def test_pages_and_what_is_on_them(host: BitbucketSimulator, person: Person) -> None:
    assert (await person("GET", "/pullrequests?pagelen=51"))[0] == 400
    assert (await person("GET", "/pullrequests?sort=nonsense"))[0] == 400
    host.faults.page_length = 1
    await host.open_pull(NAME, source="topic", target="main", title="Second")
    _, page, _ = await person("GET", "/pullrequests?pagelen=50&sort=created_on")
    assert (page["size"], [each["id"] for each in page["values"]]) == (2, [1])
    assert page["next"].startswith(f"{host.api_url}/repositories/{NAME}/pullrequests?")
    (pull,) = page["values"]
    assert pull["source"]["commit"]["hash"] == host.head(NAME, "topic")[:12]

    _, page, _ = await person("GET", "/pullrequests?fields=next,values.id,values.source.commit.hash")
    assert page["values"] == [{"id": 2, "source": {"commit": {"hash": host.head(NAME, "topic")[:12]}}}]
    assert page.keys() == {"next", "values"}


def test_fields_leave_null_where_it_was() -> None:
    document = {"id": 1, "source": {"repository": None, "branch": {"name": "x"}}, "links": {}}
    assert pick_fields(document, [["id"], ["source", "repository", "full_name"]]) == {
        "id": 1,
        "source": {"repository": None},
    }


async def test_who_has_an_answer_already_is_told_so_and_pays_all_the_same(
    host: BitbucketSimulator, person: Person
) -> None:
    _, _, headers = await person("GET", "/pullrequests")
    asked = len(host.rest.requests)
    status, _, _ = await person("GET", "/pullrequests", headers={"If-None-Match": headers["ETag"]})
    assert (status, len(host.rest.requests)) == (304, asked + 1)


async def test_a_repository_is_found_by_its_uuid(host: BitbucketSimulator, person: Person) -> None:
    identity = host.repository(NAME).uuid
    for path, status in ((f"/../{identity}", 200), (f"/../../other/{identity}", 404)):
        assert (await person("GET", path))[0] == status


async def test_keys_states_and_addresses_of_statuses(host: BitbucketSimulator, person: Person) -> None:
    path = f"/commit/{host.head(NAME, 'main')[:12]}/statuses/build"
    given = {"key": "k", "state": "SUCCESSFUL", "url": "https://x.example/"}
    status, answer, _ = await person("POST", path, {**given, "key": "k" * 48})
    said = "Ensure this value has at most 40 characters (it has 48)."
    assert (status, answer) == (
        400,
        {"type": "error", "error": {"message": f"key: {said}", "fields": {"key": [said]}}},
    )
    for wrong in ({"state": "DONE"}, {"url": ""}):
        assert (await person("POST", path, {**given, **wrong}))[0] == 400
    assert (await person("POST", path, given))[0] == 201
    assert [each["key"] for each in host.statuses(NAME, host.head(NAME, "main"))] == ["k"]


async def test_the_secret_of_a_hook_stays_when_it_is_not_given_and_is_never_shown(
    host: BitbucketSimulator, person: Person
) -> None:
    body = {"url": "https://x.example/hook", "events": ["repo:push"], "active": True, "secret": "s3cret"}
    assert (await person("POST", "/hooks", {**body, "events": ["repo:nonsense"]}))[0] == 400
    _, made, _ = await person("POST", "/hooks", body)
    _, changed, _ = await person("PUT", f"/hooks/{made['uuid']}", {"url": body["url"], "events": ["repo:updated"]})
    assert (made["secret_set"], changed["secret_set"], "secret" in changed) == (True, True, False)
    _, changed, _ = await person("PUT", f"/hooks/{made['uuid']}", {"secret": None})
    assert changed["secret_set"] is False
    assert [(await person("DELETE", f"/hooks/{made['uuid']}"))[0] for _ in range(2)] == [204, 404]


async def test_a_hook_that_fails_is_sent_three_times_at_once_and_a_large_one_never(host: BitbucketSimulator) -> None:
    seen: list[tuple[str, str]] = []

    async def receive(request: web.Request) -> web.Response:
        seen.append((request.headers["X-Event-Key"], request.headers["X-Attempt-Number"]))
        return web.Response(status=503)

    application = web.Application()
    application.router.add_post("/hook", receive)
    async with TestServer(application) as server, aiohttp.ClientSession() as session:
        person = Person(host, session)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        body = {"url": str(server.make_url("/hook")), "events": ["repo:push", "pullrequest:updated"], "active": True}
        await person("POST", "/hooks", body, headers)
        await host.commit(NAME, "main", {"index.html": "two"}, "x" * 300_000)
        await host.update_pull(NAME, 1, title="Better")
        await host.webhooks.drain()
    assert seen == [("pullrequest:updated", str(attempt)) for attempt in (1, 2, 3)]
