"""The history of deliveries: how it is read, and what people may have done about it."""

import asyncio
from typing import Any

from tests.api.conftest import PUBLIC_URL, Client, Instance, NewUser, in_shared_loop
from tests.api.delivered import BODY, Post
from tests.api.test_integrations import create
from tieline.core.clock import iso
from tieline.store.figures import load_counts

SINK = {"type": "health.sink", "url": "https://x.example/", "shared_key": "planted-key"}


@in_shared_loop
async def post(instance: Instance, client: Client, project: str) -> Post:
    """An integration that is told of activities."""
    made = await client.post(f"/projects/{project}/integrations", SINK)
    return Post(instance, project, made["_embedded"]["entity"]["id"])


def path_of(post: Post) -> str:
    return f"/projects/{post.project_id}/integrations/{post.integration_id}"


@in_shared_loop
async def listed(post: Post, client: Client) -> Any:
    """Asks for the numbers of the deliveries that a query finds."""

    async def ask(query: str = "") -> list[int]:
        return [int(each["id"]) for each in await client.get(f"{path_of(post)}/deliveries?{query}")]

    return ask


async def test_an_integration_that_is_told_of_activities_links_its_deliveries(client: Client, post: Post) -> None:
    shown = await client.get(path_of(post))
    path = f"/api{path_of(post)}"
    added = {name: each["href"] for name, each in shown["_links"].items() if each["href"].startswith(f"{path}/")}
    assert added == {
        "#validate": f"{path}/validate",
        "deliveries": f"{path}/deliveries",
        "receiver": f"{path}/receiver",
        "#pause": f"{path}/pause",
        "#resume": f"{path}/resume",
    }


async def test_a_delivery_is_shown_with_its_attempts_and_what_is_sent(client: Client, post: Post) -> None:
    number = await post.tell(cause="cause1")
    await post.send("waiting")
    [shown] = await client.get(f"{path_of(post)}/deliveries")
    path = f"/api{path_of(post)}/deliveries/{number}"
    activities = f"/api/projects/{post.project_id}/activities"
    own = shown["own_activity"]
    assert shown == {
        "id": str(number),
        "created_at": shown["created_at"],
        "kind": "activity",
        "state": "waiting",
        "activity": {"id": "cause1", "type": "environment.push", "state": "complete", "result": "success"},
        "environment": "main",
        "build_status": None,
        "attempt_count": 1,
        "next_attempt_at": shown["next_attempt_at"],
        "finished_at": None,
        "last_error": "The receiver answered 503.",
        "own_activity": own,
        "_links": {
            "self": {"href": PUBLIC_URL + path},
            "activity": {"href": f"{activities}/cause1"},
            "own_activity": {"href": f"{activities}/{own}"},
            "log": {"href": f"{activities}/{own}/log"},
        },
    }
    assert shown["next_attempt_at"] > shown["created_at"]
    assert (await client.get(f"{activities}/{own}"))["state"] == "in_progress"
    whole = await client.get(path)
    assert whole == {
        **shown,
        "attempts": [
            {
                "number": 1,
                "started_at": "2026-11-23T10:00:00.000000+00:00",
                "seconds": 0.25,
                "verdict": "retry",
                "sentence": "The receiver answered 503.",
                "error_class": "status",
                "status": 503,
                "address": "203.0.113.7",
                "request": {
                    "method": "POST",
                    "url": "https://x.example/",
                    "headers": {"Content-Type": "application/json"},
                },
                "answer": "away \ufffd",
            }
        ],
        "request": {"body": BODY.decode()},
    }


async def test_a_build_status_says_what_it_says_of_the_commit(client: Client, post: Post) -> None:
    number = await post.report(state="failed")
    await post.send(request=None, address=None, answer=b"", status=None, error=None)
    shown = await client.get(f"{path_of(post)}/deliveries/{number}")
    assert (shown["kind"], shown["build_status"]["state"], shown["own_activity"]) == ("commit_status", "failed", None)
    assert (shown["request"], shown["environment"]) == (None, None)
    assert shown["activity"] == {"id": "a", "type": None, "state": None, "result": None}
    [attempt] = shown["attempts"]
    assert (attempt["request"], attempt["address"], attempt["answer"]) == (None, None, "")


