"""What leads to a reconcile, and what comes before and after an integration's life."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from tests.sync.conftest import BOX, INTEGRATION, Room
from tests.sync.forge import Forge
from tieline.core import kinds
from tieline.core.clock import now
from tieline.core.documents import Activity
from tieline.core.errors import CredentialsRefused, RateLimited, Unreachable
from tieline.core.kinds import fetch_scope, integration_actor
from tieline.core.remote import Scope
from tieline.store import activities, hooks, integrations, projects
from tieline.store.hooks import NewHook
from tieline.sync.handlers import SourceWork

HOOK_URL = f"https://tieline.example/{INTEGRATION}/hook"
FETCH = "integration.forge.fetch"


def raising(error: Exception) -> object:
    def fault(_what: str) -> None:
        raise error

    return fault


async def pending(room: Room) -> list[Activity]:
    return [each for each in await room.activities(FETCH) if each.state == "pending"]


async def receive(room: Room, *bodies: object, signed: bool = True) -> list[str]:
    """Webhooks arrive and are read; what became of each."""
    headers = {"x-signature": "yes"} if signed else {}
    rows = [NewHook(INTEGRATION, headers, orjson.dumps(body), is_signed=signed) for body in bodies]
    async with room.database.transaction() as conn:
        await hooks.insert_many(conn, rows)
    await room.work.read_hooks(INTEGRATION)
    async with room.database.connection() as conn:
        cursor = await conn.execute("select outcome from hook_delivery where read_at is not null order by id")
        return [row["outcome"] for row in await cursor.fetchall()]


async def test_hooks_become_one_fetch_of_what_they_hint_at(room: Room) -> None:
    outcomes = await receive(
        room, {"event": "push"}, {"event": "pull", "number": 3}, {"event": "star"}, {"event": "pull", "number": 4}
    )
    assert outcomes == [
        "Read: push",
        "Read: pull",
        "Ignored: star changes nothing",
        "Read: pull",
    ]
    (fetch,) = await pending(room)
    assert fetch_scope(fetch.parameters) == Scope(frozenset({3, 4}), repository=False)
    assert fetch.parameters["reason"] == "hook"


async def test_hooks_that_mean_nothing_ask_for_nothing(room: Room) -> None:
    await receive(room, {"event": "star"})
    assert await pending(room) == []


async def test_a_hook_that_nobody_understands_asks_to_look(room: Room) -> None:
    assert await receive(room, "what") == ["Not understood, so everything is looked at: This is no hook of a forge."]
    (fetch,) = await pending(room)
    assert fetch_scope(fetch.parameters) == Scope()


async def test_an_unsigned_hook_only_asks_to_look(room: Room) -> None:
    assert await receive(room, {"event": "star"}, signed=False) == ["Not signed: a request to look again."]
    (fetch,) = await pending(room)
    assert fetch_scope(fetch.parameters) == Scope()


async def test_more_hooks_than_are_read_at_once(room: Room) -> None:
    outcomes = await receive(room, *({"event": "push"} for _ in range(hooks.READ_AT_ONCE + 5)))
    assert len(outcomes) == hooks.READ_AT_ONCE + 5
    assert len(await pending(room)) == 1


async def test_a_hook_of_another_repository_has_ours_looked_at(room: Room) -> None:
    await room.set_state(remote_id="{repository-1}")
    await receive(room, {"event": "push", "id": "{repository-1}"})
    (fetch,) = await pending(room)
    assert not fetch_scope(fetch.parameters).repository
    await receive(room, {"event": "push", "id": "{repository-2}"})
    (fetch,) = await pending(room)
    assert fetch_scope(fetch.parameters) == Scope(frozenset(), repository=True)


async def test_a_hook_of_a_renamed_repository_has_it_looked_at(room: Room) -> None:
    """Under the old name there may be a stranger's by now."""
    await room.set_state(remote_id="{repository-1}")
    await receive(room, {"event": "push", "id": "{repository-1}", "name": "ACME/Site"})
    (fetch,) = await pending(room)
    assert not fetch_scope(fetch.parameters).repository
    await receive(room, {"event": "push", "id": "{repository-1}", "name": "acme/shop"})
    (fetch,) = await pending(room)
    assert fetch_scope(fetch.parameters).repository


