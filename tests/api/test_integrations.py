"""Integrations: what is created, how it reads, what changes it, and what is refused."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from tests.api.bell import BELL
from tests.api.conftest import KEYS, PUBLIC_URL, Client, Instance, running
from tests.conftest import fresh_database
from tieline.core.secret import Secret
from tieline.store import hooks, integrations
from tieline.store.embedded import EmbeddedServer
from tieline.store.hooks import NewHook
from tieline.store.seal import SecretBox

BOX = SecretBox(KEYS)
FORGE: dict[str, Any] = {
    "type": "forge",
    "repository": "acme/site",
    "app_credentials": {"key": "k", "secret": "planted-secret"},
}
RINGING: dict[str, Any] = {"type": "bell", "key": "planted-key", "url": "https://1.1.1.1/planted-path"}


async def stored(instance: Instance, id: str) -> Any:
    async with instance.services.db.connection() as conn:
        return await integrations.get_any(conn, BOX, id)


async def create(client: Client, project: str, **fields: Any) -> dict[str, Any]:
    answer = await client.post(f"/projects/{project}/integrations", {**FORGE, **fields})
    entity: dict[str, Any] = answer["_embedded"]["entity"]
    return entity


async def open_types(client: Client, project: str) -> list[str]:
    listed = await client.get(f"/projects/{project}/activities?state=pending")
    return [each["type"] for each in reversed(listed)]


async def test_a_git_source_is_created_whole(client: Client, project: str, instance: Instance) -> None:
    answer = await client("POST", f"/projects/{project}/integrations", FORGE)
    assert (answer.status, answer.json["status"], answer.json["code"]) == (201, "Created", 201)
    assert b"planted-secret" not in answer.body
    embedded = answer.json["_embedded"]
    entity = embedded["entity"]
    path = f"/api/projects/{project}/integrations/{entity['id']}"
    assert entity == {
        "id": entity["id"],
        "created_at": entity["created_at"],
        "updated_at": None,
        "type": "forge",
        "role": "",
        "repository": "acme/site",
        "app_credentials": {"key": "k"},
        "fetch_branches": True,
        "prune_branches": True,
        "environment_init_resources": "default",
        "pull_requests_max_pages": None,
        "_links": {
            "self": {"href": PUBLIC_URL + path},
            "#edit": {"href": path},
            "#delete": {"href": path},
            "#validate": {"href": path + "/validate"},
            "#hook": {"href": path + "/hook"},
            "#sync": {"href": path + "/sync"},
        },
    }
    assert entity["created_at"].endswith("+00:00")
    assert [(each["type"], each["state"], each["integration"]) for each in embedded["activities"]] == [
        ("integration.forge.register_hooks", "pending", entity["id"]),
        ("integration.forge.fetch", "pending", entity["id"]),
    ]
    assert await client.get(f"/projects/{project}/integrations") == [entity]
    assert await client.get(path) == entity
    kept = await stored(instance, entity["id"])
    assert kept.secrets["app_credentials.secret"] == Secret("planted-secret")
    assert len(kept.secrets["hook"].reveal()) == 64
    assert kept.next_reconcile_at is not None


async def test_the_secret_is_sealed_in_the_database(client: Client, project: str, instance: Instance) -> None:
    entity = await create(client, project)
    async with instance.services.db.connection() as conn:
        query = "select integration_secret::text as row from integration_secret where integration_id = %s"
        cursor = await conn.execute(query, [entity["id"]])
        rows = await cursor.fetchall()
    assert len(rows) == 2
    assert b"planted-secret".hex() not in str(rows)
    assert "planted-secret" not in str(rows)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "type"),
        ({"type": None}, "type"),
        ({"type": ["forge"]}, "type"),
        ({"type": "bitbocket", "repository": "a/b"}, "type"),
        ({"type": "forge"}, "repository"),
        ({"type": "forge", "repository": "nothing"}, "repository"),
        ({"type": "forge", "repository": 7}, "repository"),
        ({"type": "forge", "repository": "a/b", "app_credentials": {"key": "k"}}, "app_credentials.secret"),
        (
            {"type": "forge", "repository": "a/b", "app_credentials": {"key": "k", "secret": 5}},
            "app_credentials.secret",
        ),
        ({"type": "forge", "repository": "a/b", "fetch_branches": "yes"}, "fetch_branches"),
        ({"type": "forge", "repository": "a/b", "pull_requests_max_pages": 0}, "pull_requests_max_pages"),
        ({"type": "health.sink", "url": "http://169.254.169.254/latest"}, "url"),
        ({"type": "health.sink", "url": "http://2130706433/"}, "url"),
        ({"type": "health.sink", "url": "file:///etc/passwd"}, "url"),
        ({"type": "health.sink", "url": "https://user:pw@example.org/"}, "url"),
    ],
)
async def test_what_cannot_be_is_refused_with_a_sentence(
    client: Client, project: str, body: dict[str, Any], field: str
) -> None:
    answer = await client("POST", f"/projects/{project}/integrations", body)
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/json")
    assert answer.json["message"] == "The integration is invalid."
    assert list(answer.json["detail"]) == [field]
    assert answer.json["detail"][field].endswith(".")
    assert await client.get(f"/projects/{project}/integrations") == []
    assert await open_types(client, project) == []


async def test_a_second_git_source_is_refused_and_a_sink_is_not(client: Client, project: str) -> None:
    first = await create(client, project)
    again = await client("POST", f"/projects/{project}/integrations", FORGE)
    assert (again.status, list(again.json["detail"])) == (400, ["type"])
    assert first["id"] in again.json["detail"]["type"]
    sink = await client.post(f"/projects/{project}/integrations", {"type": "health.sink", "url": "https://x.example/"})
    assert sink["_embedded"]["activities"] == []
    assert {"#hook", "#sync"}.isdisjoint(sink["_embedded"]["entity"]["_links"])
    assert len(await client.get(f"/projects/{project}/integrations")) == 2


async def test_read_only_fields_are_ignored_and_prune_needs_fetch(client: Client, project: str) -> None:
    entity = await create(client, project, id="mine", created_at="2001-01-01", role="admin", fetch_branches=False)
    assert (entity["id"], entity["role"], entity["prune_branches"]) != ("mine", "admin", True)
    assert entity["role"] == ""
    assert entity["prune_branches"] is False


async def test_a_patch_changes_what_it_names_and_synchronises(client: Client, project: str, instance: Instance) -> None:
    entity = await create(client, project)
    path = f"/projects/{project}/integrations/{entity['id']}"
    answer = await client("PATCH", path, {"fetch_branches": False})
    changed = answer.json["_embedded"]["entity"]
    assert (answer.status, answer.json["status"], answer.json["code"]) == (200, "OK", 200)
    assert changed["updated_at"] is not None
    assert (changed["fetch_branches"], changed["prune_branches"], changed["repository"]) == (False, False, "acme/site")
    assert [each["type"] for each in answer.json["_embedded"]["activities"]] == ["integration.forge.fetch"]
    assert await client.get(path) == changed
    assert (await stored(instance, entity["id"])).secrets["app_credentials.secret"] == Secret("planted-secret")


async def test_a_patch_that_changes_nothing_does_nothing(client: Client, project: str) -> None:
    entity = await create(client, project)
    path = f"/projects/{project}/integrations/{entity['id']}"
    for body in (
        {},
        {"repository": "acme/site"},
        {"id": "x", "type": "forge"},
        {"app_credentials": FORGE["app_credentials"]},
    ):
        answer = await client("PATCH", path, body)
        assert (answer.status, answer.json["_embedded"]["activities"]) == (200, [])
        assert answer.json["_embedded"]["entity"] == entity


@pytest.mark.parametrize("body", [{"type": "health.sink"}, {"repository": None}, {"app_credentials": {"key": "other"}}])
async def test_a_wrong_patch_changes_nothing(client: Client, project: str, body: dict[str, Any]) -> None:
    entity = await create(client, project)
    path = f"/projects/{project}/integrations/{entity['id']}"
    answer = await client("PATCH", path, {"fetch_branches": False, **body})
    assert answer.status == 400
    assert await client.get(path) == entity


async def test_another_repository_is_met_like_a_new_one(client: Client, project: str, instance: Instance) -> None:
    entity = await create(client, project)
    async with instance.services.db.transaction() as conn:
        await integrations.save_state(
            conn, entity["id"], remote_id="{uuid}", hook_id="h", signed_hook_seen=True, remote_default_branch="main"
        )
    before = await stored(instance, entity["id"])
    answer = await client("PATCH", f"/projects/{project}/integrations/{entity['id']}", {"repository": "acme/other"})
    assert [each["type"] for each in answer.json["_embedded"]["activities"]] == [
        "integration.forge.register_hooks",
        "integration.forge.fetch",
    ]
    after = await stored(instance, entity["id"])
    assert (after.remote_id, after.hook_id, after.remote_default_branch, after.signed_hook_seen) == (
        None,
        None,
        None,
        False,
    )
    assert after.secrets["hook"] != before.secrets["hook"]
    async with instance.services.db.connection() as conn:
        cursor = await conn.execute("select id, config from integration where deleted_at is not null and hook_id = 'h'")
        (left,) = await cursor.fetchall()
    assert left["config"]["repository"] == "acme/site", "whose hook is removed now"
    assert [each["id"] for each in await client.get(f"/projects/{project}/integrations")] == [entity["id"]]
    # The activities of the creation wait still, so no second ones were made.
    assert sorted(await open_types(client, project)) == ["integration.forge.fetch", "integration.forge.register_hooks"]


async def test_new_credentials_register_the_hook_again(client: Client, project: str, instance: Instance) -> None:
    entity = await create(client, project, app_credentials=None)
    body = {"app_credentials": {"key": "k2", "secret": "s2"}}
    answer = await client("PATCH", f"/projects/{project}/integrations/{entity['id']}", body)
    kinds = [each["type"] for each in answer.json["_embedded"]["activities"]]
    assert kinds == ["integration.forge.register_hooks", "integration.forge.fetch"]
    assert (await stored(instance, entity["id"])).secrets["app_credentials.secret"] == Secret("s2")


async def test_a_deleted_integration_is_gone_at_once_and_removed_later(
    client: Client, project: str, instance: Instance
) -> None:
    entity = await create(client, project)
    path = f"/projects/{project}/integrations/{entity['id']}"
    answer = await client("DELETE", path, {})
    assert (answer.status, answer.json) == (200, {"status": "OK", "code": 200, "_embedded": {"activities": []}})
    for method, where in (("GET", path), ("PATCH", path), ("DELETE", path), ("POST", path + "/hook")):
        assert (await client(method, where)).status == 404
    assert await client.get(f"/projects/{project}/integrations") == []
    assert (await stored(instance, entity["id"])).deleted_at is not None
    async with instance.services.db.connection() as conn:
        cursor = await conn.execute("select args from procrastinate_jobs where task_name = 'remove_integration'")
        assert {"integration_id": entity["id"]} in [row["args"] for row in await cursor.fetchall()]
    assert (await create(client, project))["id"] != entity["id"]


async def test_validate_says_what_is_missing(client: Client, project: str) -> None:
    entity = await create(client, project)
    path = f"/projects/{project}/integrations/{entity['id']}"
    headers = {"Content-Type": "application/json"}
    fine = await client("POST", path + "/validate", raw=b"", headers=headers)
    assert (fine.status, fine.json) == (200, {"status": "OK", "code": 200})
    await client("PATCH", path, {"repository": "acme/missing"})
    wrong = await client("POST", path + "/validate", raw=b"", headers=headers)
    assert (wrong.status, wrong.json["message"]) == (400, "The integration is invalid.")
    assert f"{PUBLIC_URL}/api{path}/hook" in wrong.json["detail"]["repository"]


async def test_sync_asks_for_one_fetch_of_everything(client: Client, project: str) -> None:
    entity = await create(client, project)
    path = f"/projects/{project}/integrations/{entity['id']}"
    answer = await client.post(path + "/sync", {"confirm_prune": True})
    fetch = answer["_embedded"]["activities"][0]
    assert (fetch["type"], fetch["parameters"]["confirm_prune"]) == ("integration.forge.fetch", True)
    assert len(await open_types(client, project)) == 2
    wrong = await client("POST", path + "/sync", {"confirm_prune": "yes"})
    assert (wrong.status, list(wrong.json["detail"])) == (400, ["confirm_prune"])


async def test_two_creations_at_once_leave_one_git_source(client: Client, project: str) -> None:
    answers = await asyncio.gather(*(client("POST", f"/projects/{project}/integrations", FORGE) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [201, 400, 400, 400, 400]
    assert len(await client.get(f"/projects/{project}/integrations")) == 1


async def test_the_store_keeps_an_integration_from_creation_to_removal(
    client: Client, project: str, instance: Instance
) -> None:
    entity = await create(client, project)
    async with instance.services.db.transaction() as conn:
        await hooks.insert_many(conn, [NewHook(entity["id"], {}, b"{}", is_signed=True)])
        with pytest.raises(ValueError, match="deleted_at"):
            await integrations.save_state(conn, entity["id"], deleted_at=None)
        await integrations.remove(conn, entity["id"])
        await integrations.remove(conn, entity["id"])
        assert await integrations.find_any(conn, BOX, entity["id"]) is None
        cursor = await conn.execute("select 1 from integration_secret where integration_id = %s", [entity["id"]])
        assert await cursor.fetchall() == []


async def rows_of(instance: Instance, id: str) -> str:
    """Everything that the database has of an integration."""
    queries = (
        "select integration::text as row from integration where id = %s",
        "select integration_secret::text as row from integration_secret where integration_id = %s",
        "select activity::text as row from activity where integration_id = %s",
    )
    async with instance.services.db.connection() as conn:
        return "\n".join(
            [row["row"] for query in queries for row in await (await conn.execute(query, [id])).fetchall()]
        )


async def test_a_type_that_is_told_from_its_creation_to_its_validation(postgres: EmbeddedServer) -> None:
    with fresh_database(postgres) as dsn:
        async with running(dsn, (BELL,)) as instance:
            created = await instance.client.post("/projects", {"title": "Church"})
            project = created["_embedded"]["entity"]["id"]
            await secrets_that_are_read_are_sealed(instance, project)
            await a_key_that_is_replaced_stays_good_for_a_day(instance, project)
            await what_should_be_better_is_said_with_the_answer(instance.client, project)
            await a_validation_is_told_of_like_a_delivery(instance.client, project)


async def secrets_that_are_read_are_sealed(instance: Instance, project: str) -> None:
    path = f"/projects/{project}/integrations"
    answer = await instance.client.post(path, RINGING)
    entity = answer["_embedded"]["entity"]
    assert "warnings" not in answer
    assert {name: entity[name] for name in RINGING} == RINGING
    assert await instance.client.get(path) == [entity]
    assert "planted" not in await rows_of(instance, entity["id"])
    refused = await instance.client("PATCH", f"{path}/{entity['id']}", {"url": "https://127.0.0.1/"})
    assert (refused.status, list(refused.json["detail"])) == (400, ["url"])
    cleared = await instance.client("PATCH", f"{path}/{entity['id']}", {"key": None})
    assert cleared.json["_embedded"]["entity"]["key"] is None
    assert list((await stored(instance, entity["id"])).secrets) == ["url"]


async def a_key_that_is_replaced_stays_good_for_a_day(instance: Instance, project: str) -> None:
    answer = await instance.client.post(f"/projects/{project}/integrations", RINGING)
    entity = answer["_embedded"]["entity"]["id"]
    path = f"/projects/{project}/integrations/{entity}"
    for key, known in (
        ("second-key", {"key": "second-key", "key.previous": "planted-key"}),
        ("third-key", {"key": "third-key", "key.previous": "second-key"}),
        (None, {}),
        ("fourth-key", {"key": "fourth-key"}),
        ("fifth-key", {"key": "fifth-key", "key.previous": "fourth-key"}),
    ):
        changed = await instance.client("PATCH", path, {"key": key})
        assert changed.json["_embedded"]["entity"]["key"] == key
        kept = {name: each.reveal() for name, each in (await stored(instance, entity)).secrets.items()}
        assert kept == {**known, "url": RINGING["url"]}
    async with instance.services.db.connection() as conn:
        query = "select expires_at - clock_timestamp() as left from integration_secret where name = 'key.previous'"
        (row,) = await (await conn.execute(query)).fetchall()
    assert timedelta(hours=23, minutes=59) < row["left"] <= timedelta(hours=24)
    await instance.client("PATCH", path, {"url": "https://1.1.1.1/moved"})
    assert (await stored(instance, entity)).secrets["key.previous"] == Secret("fourth-key")


async def what_should_be_better_is_said_with_the_answer(client: Client, project: str) -> None:
    warned = {"key": "Without a key, everybody can ring."}
    answer = await client.post(f"/projects/{project}/integrations", {**RINGING, "key": None})
    assert answer["warnings"] == warned
    path = f"/projects/{project}/integrations/{answer['_embedded']['entity']['id']}"
    assert (await client.post(f"{path}/validate"))["warnings"] == warned
    assert (await client("PATCH", path, {"url": "https://1.1.1.1/x"})).json["warnings"] == warned
    assert "warnings" not in (await client("PATCH", path, {"key": "k"})).json


async def a_validation_is_told_of_like_a_delivery(client: Client, project: str) -> None:
    answer = await client.post(f"/projects/{project}/integrations", RINGING)
    path = f"/projects/{project}/integrations/{answer['_embedded']['entity']['id']}"
    assert await client.post(f"{path}/validate") == {"status": "OK", "code": 200}
    await client("PATCH", path, {"key": None, "url": "https://1.1.1.1/silent"})
    assert (await client("POST", f"{path}/validate", {})).json["detail"] == {"url": "Nothing rang."}
    failed, succeeded = await client.get(f"{path}/activities")
    told = [(each["type"], each["state"], each["result"]) for each in (failed, succeeded)]
    assert told == [("integration.bell", "complete", "failure"), ("integration.bell", "complete", "success")]
    logs = [await messages(client, project, each["id"]) for each in (failed, succeeded)]
    assert logs[0][1:] == ["Warning: key: Without a key, everybody can ring.", "url: Nothing rang."]
    assert logs[1] == ["Rang at ********.", "The integration can work."]
    assert "planted" not in str((failed, succeeded))


async def messages(client: Client, project: str, activity: str) -> list[str]:
    answer = await client("GET", f"/projects/{project}/activities/{activity}/log")
    lines = [json.loads(line) for line in answer.body.splitlines() if line]
    return [line["data"]["message"].rstrip() for line in lines if "data" in line]