async def test_what_authenticates_is_masked_wherever_it_turns_up(client: Client, post: Post) -> None:
    number = await post.tell()
    headers = {"authorization": "Bearer abcdefgh", "Cookie": "abcdefgh", "X-Echo": "planted-key", "webhook-id": "1"}
    url = "https://user:pw@x.example/?key=planted-key"
    await post.send(
        "failed",
        request={"method": "POST", "url": url, "headers": headers},
        answer=b"You sent planted-key",
        sentence="It said planted-key.",
    )
    async with post.instance.services.db.transaction() as conn:
        await conn.execute("update delivery set last_error = 'planted-key' where id = %s", [number])
    answer = await client("GET", f"{path_of(post)}/deliveries/{number}")
    assert b"planted-key" not in answer.body
    assert b"abcdefgh" not in answer.body
    assert b"user:pw" not in answer.body
    assert answer.json["attempts"][0]["request"]["headers"]["webhook-id"] == "1"


async def test_filters_and_paging(client: Client, post: Post, listed: Any) -> None:
    pushed = [await post.tell(cause=f"push{number}") for number in range(2)]
    activated = await post.tell("environment.activate", "stage", "other")
    created = await post.tell("project.create", None, "third")
    assert await post.send() == [pushed[0], activated, created]
    assert await post.send("failed") == [pushed[1]]
    newest_first = [created, activated, *reversed(pushed)]
    assert await listed() == newest_first
    assert await listed("state=failed") == [pushed[1]]
    assert await listed("state=failed&state[]=delivered") == newest_first
    assert await listed("type=environment.activate&type=project.create") == [created, activated]
    assert await listed("environment=stage") == [activated]
    assert await listed("activity=push1") == [pushed[1]]
    assert await listed("activity=push1&state=delivered") == []
    assert await listed("count=3") == newest_first[:3]
    assert await listed(f"count=2&before={activated}") == newest_first[2:]
    assert await listed(f"count={'9' * 400}") == newest_first
    second = (await client.get(f"{path_of(post)}/deliveries/{pushed[1]}"))["created_at"]
    assert await listed(f"since={second.replace('+', '%20')}") == newest_first[:3]
    assert await listed("nobody_knows=1") == newest_first


WRONG_FILTERS = (
    "count=0", "state=complete", "since=soon", "before=x", f"before={2**63}", "before=0", "environment=%00",
    "activity=%00", f"type={'x' * 300}",
)  # fmt: skip


async def test_a_wrong_filter_is_refused_by_its_name(client: Client, post: Post) -> None:
    for query in WRONG_FILTERS:
        answer = await client("GET", f"{path_of(post)}/deliveries?{query}")
        assert (answer.status, list(answer.json["detail"])) == (400, [query.partition("=")[0]])


async def test_a_delivery_that_is_not_there_is_not_found(client: Client, post: Post) -> None:
    for number in ("0", "1", "-1", "x", "9" * 30, str(2**63), "%D9%A1", "%00"):
        for method, path in (("GET", number), ("POST", f"{number}/replay")):
            answer = await client(method, f"{path_of(post)}/deliveries/{path}")
            assert (answer.status, answer.json["message"]) == (404, "Delivery not found")


async def test_one_of_another_integration_is_not_found(client: Client, post: Post) -> None:
    other = await create(client, post.project_id)
    number = await post.tell()
    path = f"/projects/{post.project_id}/integrations/{other['id']}/deliveries"
    assert (await client("GET", f"{path}/{number}")).status == 404
    assert await client.get(path) == []


async def test_a_replay_goes_out_in_its_place(client: Client, post: Post) -> None:
    first, second, third = [await post.tell() for _ in range(3)]
    await post.send("failed")
    [given_up] = await client.get(f"{path_of(post)}/deliveries?state=failed")
    assert given_up["_links"]["#replay"] == {"href": f"/api{path_of(post)}/deliveries/{first}/replay"}
    again = await client.post(given_up["_links"]["#replay"]["href"])
    entity = again["_embedded"]["entity"]
    assert (entity["state"], entity["attempt_count"], entity["own_activity"]) == ("pending", 1, None)
    assert "#replay" not in entity["_links"]
    # Before those of its environment that came after it.
    assert [await post.send() for _ in range(4)] == [[first], [second], [third], []]
    shown = await client.get(f"{path_of(post)}/deliveries/{first}")
    assert ([each["number"] for each in shown["attempts"]], shown["state"]) == ([1, 2], "delivered")
    assert shown["own_activity"] not in (None, given_up["own_activity"])