async def test_the_timer_asks_for_a_fetch_when_there_is_something_to_do(room: Room) -> None:
    await room.work.probe(INTEGRATION)
    (fetch,) = await pending(room)
    assert fetch.parameters["reason"] == "timer"
    room.forge.asked.clear()
    await room.work.probe(INTEGRATION)
    assert (len(await pending(room)), room.forge.asked) == (1, []), "one that waits does the work"
    await room.run(fetch)

    await room.work.probe(INTEGRATION)
    assert await pending(room) == []
    following = (await room.integration()).next_reconcile_at
    assert following is not None
    assert following > now() + timedelta(seconds=290)

    room.forge.repository.commit("main", "more")
    await room.work.probe(INTEGRATION)
    assert len(await pending(room)) == 1


async def test_the_timer_tells_of_a_failure_once(room: Room) -> None:
    await room.fetch()
    await room.let_interval_pass()
    room.forge.fault = raising(Unreachable("no answer"))  # type: ignore[assignment]
    await room.work.probe(INTEGRATION)
    (fetch,) = await pending(room)
    outcome, _ = await room.run(fetch)
    assert outcome.result == "failure"
    for _ in range(3):
        await room.work.probe(INTEGRATION)
    assert await pending(room) == []
    assert (await room.integration()).last_error == "no answer"

    room.forge.fault = None
    await room.work.probe(INTEGRATION)
    assert await pending(room) == []
    assert (await room.integration()).last_error is None


@pytest.mark.parametrize(("minutes", "looks_after"), [(2, 2), (20, 5)])
async def test_the_timer_waits_when_the_host_asks_for_it_and_looks_with_git_alone(
    room: Room, minutes: int, looks_after: int
) -> None:
    await room.fetch()
    await room.let_interval_pass()
    error = RateLimited("slow down", now() + timedelta(minutes=minutes))
    room.forge.fault = raising(error)  # type: ignore[assignment]
    await room.work.probe(INTEGRATION)
    found = await room.integration()
    assert (found.last_error, await pending(room)) == (None, [])
    assert found.next_reconcile_at is not None
    assert found.next_reconcile_at - now() == pytest.approx(timedelta(minutes=looks_after), abs=timedelta(seconds=5))

    room.forge.repository.commit("feature/b", "b")
    await room.work.probe(INTEGRATION)
    (fetch,) = await pending(room)
    # It asks whose repository this is before it does anything, and has another half of the budget for that.
    assert fetch_scope(fetch.parameters) == Scope(frozenset(), repository=True)
    room.forge.fault = None
    await room.run(fetch)
    assert "feature-b" in await room.environments()


async def test_what_a_hook_hinted_at_too_early_is_looked_at_again_and_nothing_else(room: Room) -> None:
    room.forge.open_pull(7, "feature/a")
    await room.fetch()
    await room.hook(7)
    room.forge.asked.clear()

    await room.work.probe(INTEGRATION)

    assert room.forge.asked == ["pull 7"]
    assert await pending(room) == []
    found = await room.integration()
    assert found.reconciled_at is not None
    assert found.next_reconcile_at == found.reconciled_at + timedelta(minutes=5), "the full look is not put off"

    room.forge.change_pull(7, title="Late")
    await room.work.probe(INTEGRATION)
    (fetch,) = await pending(room)
    assert fetch_scope(fetch.parameters) == Scope(frozenset({7}), repository=True)


async def test_the_timer_looks_at_everything_when_the_interval_is_over(room: Room) -> None:
    await room.fetch()
    await room.let_interval_pass()
    room.forge.asked.clear()
    await room.work.probe(INTEGRATION)
    assert room.forge.asked == ["repository", "pulls"]


async def register(room: Room) -> tuple[str, list[str]]:
    integration = await room.integration()
    async with room.database.transaction() as conn:
        project = await projects.get(conn, room.project_id)
        new = kinds.register_hooks(project, integration, "Forge", integration_actor(integration, "Forge"))
        created = await activities.create(conn, new)
    outcome, log = await room.run(created)
    return outcome.result, log


