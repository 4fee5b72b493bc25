"""`upsun activity:*`: what happened, page after page, its logs, and how to stop it."""

import pytest

from tests.cli.programs import Server, read_until, wait_until
from tests.clients.api import Api
from tests.clients.upsun import FAILED, Upsun, conclude

TITLES = 12


@pytest.fixture(scope="module")
def history(api: Api, site: str) -> list[str]:
    """The ids of more activities than one page of the client holds, newest first."""
    for number in range(TITLES):
        api.call("PATCH", f"/projects/{site}", {"title": f"Site {number}"})
    return [each["id"] for each in api.read(f"/projects/{site}/activities?count=100")]


@pytest.fixture(scope="module")
def redeployed(api: Api, site: str) -> str:
    """The id of an activity of a deployer that has said something."""
    activity = api.operate(site, "pr-1", "redeploy")
    wait_until(lambda: api.is_settled(site), "the deployment")
    return activity


def test_a_list_goes_on_beyond_the_page(in_site: Upsun, history: list[str]) -> None:
    listed = in_site("activity:list", "--all", "--limit", "100", "--columns", "id", "--format", "plain", "--no-header")
    assert listed.split() == history
    assert len(history) > TITLES


def test_a_list_is_narrowed(in_site: Upsun, redeployed: str) -> None:
    columns = ("--columns", "id,type,state,result,environments")
    of_one = in_site.rows("activity:list", "--environment", "pr-1", "--limit", "1", *columns)
    assert of_one == [[redeployed, "environment.redeploy", "complete", "success", "pr-1"]]
    others = in_site.rows("activity:list", "--all", "--exclude-type", "project.modify.%,environment.redeploy", *columns)
    assert {row[1] for row in others} == {
        "environment.push",
        "integration.bitbucket.fetch",
        "integration.bitbucket.register_hooks",
        "project.create",
    }
    failed = in_site("activity:list", "--all", "--result", "failure", "--state", "complete", status=FAILED)
    assert "No activities found" in failed


def test_one_is_read_whole_and_by_property(in_site: Upsun, redeployed: str) -> None:
    whole = dict(in_site.rows("activity:get", redeployed))
    assert whole["text"] == "Administrator redeployed environment **PR #1: Add a search**"
    assert (whole["state"], whole["result"], whole["completion_percent"]) == ("complete", "success", "100")
    assert in_site("activity:get", "--environment", "pr-1", "--property", "id") == redeployed + "\n"


def test_the_log_of_what_is_over_is_printed(in_site: Upsun, redeployed: str) -> None:
    assert "\ndeploy begins\n" in in_site("activity:log", redeployed)
    assert "+00:00] deploy begins\n" in in_site("activity:log", redeployed, "--timestamps")


def test_the_log_of_what_runs_is_followed_to_its_end(in_site: Upsun, api: Api, server: Server, site: str) -> None:
    with server.deployer_told("hold") as flag:
        activity = api.operate(site, "pr-1", "redeploy")
        with in_site.started("activity:log", activity) as following:
            read_until(following.stdout, b"deploy begins")
            flag.unlink()
            ended = conclude(following)
    assert (ended.status, "ends" in ended.out) == (0, True)


def test_what_runs_is_cancelled_and_what_is_over_is_not(in_site: Upsun, api: Api, server: Server, site: str) -> None:
    with server.deployer_told("hold"):
        activity = api.operate(site, "pr-1", "redeploy")
        assert in_site.run("activity:cancel", activity, "--yes").status == 0
        wait_until(lambda: api.is_settled(site), "the deployment to end")
    assert api.read(f"/projects/{site}/activities/{activity}")["state"] == "cancelled"
    assert "Operation not available: cancel" in in_site("activity:cancel", activity, "--yes", status=FAILED)