async def test_what_has_not_ended_is_not_replayed(client: Client, post: Post) -> None:
    number = await post.tell()
    await post.send("waiting")
    answer = await client("POST", f"{path_of(post)}/deliveries/{number}/replay")
    assert answer.status == 400
    assert answer.json["detail"] == {
        "": "This delivery has not ended: its state is waiting. It is sent without being replayed."
    }


async def test_a_build_status_is_not_replayed_over_a_newer_one(client: Client, post: Post) -> None:
    old = await post.report(state="running")
    await post.send("failed")
    new = await post.report(state="succeeded")
    await post.send("failed")
    path = f"{path_of(post)}/deliveries"
    answer = await client("POST", f"{path}/{old}/replay")
    assert (answer.status, "newer build status" in answer.json["detail"][""]) == (400, True)
    assert (await client.post(f"{path}/replay", {"since": "2026-01-01T00:00:00Z"}))["deliveries"] == 1
    assert await post.send() == [new]


async def test_all_that_failed_since_a_moment_is_replayed_in_order(client: Client, post: Post, listed: Any) -> None:
    numbers = [await post.tell() for _ in range(4)]
    for _ in range(3):
        await post.send("failed")
    await post.send("delivered")
    since = (await client.get(f"{path_of(post)}/deliveries/{numbers[1]}"))["created_at"]
    answer = await client.post(f"{path_of(post)}/deliveries/replay", {"since": since})
    assert answer == {"status": "OK", "code": 200, "deliveries": 2}
    assert await listed("state=pending") == [numbers[2], numbers[1]]
    assert [await post.send() for _ in range(3)] == [[numbers[1]], [numbers[2]], []]


async def test_a_replay_of_several_needs_a_moment(client: Client, post: Post) -> None:
    for body in ({}, {"since": "soon"}, {"since": None}, {"since": "2026-01-01T00:00:00"}):
        answer = await client("POST", f"{path_of(post)}/deliveries/replay", body)
        assert (answer.status, list(answer.json["detail"])) == (400, ["since"])


async def test_a_pause_holds_everything_until_it_is_resumed(
    instance: Instance, client: Client, post: Post, listed: Any
) -> None:
    first = await post.tell()
    await post.send("failed")
    second = await post.tell()
    await post.send("waiting")
    third = await post.tell()
    paused = await client.post(f"{path_of(post)}/pause", {"reason": "It <moves>."})
    assert paused["deliveries"] == 2
    entity = paused["_embedded"]["entity"]
    assert (entity["paused"], entity["paused_because"]) == (True, "It <moves>.")
    assert entity["deliveries"] == {"pending": 0, "delivering": 0, "waiting": 0, "held": 2, "failed": 1}
    assert {each for each in entity["_links"] if each.startswith("#")} == {"#replay", "#resume"}
    [told] = paused["_embedded"]["activities"]
    assert (told["type"], told["state"]) == ("integration.health.sink.pause", "complete")
    assert told["text"].endswith("It <moves>.")
    assert "It &lt;moves&gt;." in told["description"]

    fourth = await post.tell()
    held = await client.post(f"{path_of(post)}/deliveries/{first}/replay")
    assert held["_embedded"]["entity"]["state"] == "held"
    assert await post.send() == []
    assert await listed("state=held") == [fourth, third, second, first]
    assert await listed("state=waiting&state=pending") == []
    async with instance.services.db.connection() as conn:
        counts = {each.state: each.count for each in await load_counts(conn) if each.kind == "deliveries"}
    assert counts["held"] >= 4

    resumed = await client.post(f"{path_of(post)}/resume")
    assert resumed["deliveries"] == 4
    [told] = resumed["_embedded"]["activities"]
    assert told["type"] == "integration.health.sink.resume"
    assert [await post.send() for _ in range(5)] == [[first], [second], [third], [fourth], []]


async def test_pausing_and_resuming_twice_changes_nothing_more(client: Client, post: Post) -> None:
    first = await client.post(f"{path_of(post)}/pause")
    assert first["_embedded"]["entity"]["paused_because"].endswith("asked for it.")
    again = await client.post(f"{path_of(post)}/pause", {"reason": "Another one."})
    assert again["_embedded"] == {"entity": first["_embedded"]["entity"], "activities": []}
    resumed = await client.post(f"{path_of(post)}/resume")
    assert len(resumed["_embedded"]["activities"]) == 1
    twice = await client.post(f"{path_of(post)}/resume")
    assert twice["_embedded"] == {"entity": resumed["_embedded"]["entity"], "activities": []}
    types = [each["type"] for each in await client.get(f"{path_of(post)}/activities")]
    assert types == ["integration.health.sink.resume", "integration.health.sink.pause"]