async def test_the_hook_is_registered(room: Room) -> None:
    assert await register(room) == ("success", [f"Registered the webhook {HOOK_URL}"])
    integration = await room.integration()
    assert room.forge.hooks == {integration.hook_id: HOOK_URL}
    assert integration.hook_checked_at is not None
    assert await register(room) == ("success", [f"Found the webhook {HOOK_URL}"])


async def test_without_the_right_to_add_hooks_the_log_says_how_to_do_it(room: Room) -> None:
    room.forge.fault = raising(CredentialsRefused("webhook scope missing", 403))  # type: ignore[assignment]
    result, log = await register(room)
    assert result == "failure"
    assert log[0] == "The webhook could not be registered: webhook scope missing"
    assert f"URL {HOOK_URL}, these events: push, pull." in log[1]
    room.forge.fault = None
    outcome, _ = await room.fetch()
    assert outcome.result == "success"


@pytest.mark.parametrize("error", [Unreachable("no answer"), CredentialsRefused("wrong secret", 401)])
async def test_nobody_is_sent_to_a_host_that_is_down_or_knows_them_not(room: Room, error: Exception) -> None:
    room.forge.fault = raising(error)  # type: ignore[assignment]
    assert await register(room) == (
        "failure",
        [f"The webhook could not be registered: {error}", "Tieline tries again by itself."],
    )


async def test_a_hook_that_somebody_removed_is_repaired_within_the_hour(room: Room) -> None:
    await room.fetch()
    await register(room)
    room.forge.hooks.clear()
    await room.work.probe(INTEGRATION)
    assert room.forge.hooks == {}
    await room.set_state(hook_checked_at=now() - timedelta(minutes=61))
    await room.work.probe(INTEGRATION)
    assert list(room.forge.hooks.values()) == [HOOK_URL]
    assert (await room.integration()).hook_id in room.forge.hooks


@pytest.mark.parametrize(("error", "minutes"), [(Unreachable("no answer"), 1), (CredentialsRefused("no", 403), 60)])
async def test_a_hook_is_tried_again_soon_where_only_the_host_was_down(
    room: Room, error: Exception, minutes: int
) -> None:
    room.forge.fault = raising(error)  # type: ignore[assignment]
    await register(room)
    room.forge.fault = None
    await room.fetch()
    checked = (await room.integration()).hook_checked_at
    assert checked is not None
    for passed, hooks_then in ((minutes - 0.5, 0), (1, 1)):
        checked -= timedelta(minutes=passed)
        await room.set_state(hook_checked_at=checked)
        await room.work.probe(INTEGRATION)
        assert len(room.forge.hooks) == hooks_then


async def delete(room: Room) -> None:
    async with room.database.transaction() as conn:
        await integrations.mark_deleted(conn, await integrations.get_any(conn, BOX, INTEGRATION))


async def is_gone(room: Room) -> bool:
    async with room.database.connection() as conn:
        return await integrations.find_any(conn, BOX, INTEGRATION) is None


@pytest.fixture
async def hooked(room: Room) -> Room:
    await room.fetch()
    await register(room)
    room.forge.hooks["other"] = "https://elsewhere.example/hook"
    return room


async def test_a_removed_integration_takes_its_hook_along_and_leaves_environments(hooked: Room) -> None:
    before = await hooked.environments()
    await delete(hooked)
    await hooked.work.remove_integration(INTEGRATION)
    assert await is_gone(hooked)
    assert hooked.forge.hooks == {"other": "https://elsewhere.example/hook"}
    after = await hooked.environments()
    assert after == {name: replace(each, integration_id=None) for name, each in before.items()}
    assert await hooked.mirror.refs("refs/sync") == {}
    assert set(await hooked.mirror.heads()) == {"main", "feature/a"}
    await hooked.work.remove_integration(INTEGRATION)


@pytest.mark.parametrize("by_another_name", [True, False])
async def test_the_hook_of_a_repository_that_is_followed_no_more_goes(hooked: Room, *, by_another_name: bool) -> None:
    """Unless it is the same repository after all, whose hook was found again."""
    before = await hooked.integration()
    async with hooked.database.transaction() as conn:
        await integrations.leave_behind(conn, BOX, before, "left234567890")
    if not by_another_name:
        await hooked.set_state(hook_id=None)

    await hooked.work.remove_integration("left234567890")

    assert (before.hook_id in hooked.forge.hooks) is by_another_name
    async with hooked.database.connection() as conn:
        assert await integrations.find_any(conn, BOX, "left234567890") is None
    assert await hooked.integration() != before or by_another_name


