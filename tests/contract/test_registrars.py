"""Our webhook at the host: put there, repaired, removed; and what it then sends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.contract.conftest import HOOK_SECRET, KEY, REPOSITORY, SECRET, Asked, Desk, OddHost, make_integration
from tieline.core.errors import CredentialsRefused, RemoteBroken, RemoteError, RemoteRejected
from tieline.core.remote import HookEvent
from tieline.integrations import bitbucket
from tieline.integrations.base import HookRegistrar
from tieline.integrations.bitbucket.hook import CORE_EVENTS, EVENTS
from tieline.simulators.bitbucket import BitbucketSimulator

URL = "https://tieline.example/api/projects/p/integrations/i/hook"


def registrar_of(desk: Desk) -> HookRegistrar:
    registrar = desk.registry.hook_registrar(make_integration())
    assert registrar is not None
    return registrar


def writes(desk: Desk) -> list[str]:
    return [each.method for each in desk.wire.rest if each.method != "GET"]


async def test_a_hook_is_registered_with_its_secret_and_found_again(desk: Desk, host: BitbucketSimulator) -> None:
    hook, changed = await registrar_of(desk).ensure(URL, None)
    assert changed
    assert (hook.url, hook.active, hook.events) == (URL, True, frozenset(EVENTS))
    assert host.hook_secrets(REPOSITORY) == [HOOK_SECRET]
    desk.wire.sent.clear()
    assert await registrar_of(desk).ensure(URL, hook.id) == (hook, False)
    assert [each.method for each in desk.wire.rest] == ["GET"]


async def test_other_hooks_are_left_alone(desk: Desk, host: BitbucketSimulator) -> None:
    near = [f"{URL}/", f"{URL}x", URL[:-1], URL.upper()]
    for url in near:
        await registrar_of(desk).ensure(url, None)
    hook, _ = await registrar_of(desk).ensure(URL, None)
    assert sorted(each["url"] for each in host.hooks(REPOSITORY)) == sorted([*near, URL])
    await registrar_of(desk).remove(URL, hook.id)
    assert sorted(each["url"] for each in host.hooks(REPOSITORY)) == sorted(near)


async def test_a_hook_on_a_later_page_is_found_by_its_address(desk: Desk, host: BitbucketSimulator) -> None:
    host.faults.page_length = 2
    for number in range(5):
        await registrar_of(desk).ensure(f"https://other.example/{number}", None)
    first, _ = await registrar_of(desk).ensure(URL, None)
    again, changed = await registrar_of(desk).ensure(URL, None)
    # Whose secret it has nobody can ask, so it gets ours.
    assert (again, changed) == (first, True)
    assert len(host.hooks(REPOSITORY)) == 6


@pytest.mark.parametrize(
    "damage",
    [
        {"active": False},
        {"events": ["repo:push"]},
        {"url": "https://elsewhere.example/hook"},
        {"secret": ""},
        {"events": ["issue:created"], "active": False, "secret": ""},
    ],
)
async def test_a_damaged_hook_is_repaired(desk: Desk, host: BitbucketSimulator, damage: dict[str, object]) -> None:
    made, _ = await registrar_of(desk).ensure(URL, None)
    stored = host.repository(REPOSITORY).hooks[made.id]
    for name, value in damage.items():
        setattr(stored, name, value)
    assert await registrar_of(desk).ensure(URL, made.id) == (made, True)
    assert len(host.hooks(REPOSITORY)) == 1
    assert host.hook_secrets(REPOSITORY) == [HOOK_SECRET]
    assert await registrar_of(desk).ensure(URL, made.id) == (made, False)


async def test_a_hook_that_was_removed_by_hand_is_registered_anew(desk: Desk, host: BitbucketSimulator) -> None:
    made, _ = await registrar_of(desk).ensure(URL, None)
    host.repository(REPOSITORY).hooks.clear()
    again, changed = await registrar_of(desk).ensure(URL, made.id)
    assert changed
    assert again.id != made.id
    assert len(host.hooks(REPOSITORY)) == 1


async def test_a_new_public_address_moves_the_hook(desk: Desk, host: BitbucketSimulator) -> None:
    made, _ = await registrar_of(desk).ensure("https://old.example/hook", None)
    moved, changed = await registrar_of(desk).ensure(URL, made.id)
    assert changed
    assert (moved.id, moved.url) == (made.id, URL)
    assert [each["url"] for each in host.hooks(REPOSITORY)] == [URL]


async def test_events_may_be_more_than_ours(desk: Desk, host: BitbucketSimulator) -> None:
    made, _ = await registrar_of(desk).ensure(URL, None)
    host.repository(REPOSITORY).hooks[made.id].events.append("issue:created")
    _, changed = await registrar_of(desk).ensure(URL, made.id)
    assert not changed


async def test_a_host_that_does_not_know_an_event_gets_those_it_must_know(odd: OddHost, odd_desk: Desk) -> None:
    def reply(asked: Asked) -> web.Response:
        if asked.method == "GET":
            return web.json_response({"values": []})
        body = orjson.loads(asked.body)
        if set(body["events"]) - set(CORE_EVENTS):
            return web.json_response({"type": "error", "error": {"message": "Invalid event"}}, status=400)
        return web.json_response({"uuid": "{1}", "url": body["url"], "active": True, "events": body["events"]})

    odd.reply = reply
    hook, changed = await registrar_of(odd_desk).ensure(URL, None)
    assert changed
    assert hook.events == frozenset(CORE_EVENTS)
    odd.reply = lambda _: web.json_response({"uuid": "{1}", "url": URL, "active": True, "events": [*CORE_EVENTS]})
    assert await registrar_of(odd_desk).ensure(URL, "{1}") == (hook, False)


async def test_an_address_that_the_host_does_not_like_is_said(desk: Desk, host: BitbucketSimulator) -> None:
    host.faults.refuse_internal_hooks = True
    with pytest.raises(RemoteRejected, match="must properly resolve"):
        await registrar_of(desk).ensure("http://127.0.0.1:8420/hook", None)
    assert host.hooks(REPOSITORY) == []


async def test_credentials_that_may_not_manage_hooks_are_told_what_they_lack(
    desk: Desk, host: BitbucketSimulator
) -> None:
    host.add_consumer(KEY, SECRET, frozenset({"repository", "pullrequest"}))
    with pytest.raises(CredentialsRefused, match="webhook") as caught:
        await registrar_of(desk).ensure(URL, None)
    assert caught.value.status == 403
    assert "admin right" in str(caught.value)


async def test_removing_is_done_once_or_twice_alike(desk: Desk, host: BitbucketSimulator) -> None:
    made, _ = await registrar_of(desk).ensure(URL, None)
    for known in (made.id, made.id, None):
        await registrar_of(desk).remove(URL, known)
        assert host.hooks(REPOSITORY) == []


async def test_removing_finds_the_hook_without_its_id_or_with_an_old_one(desk: Desk, host: BitbucketSimulator) -> None:
    for known in (None, "{00000000-0000-4000-8000-000000000000}"):
        await registrar_of(desk).ensure(URL, None)
        await registrar_of(desk).remove(URL, known)
        assert host.hooks(REPOSITORY) == []


async def test_the_hook_of_a_renamed_repository_is_repaired_and_removed(desk: Desk, host: BitbucketSimulator) -> None:
    made, _ = await registrar_of(desk).ensure(URL, None)
    await host.rename_repository(REPOSITORY, "acme/shop")
    host.repository("acme/shop").hooks[made.id].active = False
    assert await registrar_of(desk).ensure(URL, made.id) == (made, True)
    await registrar_of(desk).remove(URL, None)
    assert host.hooks("acme/shop") == []


async def test_removing_fails_when_the_host_does(desk: Desk, host: BitbucketSimulator) -> None:
    made, _ = await registrar_of(desk).ensure(URL, None)
    with host.faults.active("rest-503"), pytest.raises(RemoteBroken):
        await registrar_of(desk).remove(URL, made.id)
    assert len(host.hooks(REPOSITORY)) == 1


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"values": [{}]},
        {"values": [{"uuid": "{1}", "url": URL}]},
        {"values": [{"uuid": "{1}\0", "url": URL, "events": []}]},
        {"values": 1},
    ],
)
async def test_what_is_no_list_of_hooks_is_broken(odd: OddHost, odd_desk: Desk, document: object) -> None:
    odd.reply = lambda _: web.json_response(document)
    with pytest.raises(RemoteError):
        await registrar_of(odd_desk).ensure(URL, None)
    assert writes(odd_desk) == []


@dataclass
class Inbox:
    """What came in, as `api` hands it to a hook format."""

    url: str = ""
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def read(self) -> list[HookEvent]:
        """Every hook in order of arrival; each must be signed with our secret."""
        return [self._read(headers, body) for headers, body in self.received]

    def _read(self, headers: dict[str, str], body: bytes) -> HookEvent:
        format_ = bitbucket.TYPE.hook_format
        assert format_ is not None
        assert format_.is_signed(headers)
        assert format_.verify(headers, body, HOOK_SECRET.encode())
        assert not format_.verify(headers, body, b"another secret")
        event = format_.parse(headers, body)
        assert isinstance(event, HookEvent)
        return event


@asynccontextmanager
async def listening() -> AsyncIterator[Inbox]:
    inbox = Inbox()

    async def receive(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        inbox.received.append((headers, await request.read()))
        return web.Response()

    application = web.Application()
    application.router.add_post("/hook", receive)
    async with TestServer(application) as server:
        inbox.url = str(server.make_url("/hook"))
        yield inbox


async def test_what_the_host_sends_is_verified_and_understood(desk: Desk, host: BitbucketSimulator) -> None:
    identity = host.repository(REPOSITORY).uuid
    async with listening() as inbox:
        await registrar_of(desk).ensure(inbox.url, None)
        await host.commit(REPOSITORY, "topic-6", {"page": "6"}, parent="main")
        number = await host.open_pull(REPOSITORY, source="topic-6", target="main")
        await host.update_pull(REPOSITORY, number, target="topic-1")
        await host.decline_pull(REPOSITORY, number)
        await host.merge_pull(REPOSITORY, 1)
        await host.delete_branch(REPOSITORY, "topic-1")
        await host.rename_repository(REPOSITORY, "acme/shop")
        await host.webhooks.drain()
        events = inbox.read()
    assert {event.repository_id for event in events} == {identity}
    assert [(event.name, event.scope.pulls, event.scope.repository) for event in events] == [
        ("repo:push", frozenset(), False),
        ("pullrequest:created", {number}, False),
        ("pullrequest:updated", {number}, False),
        ("pullrequest:rejected", {number}, False),
        ("repo:push", frozenset(), False),
        ("pullrequest:fulfilled", {1}, False),
        ("repo:push", frozenset(), False),
        ("repo:updated", frozenset(), True),
    ]
