"""A host that answers wrongly changes nothing, whatever it says. Nor does a worker that dies half way."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import pytest

from tests.git.http_backend import GitHandler, answering
from tests.sync.conftest import BOX, INTEGRATION, Lines, Room, WorkerDied
from tieline.core.clock import now
from tieline.core.documents import Environment
from tieline.core.errors import (
    Cancelled,
    CredentialsRefused,
    RateLimited,
    RemoteBroken,
    RemoteMoved,
    RemoteNotFound,
    Unreachable,
)
from tieline.core.kinds import integration_actor
from tieline.core.remote import PullListing, Scope
from tieline.store import activities, environments, fetches, integrations, projects

ADVERTISEMENT = {"Content-Type": "application/x-git-upload-pack-advertisement"}
EMPTY = b"001e# service=git-upload-pack\n0000003f" + b"0" * 40 + b" capabilities^{}\0agent=x\n0000"


def raising(error: Exception, only: str = "") -> Callable[[str], None]:
    def fault(what: str) -> None:
        if what.startswith(only):
            raise error

    return fault


def cut(handler: GitHandler) -> bool:
    handler.answer(200, b"001e# service=git-upload-pack\n000001", ADVERTISEMENT)
    return True


def hang_up(handler: GitHandler) -> bool:
    handler.close_connection = True
    handler.connection.close()
    return True


class Fault(NamedTuple):
    git: Callable[[GitHandler], bool] | None = None
    api: Callable[[str], None] | None = None
    listing: Callable[[PullListing], PullListing] | None = None
    ends: str = "failure"


FAULTS = {
    "a maintenance page with status 200": Fault(git=answering(200, b"<html>", {"Content-Type": "text/html"})),
    "an empty answer": Fault(git=answering(200, b"", ADVERTISEMENT)),
    "a listing that ends too early": Fault(git=cut),
    "a valid listing without branches": Fault(
        git=answering(200, b"001e# service=git-upload-pack\n0000" + b"0000", ADVERTISEMENT)
    ),
    "the dumb protocol": Fault(git=answering(200, b"", {"Content-Type": "text/plain"})),
    "git 500": Fault(git=answering(500, b"no")),
    "git 503": Fault(git=answering(503, b"no")),
    "git 404": Fault(git=answering(404, b"no")),
    "git 429": Fault(git=answering(429, b"no")),
    "git redirects elsewhere": Fault(git=answering(301, b"", {"Location": "http://127.0.0.1:1/other"})),
    "git refuses credentials": Fault(git=answering(401, b"no", {"WWW-Authenticate": "Basic"})),
    "git hangs up": Fault(git=hang_up),
    "the API is down": Fault(api=raising(Unreachable("no answer"))),
    "the API answers HTML": Fault(api=raising(RemoteBroken("expected JSON"))),
    "page 2 of the pull requests fails": Fault(api=raising(RemoteBroken("502 on page 2"), "pulls")),
    "the API refuses credentials": Fault(api=raising(CredentialsRefused("refused"))),
    "the API redirects": Fault(api=raising(RemoteMoved("moved", "https://elsewhere/"))),
    "the API says 404": Fault(api=raising(RemoteNotFound("gone"))),
    "the API limits": Fault(api=raising(RateLimited("slow down", now() + timedelta(hours=1)))),
    "an empty list of pull requests": Fault(listing=lambda _: PullListing((), complete=True), ends="success"),
    "a page of the pull requests is missing": Fault(
        listing=lambda listing: PullListing(listing.pulls[:1], complete=True), ends="success"
    ),
    "a list of open pull requests that calls them merged": Fault(
        listing=lambda listing: PullListing(
            tuple(replace(each, state="merged") for each in listing.pulls[:2]), complete=True
        ),
        ends="success",
    ),
}


async def grown(room: Room) -> dict[str, Environment]:
    """Six branches and four pull requests, all built."""
    for number in range(1, 5):
        room.forge.repository.commit(f"topic-{number}", str(number))
        room.forge.open_pull(number, f"topic-{number}")
    await room.fetch()
    await room.end_activities()
    found = await room.environments()
    assert len(found) == 10
    return found


async def test_a_fault_changes_nothing(room: Room) -> None:
    before = await grown(room)
    honest = room.forge.listing
    for name, fault in FAULTS.items():
        room.forge.server.fault, room.forge.fault = fault.git, fault.api
        room.forge.listing = fault.listing or honest

        outcome, log = await room.fetch()

        assert outcome.result == fault.ends, name
        assert await room.environments() == before, name
        assert log, name
        integration = await room.integration()
        if fault.ends == "failure":
            assert (integration.last_error, integration.next_reconcile_at is not None) == (log[-1], True), name

    room.forge.server.fault = room.forge.fault = None
    room.forge.listing = honest
    outcome, log = await room.fetch()
    assert (outcome.result, log) == ("success", ["No changes since last fetch"])
    assert (await room.integration()).last_error is None


async def test_all_branches_vanish_by_git_alone(room: Room) -> None:
    before = await grown(room)
    for branch in room.forge.repository.heads():
        room.forge.repository.delete(branch)
    outcome, log = await room.hook()
    assert outcome.result == "failure"
    assert log == [
        "The Git host lists no branches of acme/site at all, though its default branch is main. Nothing was changed."
    ]
    assert await room.environments() == before


async def test_more_branches_than_anybody_could_list_are_not_followed(room: Room) -> None:
    before = await grown(room)
    head = before["main"].head_commit
    refs = "".join(f"{head} refs/heads/many-{number:05}\n" for number in range(50_000))
    (room.forge.repository.path / "packed-refs").write_text(f"# pack-refs with: peeled fully-peeled sorted \n{refs}")
    outcome, log = await room.fetch()
    assert (outcome.result, log[0][:34]) == ("failure", "The repository has 50,006 branches")
    assert await room.environments() == before
    await room.configure(fetch_branches=False)
    assert (await room.fetch())[0].result == "success"


async def test_the_first_retry_comes_soon_and_the_next_at_the_regular_pace(room: Room) -> None:
    await room.fetch()
    room.forge.fault = raising(Unreachable("no answer"))
    waits = []
    for _ in range(2):
        await room.fetch()
        following = (await room.integration()).next_reconcile_at
        assert following is not None
        waits.append((following - now()).total_seconds())
    assert waits == [pytest.approx(30, abs=5), pytest.approx(300, abs=5)]


async def test_a_limit_is_honoured(room: Room) -> None:
    until = now() + timedelta(minutes=17)
    room.forge.fault = raising(RateLimited("slow down", until))
    await room.fetch()
    assert (await room.integration()).next_reconcile_at == until


async def test_a_fetch_that_fails_leaves_nothing_running(room: Room) -> None:
    room.forge.fault = raising(RateLimited("slow down", now()))
    await room.fetch()
    names = [getattr(each.get_coro(), "__qualname__", "") for each in asyncio.all_tasks()]
    assert [name for name in names if name.startswith("Mirror.")] == []


async def test_a_disk_that_fails_is_a_failure_that_is_told_and_heals(room: Room) -> None:
    folder = room.mirror.path.parent
    folder.touch()
    outcome, log = await room.fetch()
    assert outcome.result == "failure"
    assert log[-1].startswith("This server cannot store the repository: ")
    assert (await room.integration()).last_error == log[-1]
    folder.unlink()
    outcome, _ = await room.fetch()
    assert (outcome.result, sorted(await room.environments())) == ("success", ["feature-a", "main"])


async def test_refused_git_credentials_are_renewed_once(room: Room) -> None:
    await room.fetch()
    room.forge.server.credentials = "Basic eC10b2tlbi1hdXRoOnRva2VuLTE="  # x-token-auth:token-1
    outcome, _ = await room.fetch()
    assert (outcome.result, room.forge.renewals) == ("success", 1)


async def test_404_for_a_pull_request_is_believed_only_of_a_host_that_shows_the_repository(room: Room) -> None:
    before = await grown(room)
    pulls, room.forge.pulls = room.forge.pulls, {}
    room.forge.fault = raising(RemoteNotFound("gone"), "repository")
    outcome, _ = await room.hook(1)
    assert outcome.result == "failure"
    assert await room.environments() == before

    room.forge.fault, room.forge.pulls = None, {number: pulls[number] for number in (2, 3, 4)}
    _, log = await room.hook(1)
    assert log == ["Removing environment pr-1: pull request 1 is gone"]


async def test_what_an_empty_list_hides_is_not_believed_gone_where_it_cannot_be_checked(room: Room) -> None:
    """A hundred are asked for one by one. They are open, so the list is worth nothing for the rest either."""
    await room.fetch()
    room.forge.open_pull(1, "feature/a")
    await room.hook(1)
    await room.end_activities()
    one = (await room.environments())["pr-1"]
    assert one.pull is not None
    for number in range(2, 121):
        room.forge.open_pull(number, "feature/a")
    others = [
        replace(one, id=f"pr-{number}", machine_name=f"pr-{number}", pull=replace(one.pull, number=number))
        for number in range(2, 121)
    ]
    async with room.database.transaction() as conn:
        await environments.create_many(conn, others)
    room.forge.listing = lambda _: PullListing((), complete=True)

    outcome, _ = await room.fetch()

    assert outcome.result == "success"
    assert all(each.status != "deleting" for each in (await room.environments()).values())


async def test_under_an_old_name_everything_is_404_and_nothing_is_gone(room: Room) -> None:
    before = await grown(room)
    room.forge.name, room.forge.redirects = "acme/home", False

    outcome, log = await room.hook(1, 2)

    assert (outcome.result, log[0]) == ("success", "The repository is named acme/home now")
    assert shape(await room.environments()) == shape(before)


async def test_nothing_beyond_the_page_window_goes(room: Room) -> None:
    await grown(room)
    room.forge.page_length = 2
    await room.configure(pull_requests_max_pages=1)
    room.forge.change_pull(4, state="merged")
    before = await room.environments()
    await room.fetch()
    assert await room.environments() == before
    _, log = await room.hook(4)
    assert log == ["Removing environment pr-4: pull request 4 was merged"]


async def test_a_mass_deletion_waits_for_a_second_listing(room: Room) -> None:
    before = await grown(room)
    for number in range(1, 5):
        room.forge.repository.delete(f"topic-{number}")
        room.forge.change_pull(number, state="declined")

    outcome, log = await room.fetch()

    assert outcome.result == "failure"
    assert log[0].startswith("Not removing 8 of 10 environments: pr-1, pr-2, pr-3, pr-4, topic-1, topic-2, topic-3")
    assert await room.environments() == before
    integration = await room.integration()
    assert integration.last_error == log[0].partition(" A second")[0]
    assert integration.next_reconcile_at is not None
    assert integration.next_reconcile_at - now() <= timedelta(seconds=60)

    outcome, again = await room.fetch()
    assert (outcome.result, await room.environments(), again) == ("failure", before, log), "as long as it is too early"
    assert (await room.integration()).last_error == integration.last_error
    await room.work.probe(INTEGRATION)
    assert (await room.integration()).last_error == integration.last_error
    following = (await room.integration()).next_reconcile_at
    assert following is not None
    assert following - now() <= timedelta(seconds=60)

    await room.age_hold(60)
    outcome, _ = await room.fetch()
    assert outcome.result == "success"
    assert {each.id for each in (await room.environments()).values() if each.status != "deleting"} == {
        "main",
        "feature-a",
    }
    assert (await room.integration()).prune_hold is None


@pytest.mark.parametrize("confirm", [True, False])
async def test_what_is_held_back_is_asked_for_beyond_the_page_window_too(room: Room, *, confirm: bool) -> None:
    await grown(room)
    for number in range(5, 8):
        room.forge.open_pull(number, "feature/a")
    await room.fetch()
    await room.configure(pull_requests_max_pages=1)
    room.forge.page_length = 2
    for number in range(1, 5):
        room.forge.repository.delete(f"topic-{number}")
        room.forge.change_pull(number, state="merged")
    outcome, log = await room.hook(1, 2, 3, 4)
    assert (outcome.result, log[0].startswith("Not removing 8 of 13")) == ("failure", True)

    await room.age_hold(0 if confirm else 60)
    outcome, _ = await room.fetch(confirm=confirm)

    assert outcome.result == "success"
    assert sum(each.status == "deleting" for each in (await room.environments()).values()) == 8
    assert (await room.integration()).prune_hold is None


async def test_a_person_confirms_a_mass_deletion(room: Room) -> None:
    await grown(room)
    for number in range(1, 5):
        room.forge.repository.delete(f"topic-{number}")
        room.forge.change_pull(number, state="declined")
    await room.fetch()
    outcome, _ = await room.fetch(confirm=True)
    assert outcome.result == "success"
    assert sum(each.status == "deleting" for each in (await room.environments()).values()) == 8


async def test_another_repository_under_the_same_name(room: Room) -> None:
    before = await grown(room)
    room.forge.id = "{repository-2}"
    room.forge.repository.commit("main", "a stranger's")
    outcome, log = await room.fetch()
    assert outcome.result == "failure"
    assert "is not the one that was followed until now" in log[-1]
    assert await room.environments() == before


async def test_a_renamed_repository_is_followed(room: Room) -> None:
    await room.fetch()
    room.forge.name = "acme/home"
    moved = room.forge.repository.path.with_name("home.git")
    room.forge.repository.path.rename(moved)
    room.forge.repository.path = moved
    pushed = room.forge.repository.commit("main", "moved")

    outcome, log = await room.fetch()

    assert outcome.result == "success"
    assert "The repository is named acme/home now" in log
    assert (await room.integration()).config["repository"] == "acme/home"
    assert (await room.environments())["main"].head_commit == pushed


async def test_a_push_hook_after_a_rename_finds_the_new_address(room: Room) -> None:
    await room.fetch()
    moved = room.forge.repository.path.with_name("home.git")
    room.forge.repository.path.rename(moved)
    room.forge.repository.path = moved
    pushed = room.forge.repository.commit("main", "moved")
    outcome, _ = await room.hook()
    assert outcome.result == "success"
    assert (await room.environments())["main"].head_commit == pushed


async def test_another_repository_is_chosen_while_the_first_is_read_for_the_first_time(room: Room) -> None:
    async def choose() -> None:
        await room.configure(repository="acme/other")

    room.forge.meanwhile = choose
    with pytest.raises(Cancelled, match="was changed while the host was read"):
        await room.fetch()
    assert (await room.environments(), (await room.integration()).remote_id) == ({}, None)


async def test_another_repository_is_chosen_while_a_plan_is_applied(room: Room) -> None:
    """What one repository's listing refuses must not count as the first listing of another."""
    before = await grown(room)
    for number in range(1, 5):
        room.forge.repository.delete(f"topic-{number}")
        room.forge.change_pull(number, state="declined")

    class Meanwhile(Lines):
        async def write(self, text: str) -> None:
            await room.configure(repository="acme/other")

    with pytest.raises(Cancelled, match="was changed while the host was read"):
        await room.fetch(log=Meanwhile())
    assert (await room.environments(), (await room.integration()).prune_hold) == (before, None)


