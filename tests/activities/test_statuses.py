"""What the Git host is told about commits."""

from dataclasses import replace
from typing import Any

import pytest

from tests.activities.conftest import BOX, World
from tests.dispatch.conftest import Host, registry_of
from tests.unit.core.samples import ACTIVITY, ANN, COMMIT, INTEGRATION, MAIN, NOW, PROJECT, PULL
from tieline.activities.runner import Runner
from tieline.activities.statuses import BuildStatuses, plan_status
from tieline.core import kinds
from tieline.core.documents import Activity, Deployment, Environment, NewActivity
from tieline.core.errors import DeployFailed
from tieline.core.ports import Log, Outcome
from tieline.core.remote import BuildState
from tieline.store import environments, integrations, outbox

URL = "https://tieline.example"
PAGE = f"{URL}/api/projects/{PROJECT.id}/activities/{ACTIVITY.id}"
DEPLOYED = replace(PULL, deployment=Deployment("d" * 40, ("https://pr-7.example/", "https://more.example/"), NOW))
FORK = replace(PULL, pull=replace(PULL.pull, is_fork=True)) if PULL.pull else PULL


def test_a_status_names_commit_environment_and_branch() -> None:
    status = plan_status(ACTIVITY, PULL, "running", URL)
    assert status is not None
    assert (status.commit, status.state, status.refname) == (COMMIT, "running", "feature/a")
    assert status.name == "Tieline: pr-7"
    assert len(status.key) <= 40


@pytest.mark.parametrize(("environment", "refname"), [(MAIN, "main"), (PULL, "feature/a"), (FORK, None)])
def test_the_refname_is_a_branch_of_the_repository_itself(environment: Environment, refname: str | None) -> None:
    status = plan_status(ACTIVITY, environment, "succeeded", URL)
    assert status is not None
    assert status.refname == refname


@pytest.mark.parametrize(
    ("environment", "state", "url"),
    [
        (PULL, "running", PAGE),
        (PULL, "succeeded", PAGE),
        (DEPLOYED, "running", "https://pr-7.example/"),
        (DEPLOYED, "succeeded", "https://pr-7.example/"),
        (DEPLOYED, "failed", PAGE),
    ],
)
def test_the_link_goes_where_there_is_something_to_see(environment: Environment, state: BuildState, url: str) -> None:
    status = plan_status(ACTIVITY, environment, state, URL)
    assert status is not None
    assert status.url == url


def test_a_description_fits_every_host() -> None:
    status = plan_status(ACTIVITY, replace(PULL, id="e" * 200), "stopped", URL)
    assert status is not None
    assert len(status.description) <= 140


def test_the_key_is_the_environments_and_stays() -> None:
    states: tuple[BuildState, ...] = ("running", "failed", "succeeded", "stopped")
    planned = [plan_status(ACTIVITY, environment, state, URL) for environment in (PULL, DEPLOYED) for state in states]
    assert len({status.key for status in planned if status}) == 1


def test_there_is_nothing_to_say_without_a_commit() -> None:
    activity = replace(ACTIVITY, parameters={"commit": None})
    assert plan_status(activity, replace(PULL, head_commit=None), "running", URL) is None


async def succeed(_activity: Activity, _log: Log) -> Outcome:
    return Outcome()


async def fail(_activity: Activity, _log: Log) -> Outcome:
    raise DeployFailed("no", 1)


async def announced(world: World, new: NewActivity, handler: Any = succeed) -> list[dict[str, Any]]:
    """What is to be told to the Git host, in order."""
    statuses = BuildStatuses(registry_of(Host()), BOX, URL)
    created = await world.create(new)
    await Runner(world.db, world.signals, {"*": handler}, announce=statuses.announce).run(created.id)
    async with world.db.transaction() as conn:
        events = await outbox.take(conn, PROJECT.id, 100)
    told = [event.delivery for event in events if event.delivery is not None]
    assert {(each.integration_id, each.kind, each.cause_id) for each in told} <= {
        (INTEGRATION.id, "commit_status", created.id)
    }
    return [each.payload or {} for each in told]


async def states(world: World, new: NewActivity, handler: Any = succeed) -> list[str]:
    return [each["state"] for each in await announced(world, new, handler)]


async def test_a_build_is_running_and_then_has_succeeded(world: World) -> None:
    told = await announced(world, kinds.push(PROJECT, PULL, [], 1, ANN))
    assert [each["state"] for each in told] == ["running", "succeeded"]
    assert len({each["key"] for each in told}) == 1


async def test_a_failed_build_is_told(world: World) -> None:
    assert await states(world, kinds.push(PROJECT, PULL, [], 1, ANN), fail) == ["running", "failed"]


@pytest.mark.parametrize("make", [kinds.activate, kinds.redeploy, kinds.resume])
async def test_everything_that_builds_tells(world: World, make: Any) -> None:
    assert await states(world, make(PROJECT, PULL, ANN)) == ["running", "succeeded"]


@pytest.mark.parametrize("make", [kinds.delete, kinds.deactivate, kinds.pause, kinds.synchronize])
async def test_nothing_else_does(world: World, make: Any) -> None:
    assert await states(world, make(PROJECT, PULL, ANN)) == []


async def test_nobody_is_told_about_an_environment_that_follows_nothing(world: World) -> None:
    async with world.db.transaction() as conn:
        await environments.save(conn, PROJECT.id, "pr-7", integration_id=None)
    assert await states(world, kinds.push(PROJECT, PULL, [], 1, ANN)) == []


async def test_nobody_is_told_through_an_integration_that_is_being_removed(world: World) -> None:
    async with world.db.transaction() as conn:
        await integrations.mark_deleted(conn, INTEGRATION)
    assert await states(world, kinds.push(PROJECT, PULL, [], 1, ANN)) == []
