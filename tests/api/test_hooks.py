"""Incoming hooks: what is let in, what is stored, and that 200 means durable."""

import asyncio
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.api.conftest import KEYS, Client, Instance, create_project, eventually, in_shared_loop
from tests.api.test_integrations import create
from tests.api.types import signature
from tieline.api.hooks import LARGEST, QUIET_SECONDS, Nudges
from tieline.api.inbox import MOST_WAITING, SHORT_BODY, Inbox, SharedRoom
from tieline.core.errors import Unavailable
from tieline.store import integrations
from tieline.store.hooks import NewHook
from tieline.store.seal import SecretBox

BODY = b'{"push": {"changes": []}}'


class Host:
    """Sends hooks as the Git host does: to the URL it was given, without a token."""

    def __init__(self, instance: Instance, project: str, id: str, secret: bytes) -> None:
        self.instance, self.id, self.secret = instance, id, secret
        self.client = instance.client.as_(None)
        self.path = f"/api/projects/{project}/integrations/{id}/hook"

    async def send(self, body: bytes = BODY, *, sign: str | None = "", **headers: str) -> Any:
        signed = {} if sign is None else {"X-Hub-Signature": sign or signature(body, self.secret)}
        return await self.client("POST", self.path, raw=body, headers={"X-Event-Key": "repo:push", **signed, **headers})

    async def stored(self) -> list[dict[str, Any]]:
        async with self.instance.services.db.connection() as conn:
            query = "select headers, body, is_signed from hook_delivery where integration_id = %s order by id"
            cursor = await conn.execute(query, [self.id])
            return list(await cursor.fetchall())

    async def woken(self) -> list[dict[str, Any]]:
        async with self.instance.services.db.connection() as conn:
            cursor = await conn.execute("select args from procrastinate_jobs where task_name = 'read_hooks'")
            found = [row["args"] for row in await cursor.fetchall()]
        return [each for each in found if each["integration_id"] == self.id]


@in_shared_loop
async def host(instance: Instance, project: str) -> Host:
    return await connect(instance, project)


async def connect(instance: Instance, project: str) -> Host:
    entity = await create(instance.client, project)
    async with instance.services.db.connection() as conn:
        kept = await integrations.get_any(conn, SecretBox(KEYS), entity["id"])
    return Host(instance, project, entity["id"], kept.secrets["hook"].reveal().encode())


async def test_a_signed_hook_is_stored_as_it_came_and_a_reader_is_woken(host: Host) -> None:
    answer = await host.send(Authorization="Bearer x", Cookie="a=b")
    assert (answer.status, answer.json) == (200, {"status": "OK", "code": 200})
    (row,) = await host.stored()
    assert (bytes(row["body"]), row["is_signed"]) == (BODY, True)
    assert row["headers"]["x-event-key"] == "repo:push"
    assert {"authorization", "cookie", "x-hub-signature"}.isdisjoint(row["headers"])
    assert await host.woken() == [{"integration_id": host.id}]


@pytest.mark.parametrize("sign", ["sha256=00", "nonsense", "sha256=\xe9", signature(b"other", b"secret")])
async def test_a_wrong_signature_is_401_and_nothing_is_done(host: Host, sign: str) -> None:
    answer = await host.send(sign=sign)
    assert (answer.status, answer.headers["Content-Type"]) == (401, "application/json")
    assert await host.stored() == []


async def test_a_changed_body_is_401(host: Host) -> None:
    answer = await host.send(BODY + b" ", sign=signature(BODY, host.secret))
    assert answer.status == 401
    assert await host.stored() == []


async def test_after_a_signed_hook_an_unsigned_one_is_401(host: Host, second: Instance, project: str) -> None:
    assert (await host.send(sign=None)).status == 200
    assert (await host.send()).status == 200
    assert (await host.send(sign=None)).status == 401
    elsewhere = Host(second, project, host.id, host.secret)

    async def refused_there() -> bool:
        return bool((await elsewhere.send(sign=None)).status == 401)

    await eventually(refused_there)
    assert [row["is_signed"] for row in await host.stored()] == [False, True]


async def test_an_unsigned_hook_is_a_hint_without_a_body_and_not_too_often(host: Host) -> None:
    for _ in range(5):
        assert (await host.send(b"x" * 1000, sign=None)).status == 200
    (row,) = await host.stored()
    assert (bytes(row["body"]), row["headers"], row["is_signed"]) == (b"", {}, False)


def test_a_hint_counts_again_after_a_while() -> None:
    moment = 0.0
    nudges = Nudges(lambda: moment)
    assert nudges.is_due("a")
    assert nudges.is_due("b")
    moment = QUIET_SECONDS - 1
    assert not nudges.is_due("a")
    moment = QUIET_SECONDS
    assert nudges.is_due("a")
    assert not nudges.is_due("a")