async def test_an_integration_that_is_removed_while_it_fetches_does_no_more(room: Room) -> None:
    async def remove() -> None:
        async with room.database.transaction() as conn:
            await integrations.mark_deleted(conn, await integrations.get_any(conn, BOX, INTEGRATION))

    room.forge.meanwhile = remove
    outcome, log = await room.fetch()
    assert (outcome.result, log, await room.environments()) == ("success", ["The integration was removed."], {})


async def test_a_hook_that_was_faster_than_the_host_is_checked_again(room: Room) -> None:
    await room.fetch()
    await room.hook()
    following = (await room.integration()).next_reconcile_at
    assert following is not None
    assert following - now() <= timedelta(seconds=10)


def shape(found: dict[str, Environment]) -> dict[str, tuple[object, ...]]:
    return {
        each.id: (each.name, each.status, each.head_commit, each.parent, each.is_main, each.title)
        for each in found.values()
    }


async def test_a_worker_that_dies_anywhere_is_healed_by_the_next(room: Room) -> None:
    """Every line of the log marks a step that is done; the worker dies after each of them once."""
    repository, forge = room.forge.repository, room.forge
    await grown(room)
    repository.commit("main", "new")
    repository.commit("topic-1", "new")
    repository.commit("trunk", "new")
    repository.git("symbolic-ref", "HEAD", "refs/heads/trunk")
    forge.default_branch = "trunk"
    repository.delete("feature/a")
    repository.commit("feature/a/deep", "deep")
    forge.change_pull(2, state="merged")
    forge.change_pull(3, target_branch="topic-1", title="Other")
    forge.open_pull(5, "trunk", "topic-1")

    deaths = 0
    for _ in range(30):
        try:
            await room.fetch(log=Lines(dies=True))
            break
        except WorkerDied:
            deaths += 1
            await room.end_activities()

    assert 6 <= deaths < 30
    found = await room.environments()
    heads = repository.heads()
    assert shape(found) == {
        "trunk": ("trunk", "active", heads["trunk"], None, True, "trunk"),
        "main": ("main", "active", heads["main"], "trunk", False, "main"),
        "feature-a": ("feature/a", "deleting", found["feature-a"].head_commit, "trunk", False, "feature/a"),
        "feature-a-deep": ("feature/a/deep", "inactive", heads["feature/a/deep"], "trunk", False, "feature/a/deep"),
        **{
            f"topic-{number}": (
                f"topic-{number}",
                "inactive",
                heads[f"topic-{number}"],
                "trunk",
                False,
                f"topic-{number}",
            )
            for number in range(1, 5)
        },
        "pr-1": ("topic-1", "active", heads["topic-1"], "main", False, "PR #1: Change 1"),
        "pr-2": ("topic-2", "deleting", heads["topic-2"], "main", False, "PR #2: Change 2"),
        "pr-3": ("topic-3", "active", heads["topic-3"], "topic-1", False, "PR #3: Other"),
        "pr-4": ("topic-4", "active", heads["topic-4"], "main", False, "PR #4: Change 4"),
        "pr-5": ("trunk", "active", heads["trunk"], "topic-1", False, "PR #5: Change 5"),
    }
    assert await room.mirror.heads() == heads
    built = {(each.environment_id, each.parameters["commit"]) for each in await room.activities("environment.push")}
    assert {
        ("trunk", heads["trunk"]),
        ("main", heads["main"]),
        ("pr-1", heads["topic-1"]),
        ("pr-5", heads["trunk"]),
    } <= built
    deleted = [each.environment_id for each in await room.activities("environment.delete")]
    assert sorted(str(each) for each in deleted) == ["feature-a", "pr-2"]


async def test_a_worker_thought_dead_can_do_no_more_harm(room: Room) -> None:
    """Its activity was begun again by another: whatever it still wants to write is rolled back."""
    integration = await room.integration()
    async with room.database.transaction() as conn:
        project = await projects.get(conn, room.project_id)
        asked = await fetches.request_fetch(
            conn, project, integration, integration_actor(integration, "Forge"), "Forge", Scope(), reason="timer"
        )
        old = await activities.begin(conn, asked.id)
        new = await activities.begin(conn, asked.id)
    assert old is not None
    assert new is not None
    with pytest.raises(Exception, match="Another worker has taken over"):
        await room.work.fetch(old, Lines())
    assert await room.environments() == {}
    assert (await room.work.fetch(new, Lines())).result == "success"
    assert sorted(await room.environments()) == ["feature-a", "main"]