async def test_an_integration_that_nobody_removed_stays(hooked: Room) -> None:
    await hooked.work.remove_integration(INTEGRATION)
    assert not await is_gone(hooked)


async def test_a_host_that_is_down_is_asked_again_but_not_for_ever(hooked: Room) -> None:
    await delete(hooked)
    hooked.forge.fault = raising(Unreachable("no answer"))  # type: ignore[assignment]
    hooked.forge.asked.clear()
    for _ in range(3):
        await hooked.work.remove_integration(INTEGRATION)
    assert (hooked.forge.asked, await is_gone(hooked)) == (["remove"], False)

    async with hooked.database.transaction() as conn:
        await conn.execute("update integration set deleted_at = deleted_at - interval '61 minutes'")
        await conn.execute("update integration set next_reconcile_at = next_reconcile_at - interval '31 seconds'")
    await hooked.work.remove_integration(INTEGRATION)
    assert (hooked.forge.asked, await is_gone(hooked)) == (["remove", "remove"], True)


async def test_credentials_that_were_revoked_do_not_keep_an_integration(hooked: Room) -> None:
    await delete(hooked)
    hooked.forge.fault = raising(CredentialsRefused("revoked"))  # type: ignore[assignment]
    await hooked.work.remove_integration(INTEGRATION)
    assert await is_gone(hooked)


async def test_a_removal_waits_for_a_fetch_that_runs(hooked: Room) -> None:
    async with hooked.database.transaction() as conn:
        project = await projects.get(conn, hooked.project_id)
        integration = await integrations.get_any(conn, BOX, INTEGRATION)
        actor = integration_actor(integration, "Forge")
        running = await activities.create(conn, kinds.fetch(project, integration, "Forge", actor, {}))
        await activities.begin(conn, running.id)
        waiting = await activities.create(conn, kinds.fetch(project, integration, "Forge", actor, {}))
    await delete(hooked)

    await hooked.work.remove_integration(INTEGRATION)

    assert not await is_gone(hooked)
    async with hooked.database.connection() as conn:
        first, second = await activities.get_any(conn, running.id), await activities.get_any(conn, waiting.id)
    assert first is not None
    assert second is not None
    assert (first.cancel_requested_at is not None, second.state) == (True, "cancelled")
    await hooked.end_activities()
    await hooked.work.remove_integration(INTEGRATION)
    assert await is_gone(hooked)


async def test_a_fetch_of_a_removed_integration_does_nothing(room: Room, forge: Forge) -> None:
    integration = await room.integration()
    async with room.database.transaction() as conn:
        project = await projects.get(conn, room.project_id)
        actor = integration_actor(integration, "Forge")
        asked = await activities.create(conn, kinds.fetch(project, integration, "Forge", actor, {}))
    await delete(room)
    outcome, log = await room.run(asked)
    assert (outcome.result, log, forge.asked) == ("success", ["The integration was removed."], [])


async def test_who_reads_slowly_fails_once_and_has_a_place_of_its_own_then(room: Room) -> None:
    await room.fetch()
    room.work = SourceWork(replace(room.work.around, quick_seconds=0.3))
    room.forge.meanwhile = lambda: asyncio.sleep(0.4)
    outcome, log = await room.fetch()
    assert outcome.result == "failure"
    assert log == ["Reading the Git host took longer than 0.3 s. The next fetch gets all the time it needs."]
    assert (await room.fetch())[0].result == "success"
    await room.let_interval_pass()
    await room.work.probe(INTEGRATION)
    assert [fetch_scope(each.parameters) for each in await pending(room)] == [Scope()]
    async with room.database.connection() as conn:
        cursor = await conn.execute(
            "select queue_name from procrastinate_jobs"
            " where task_name = 'run_activity' and queue_name <> 'long' order by id"
        )
        assert [row["queue_name"] for row in await cursor.fetchall()] == ["slow", "short", "slow", "short"]
