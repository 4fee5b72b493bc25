"""Activities: filters, paging, cancelling, and logs for the three kinds of readers."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from aiohttp import ClientResponse

from tests.api.conftest import PUBLIC_URL, Client, Instance, NewUser, eventually, in_shared_loop
from tests.api.test_integrations import create
from tieline.api.queries import parse_moment
from tieline.api.readers import MOST
from tieline.core.clock import iso, now
from tieline.core.documents import Activity, NewActivity
from tieline.core.errors import Invalid
from tieline.core.ports import Outcome
from tieline.store import activities, logs

MOMENT = datetime(2026, 11, 23, 20, 12, 56, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T20:12:56.000003+00:00", MOMENT),
        ("2026-11-23T20:12:56.000003 00:00", MOMENT),
        ("2026-11-23T22:12:56.000003 02:00", MOMENT),
        ("2026-11-23T20:12:56.000003Z", MOMENT),
        ("2026-11-23T20:12:56.000003", MOMENT),
        ("2026-11-23T20:12:56", MOMENT.replace(microsecond=0)),
        ("2026-11-23T15:12:56-05:00", MOMENT.replace(microsecond=0)),
        ("1795464776", MOMENT.replace(microsecond=0)),
        ("1795464776.5", MOMENT.replace(microsecond=500000)),
    ],
)
def test_a_moment_is_read_however_it_was_mangled(text: str, moment: datetime) -> None:
    assert parse_moment(text, "starts_at") == moment


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "99999999999999", "0001-01-01T00:00:00+14:00", "١٢"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_moment(text, "starts_at")
    assert list(refused.value.detail) == ["starts_at"]


@in_shared_loop
async def made(instance: Instance, project: str) -> list[Activity]:
    """Five finished activities, oldest first, of two types."""
    found = []
    async with instance.services.db.transaction() as conn:
        for number in range(5):
            kind = f"environment.{'push' if number % 2 else 'cron'}"
            new = NewActivity(project_id=project, type=kind, description="d", text="t")
            found.append(await activities.create(conn, new))
    return found


async def test_filters_paging_and_order(client: Client, project: str, made: list[Activity]) -> None:
    path = f"/projects/{project}/activities"
    newest_first = [each.id for each in reversed(made)]

    async def ids(query: str) -> list[str]:
        return [each["id"] for each in await client.get(f"{path}?{query}") if each["type"] != "project.create"]

    assert await ids("") == newest_first
    assert await ids("type=environment.push") == [made[3].id, made[1].id]
    assert await ids("type=environment.push&type=environment.cron&type=other") == newest_first
    assert await ids("type[]=environment.push") == [made[3].id, made[1].id]
    assert await ids("state=pending&state=in_progress&state=staged") == []
    assert await ids("state=complete&result=success") == newest_first
    assert await ids("result=failure") == []
    assert await ids("count=2") == newest_first[:2]
    edge = str(iso(made[2].created_at))
    for mangled in (edge, edge.replace("+", "%20"), edge.replace("+", "%2B")):
        assert await ids(f"starts_at={mangled}&count=2") == newest_first[2:4]
    assert await ids(f"starts_at={made[2].created_at.timestamp() + 1}&count=1") == newest_first[:1]


@pytest.mark.parametrize(
    "query",
    ["count=0", "count=-1", "count=ten", "count=%D9%A1", "state=done", "result=ok", "starts_at=soon", "type=%00"],
)
async def test_a_wrong_filter_is_refused(client: Client, project: str, query: str) -> None:
    answer = await client("GET", f"/projects/{project}/activities?{query}")
    assert (answer.status, list(answer.json["detail"])) == (400, [query.partition("=")[0]])


async def test_an_absurd_count_is_cut(client: Client, project: str, made: list[Activity]) -> None:
    assert len(await client.get(f"/projects/{project}/activities?count={'9' * 400}")) == len(made) + 1


@in_shared_loop
async def crowded(instance: Instance, second: Instance, project: str) -> list[str]:
    """The ids of 120 activities, newest first: made in one transaction each by two servers, at the same time."""

    async def make(server: Instance) -> None:
        for _ in range(3):
            async with server.services.db.transaction() as conn:
                for _ in range(20):
                    new = NewActivity(project_id=project, type="environment.cron", description="d", text="t")
                    await activities.create(conn, new)

    await asyncio.gather(make(instance), make(second))
    async with instance.services.db.connection() as conn:
        cursor = await conn.execute(
            "select id from activity where project_id = %s and type = 'environment.cron' order by created_at desc",
            [project],
        )
        return [row["id"] for row in await cursor.fetchall()]


WAYS_TO_WRITE: Final[dict[str, Callable[[str], str]]] = {
    "plus": lambda moment: moment,
    "space": lambda moment: moment.replace("+", "%20"),
    "encoded": lambda moment: moment.replace("+", "%2B"),
    "zulu": lambda moment: moment.replace("+00:00", "Z"),
    "unix": lambda moment: f"{datetime.fromisoformat(moment).timestamp():.6f}",
}


async def test_a_client_comes_to_the_end_page_after_page(client: Client, project: str, crowded: list[str]) -> None:
    path = f"/projects/{project}/activities?type=environment.cron&type=other&timeout=6&limit=2"
    for way, write in WAYS_TO_WRITE.items():
        seen: list[str] = []
        page = await client.get(path)
        assert len(page) == 25
        while fresh := [each["id"] for each in page if each["id"] not in seen]:
            seen += fresh
            page = await client.get(f"{path}&count=25&starts_at={write(page[-1]['created_at'])}")
        assert seen == crowded, way


async def test_every_type_but_one_can_be_asked_for(client: Client, project: str, made: list[Activity]) -> None:
    others = "&".join(f"type=environment.of-a-long-name.{number:04}" for number in range(70))
    assert len(others) > 2500
    path = f"/projects/{project}/activities?{others}&type=environment.push&type=environment.push"
    assert [each["id"] for each in await client.get(path)] == [made[3].id, made[1].id]
    states = "state=complete&state=cancelled&state=pending&result=success&result=failure"
    assert [each["id"] for each in await client.get(f"{path}&{states}")] == [made[3].id, made[1].id]
    assert await client.get(f"{path}&state=cancelled&state=scheduled") == []


async def test_an_activity_has_its_links_from_every_side(client: Client, project: str) -> None:
    entity = await create(client, project)
    (fetch, _) = await client.get(f"/projects/{project}/integrations/{entity['id']}/activities")
    path = f"/api/projects/{project}/activities/{fetch['id']}"
    assert fetch["_links"] == {
        "self": {"href": PUBLIC_URL + path},
        "log": {"href": path + "/log"},
        "#cancel": {"href": path + "/cancel"},
    }
    assert await client.get(path) == fetch
    assert await client.get(f"/projects/{project}/integrations/{entity['id']}/activities/{fetch['id']}") == fetch
    assert fetch["completion_percent"] == 0
    assert fetch["environments"] == []


async def test_a_viewer_sees_activities_but_not_how_integrations_are_set_up(
    client: Client, project: str, new_user: NewUser
) -> None:
    await create(client, project)
    viewer = await new_user("viewer", project, "viewer")
    for mine, theirs in zip(
        await client.get(f"/projects/{project}/activities"),
        await viewer.get(f"/projects/{project}/activities"),
        strict=True,
    ):
        assert "integration" not in theirs["payload"]
        assert "#cancel" not in theirs["_links"]
        assert theirs["payload"].items() <= mine["payload"].items()


async def test_cancelling(client: Client, project: str, new_user: NewUser) -> None:
    entity = await create(client, project)
    fetch, hooks = await client.get(f"/projects/{project}/integrations/{entity['id']}/activities")
    viewer = await new_user("viewer", project, "viewer")
    path = f"/projects/{project}/activities/{fetch['id']}/cancel"
    assert (await viewer("POST", path)).status == 403
    headers = {"Content-Type": "application/json"}
    answer = await client("POST", path, raw=b"", headers=headers)
    assert (answer.status, answer.json["_embedded"]["activities"]) == (200, [])
    ended = answer.json["_embedded"]["entity"]
    assert (ended["state"], ended["completion_percent"], "#cancel" in ended["_links"]) == ("cancelled", 100, False)
    again = await client("POST", path)
    assert again.status == 400
    assert "cannot be cancelled in its current state" in again.json["message"]
    never = await client("POST", f"/projects/{project}/activities/{hooks['id']}/cancel")
    assert never.status == 400


class Work:
    """Writes a log as a worker does, in the middle of the API's back."""

    def __init__(self, instance: Instance, activity: Activity) -> None:
        self.db, self.activity = instance.services.db, activity

    async def say(self, *texts: str) -> None:
        async with self.db.transaction() as conn:
            assert await logs.append(conn, self.activity, [(now(), text + "\n") for text in texts])

    async def finish(self) -> None:
        async with self.db.transaction() as conn:
            assert await activities.finish(conn, self.activity, Outcome())