async def test_many_who_pause_at_once_pause_once(client: Client, post: Post) -> None:
    orders = [client.post(f"{path_of(post)}/pause") for _ in range(6)]
    answers = await asyncio.gather(*orders)
    assert sum(len(each["_embedded"]["activities"]) for each in answers) == 1


async def test_resuming_closes_the_breaker(instance: Instance, client: Client, post: Post) -> None:
    moment = instance.services.now()
    async with instance.services.db.transaction() as conn:
        await conn.execute(
            "insert into receiver (integration_id, failures, failing_since, closed_until)"
            " values (%s, 7, %s, %s::timestamptz + interval '1 hour')",
            [post.integration_id, moment, moment],
        )
    shown = await client.get(f"{path_of(post)}/receiver")
    assert (shown["failures"], shown["failing_since"]) == (7, iso(moment))
    assert shown["breaker_open_until"] > iso(moment)
    assert {each for each in shown["_links"] if each.startswith("#")} == {"#replay", "#pause", "#resume"}
    await client.post(f"{path_of(post)}/resume")
    shown = await client.get(f"{path_of(post)}/receiver")
    assert (shown["failures"], shown["failing_since"], shown["breaker_open_until"]) == (0, None, None)


async def test_what_is_told_nothing_cannot_be_paused(client: Client, project: str) -> None:
    forge = await create(client, project)
    for order in ("pause", "resume"):
        answer = await client("POST", f"/projects/{project}/integrations/{forge['id']}/{order}")
        assert (answer.status, list(answer.json["detail"])) == (400, ["type"])
        assert "of the type forge is not told of activities" in answer.json["detail"]["type"]
    shown = await client.get(f"/projects/{project}/integrations/{forge['id']}/receiver")
    assert not {"#pause", "#resume"} & shown["_links"].keys()


async def test_viewers_see_nothing_of_it(client: Client, post: Post, new_user: NewUser) -> None:
    viewer = await new_user("viewer", post.project_id, "viewer")
    number = await post.tell()
    for method, end in (("GET", "deliveries"), ("GET", f"deliveries/{number}"), ("GET", "receiver"), ("POST", "pause")):
        assert (await viewer(method, f"{path_of(post)}/{end}")).status == 403


async def test_very_many_are_not_all_counted(instance: Instance, client: Client, post: Post) -> None:
    async with instance.services.db.transaction() as conn:
        await conn.execute(
            "insert into delivery (project_id, integration_id, kind, is_first, state)"
            " select %s, %s, 'activity', true, 'waiting' from generate_series(1, 10_001)",
            [post.project_id, post.integration_id],
        )
    shown = await client.get(f"{path_of(post)}/receiver")
    assert (shown["deliveries"]["waiting"], shown["counts_are_complete"]) == (10_000, False)


async def test_a_delivery_is_given_up_by_cancelling_its_activity(client: Client, post: Post) -> None:
    first, second = await post.tell(), await post.tell()
    await post.send("waiting")
    shown = await client.get(f"{path_of(post)}/deliveries/{first}")
    own = await client.get(shown["_links"]["own_activity"]["href"])
    cancelled = await client.post(own["_links"]["#cancel"]["href"])
    assert cancelled["_embedded"]["entity"]["state"] == "cancelled"
    answer = await client("GET", f"{shown['_links']['log']['href']}?max_delay=-1")
    assert b"gave it up." in answer.body
    shown = await client.get(f"{path_of(post)}/deliveries/{first}")
    assert (shown["state"], shown["last_error"].endswith("gave it up.")) == ("failed", True)
    assert await post.send() == [second]
    again = await client.post(shown["_links"]["#replay"]["href"])
    assert again["_embedded"]["entity"]["state"] == "pending"


async def test_what_is_being_sent_is_not_given_up(client: Client, post: Post) -> None:
    number = await post.tell()
    await post.send("waiting")
    async with post.instance.services.db.transaction() as conn:
        await conn.execute("update delivery set due_at = now() where id = %s", [number])
    claimed = await post.claim()
    own = f"/projects/{post.project_id}/activities/{claimed[0].activity_id}"
    answer = await client("POST", f"{own}/cancel")
    assert (answer.status, answer.json["message"]) == (400, "The activity cannot be cancelled in its current state.")
    await post.end(*claimed)
    assert (await client.get(own))["state"] == "complete"
    assert (await client("POST", f"{own}/cancel")).status == 400