@pytest.mark.parametrize(
    "path",
    [
        "/projects/{p}/integrations/aaaaaaaaaaaaa/hook",
        "/projects/aaaaaaaaaaaaa/integrations/{i}/hook",
        "/projects/%00/integrations/{i}/hook",
    ],
)
async def test_an_unknown_integration_is_404(host: Host, project: str, path: str) -> None:
    answer = await host.client("POST", path.format(p=project, i=host.id), raw=BODY)
    assert answer.status == 404


async def test_a_type_without_hooks_has_no_door(client: Client, project: str) -> None:
    sink = await client.post(f"/projects/{project}/integrations", {"type": "health.sink", "url": "https://x.example/"})
    path = f"/projects/{project}/integrations/{sink['_embedded']['entity']['id']}/hook"
    assert (await client.as_(None)("POST", path, raw=BODY)).status == 404


def test_long_bodies_share_their_room_and_short_ones_need_none() -> None:
    room = SharedRoom(1000)
    with room.reserve() as first:
        first(SHORT_BODY + 600)
        first(SHORT_BODY + 700)
        with room.reserve() as second:
            second(SHORT_BODY)
            second(SHORT_BODY + 300)
            with pytest.raises(Unavailable, match="send this one again"):
                second(SHORT_BODY + 301)
    with room.reserve() as third:
        third(SHORT_BODY + 1000)


async def test_bodies_without_end_do_not_keep_hooks_out(host: Host) -> None:
    """Of eight that come to seventy megabytes, nobody knows yet that they are not signed."""
    open_ended = b"Host: x\r\nX-Hub-Signature: sha256=00\r\nContent-Length: 10000000\r\n\r\n"
    port = int(host.client.url.rpartition(":")[2])
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
    for _, writer in connections:
        writer.write(f"POST {host.path} HTTP/1.1\r\n".encode() + open_ended + b"x" * 9_900_000)
        await writer.drain()
    refused = await asyncio.wait_for(connections[-1][0].readline(), 10)
    assert b"503" in refused
    assert (await host.send()).status == 200
    for _, writer in connections:
        writer.close()


async def test_a_body_beyond_the_limit_is_413(host: Host) -> None:
    body = b"x" * (LARGEST + 1)
    assert (await host.send(body)).status == 413
    assert await host.stored() == []
    assert (await host.send(body[:-1])).status == 200


async def test_a_burst_is_stored_whole(host: Host) -> None:
    answers = await asyncio.gather(*(host.send(b'{"n": %d}' % n) for n in range(200)))
    assert {answer.status for answer in answers} == {200}
    assert len({bytes(row["body"]) for row in await host.stored()}) == 200
    assert len(await host.woken()) == 1


async def test_a_deleted_integration_takes_no_hooks_and_spoils_none(
    host: Host, instance: Instance, client: Client
) -> None:
    other_project = (await client.post("/projects", {"title": "Other"}))["_embedded"]["entity"]["id"]
    other = await create(client, other_project)
    inbox = Inbox(instance.services.db)
    await client("DELETE", f"/projects/{other_project}/integrations/{other['id']}")
    hooks = [NewHook(each, {}, BODY, is_signed=True) for each in (host.id, other["id"], "gone", host.id)]
    await asyncio.gather(*(inbox.store(each) for each in hooks))
    assert len(await host.stored()) == 2


async def test_one_hook_that_cannot_be_stored_does_not_take_others_with_it(host: Host, instance: Instance) -> None:
    inbox = Inbox(instance.services.db)
    hooks = [NewHook(host.id, {"x-bad": bad}, BODY, is_signed=True) for bad in ("", "\0", "")]
    outcomes = await asyncio.gather(*(inbox.store(each) for each in hooks), return_exceptions=True)
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, True, False]
    assert len(await host.stored()) == 2


async def test_a_full_inbox_says_come_again(host: Host, instance: Instance) -> None:
    inbox = Inbox(instance.services.db)
    hook = NewHook(host.id, {}, b"", is_signed=True)
    outcomes = await asyncio.gather(*(inbox.store(hook) for _ in range(MOST_WAITING + 10)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
    assert len(refused) == 10
    assert len(await host.stored()) == MOST_WAITING


async def test_while_the_database_is_away_hooks_are_503_and_then_stored(own_instance: Instance) -> None:
    host = await connect(own_instance, await create_project(own_instance.client))
    dsn = own_instance.dsn
    name = dsn.rpartition("dbname=")[2].split()[0]
    assert (await host.send()).status == 200
    allow = sql.SQL("alter database {} allow_connections {}")
    with psycopg.connect(dsn.replace(f"dbname={name}", "dbname=postgres"), autocommit=True) as admin:
        admin.execute(allow.format(sql.Identifier(name), sql.Literal(False)))
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])

        async def refused() -> bool:
            answer = await host.send()
            if answer.status == 503:
                assert int(answer.headers["Retry-After"]) > 0
            return bool(answer.status == 503)

        await eventually(refused)
        admin.execute(allow.format(sql.Identifier(name), sql.Literal(True)))

    async def taken() -> bool:
        return bool((await host.send(b'{"late": true}')).status == 200)

    await eventually(taken, seconds=20)
    assert b'{"late": true}' in [bytes(row["body"]) for row in await host.stored()]