@in_shared_loop
async def work(instance: Instance, project: str) -> Work:
    """A running activity."""
    new = NewActivity(project_id=project, type="environment.push", description="d", text="t", concurrency_key="k")
    async with instance.services.db.transaction() as conn:
        created = await activities.create(conn, new)
        begun = await activities.begin(conn, created.id)
    assert begun is not None
    return Work(instance, begun)


def messages(text: bytes) -> list[str]:
    lines = [json.loads(line) for line in text.splitlines()]
    return ["<seal>" if each.get("seal") else each["data"]["message"] for each in lines]


async def test_a_reader_in_a_hurry_gets_what_there_is(client: Client, project: str, work: Work) -> None:
    path = f"/projects/{project}/activities/{work.activity.id}/log?start_at=0&max_items=0&max_delay=-1"
    await work.say("one", "two")
    answer = await client("GET", path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-json-stream")
    assert messages(answer.body) == ["one\n", "two\n"]
    await work.finish()
    assert messages((await client("GET", path)).body) == ["one\n", "two\n", "<seal>"]


async def test_a_patient_reader_sees_lines_as_they_come_and_the_seal_last(
    client: Client, project: str, work: Work
) -> None:
    path = f"/projects/{project}/activities/{work.activity.id}"
    headers = {"Authorization": f"Bearer {client.token}"}
    # Parameters of the list stick to the link of the log in some clients.
    async with client.session.get(f"{client.url}{path}/log?count=10", headers=headers) as answer:
        assert answer.status == 200
        for text in ("one", "two"):
            await work.say(text)
            line: dict[str, Any] = json.loads(await asyncio.wait_for(answer.content.readline(), 4))
            assert line["data"]["message"] == f"{text}\n"
        await work.finish()
        assert json.loads(await asyncio.wait_for(answer.content.readline(), 4))["seal"] is True
        assert (await client.get(path))["completion_percent"] == 100
        assert await answer.content.read() == b""


async def test_a_reader_with_an_offset_is_held_until_the_seal(client: Client, project: str, work: Work) -> None:
    await work.say("one", "two", "three")
    path = f"/projects/{project}/activities/{work.activity.id}/log?start_at=1"
    reading = asyncio.create_task(client("GET", path))
    await work.say("four")
    assert not reading.done()
    await work.finish()
    assert messages((await asyncio.wait_for(reading, 8)).body) == ["two\n", "three\n", "four\n", "<seal>"]


@pytest.mark.parametrize("taken", ["access", "token"])
async def test_who_may_read_no_more_gets_no_more(
    client: Client, project: str, work: Work, new_user: NewUser, taken: str
) -> None:
    viewer = await new_user("viewer", project, "viewer")
    me, token = (await viewer.get("/users/me"))["id"], (await viewer.get("/users/me/api-tokens"))[0]["id"]
    paths = {"access": f"/projects/{project}/user-access/{me}", "token": f"/users/{me}/api-tokens/{token}"}
    await work.say("one")
    path, headers = (
        f"/projects/{project}/activities/{work.activity.id}/log",
        {"Authorization": f"Bearer {viewer.token}"},
    )
    async with client.session.get(client.url + path, headers=headers) as answer:
        assert messages(await answer.content.readline()) == ["one\n"]
        assert (await client("DELETE", paths[taken])).status == 200
        await work.say("two")
        assert await asyncio.wait_for(answer.content.read(), 8) == b""
    await work.finish()


async def test_one_account_does_not_keep_everybody_busy_with_its_readers(
    client: Client, project: str, work: Work, new_user: NewUser
) -> None:
    viewer = await new_user("viewer", project, "viewer")
    await work.say("one")
    url = f"{client.url}/projects/{project}/activities/{work.activity.id}/log"
    async with AsyncExitStack() as stack:

        async def follow() -> ClientResponse:
            reading = client.session.get(url, headers={"Authorization": f"Bearer {viewer.token}"})
            return await stack.enter_async_context(reading)

        answers = await asyncio.gather(*[follow() for _ in range(MOST + 20)])
        assert Counter(each.status for each in answers) == {200: MOST, 503: 20}
        refused = await viewer("GET", f"/projects/{project}/activities/{work.activity.id}/log")
        assert (refused.status, f"{MOST} logs already" in refused.json["message"]) == (503, True)
        other = client.session.get(url, headers={"Authorization": f"Bearer {client.token}"})
        assert (await stack.enter_async_context(other)).status == 200
        await work.finish()

    async def is_let_in() -> bool:
        return (await viewer("GET", f"/projects/{project}/activities/{work.activity.id}/log")).status == 200

    await eventually(is_let_in)


async def test_an_old_reader_over_http_1_0_gets_every_line_and_the_end_of_the_connection(
    client: Client, project: str, work: Work
) -> None:
    await work.say("one")
    await work.finish()
    host, _, port = client.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    path = f"/projects/{project}/activities/{work.activity.id}/log"
    writer.write(f"GET {path} HTTP/1.0\r\nAuthorization: Bearer {client.token}\r\n\r\n".encode())
    head, _, body = (await asyncio.wait_for(reader.read(), 8)).partition(b"\r\n\r\n")
    writer.close()
    assert b" 200 " in head.splitlines()[0]
    # The server frames its chunks for these readers too; PHP, the one client that asks in 1.0, reads them.
    assert messages(b"\n".join(line for line in body.splitlines() if line.startswith(b"{"))) == ["one\n", "<seal>"]
