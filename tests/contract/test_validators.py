"""Validation says what is missing and how to get it, field by field."""

import pytest

from tests.contract.conftest import KEY, REPOSITORY, SECRET, Desk, Wire, make_integration
from tieline.core.documents import Integration
from tieline.core.ports import Toolbox
from tieline.integrations import ALL
from tieline.integrations.base import Registry
from tieline.simulators.bitbucket import BitbucketSimulator

PUBLIC = "https://tieline.example/api/projects/p/integrations/i/hook"


async def problems(desk: Desk, integration: Integration, hook_url: str = PUBLIC) -> dict[str, str]:
    validator = desk.registry.validator(integration)
    assert validator is not None
    found = (await validator.validate(hook_url)).problems
    assert SECRET not in str(found)
    assert all(sentence.endswith(".") for sentence in found.values())
    return found


async def test_all_is_well(desk: Desk, host: BitbucketSimulator) -> None:
    assert await problems(desk, make_integration(remote_id=host.repository(REPOSITORY).uuid)) == {}
    assert [each.method for each in desk.wire.rest] == ["GET"] * 3


async def test_a_host_on_this_machine_may_reach_this_machine(desk: Desk) -> None:
    assert await problems(desk, make_integration(), "http://127.0.0.1:8420/hook") == {}


async def test_no_credentials(desk: Desk) -> None:
    found = await problems(desk, make_integration({}, app_credentials=None))
    assert list(found) == ["app_credentials"]
    assert "OAuth consumer" in found["app_credentials"]


async def test_wrong_credentials(desk: Desk) -> None:
    found = await problems(desk, make_integration({"app_credentials.secret": "wrong"}))
    assert list(found) == ["app_credentials"]
    assert "key and secret" in found["app_credentials"]


async def test_wrong_credentials_of_an_add_on(desk: Desk) -> None:
    keys = {"addon_key": "a", "client_key": "b"}
    given = {"addon_credentials.shared_secret": "wrong"}
    found = await problems(desk, make_integration(given, app_credentials=None, addon_credentials=keys))
    assert list(found) == ["addon_credentials"]


async def test_a_repository_that_is_not_there(desk: Desk) -> None:
    found = await problems(desk, make_integration(repository="acme/none"))
    assert list(found) == ["repository"]
    assert "acme/none" in found["repository"]


async def test_a_repository_with_another_name_now(desk: Desk, host: BitbucketSimulator) -> None:
    await host.rename_repository(REPOSITORY, "acme/shop")
    assert "acme/shop" in (await problems(desk, make_integration()))["repository"]


async def test_another_repository_under_the_name(desk: Desk, host: BitbucketSimulator) -> None:
    found = await problems(desk, make_integration(remote_id="{00000000-0000-4000-8000-000000000000}"))
    assert "another one" in found["repository"]


@pytest.mark.parametrize(
    ("scopes", "lacking"),
    [
        ({"repository", "pullrequest"}, ["webhook"]),
        ({"repository", "webhook"}, ["pullrequest"]),
        ({"repository"}, ["webhook", "pullrequest"]),
        ({"account"}, ["repository"]),
    ],
)
async def test_rights_that_are_missing(
    desk: Desk, host: BitbucketSimulator, scopes: set[str], lacking: list[str]
) -> None:
    host.add_consumer(KEY, SECRET, frozenset(scopes))
    found = await problems(desk, make_integration())
    assert list(found) == ["app_credentials"]
    assert all(f"`{scope}`" in found["app_credentials"] for scope in lacking)


async def test_pull_requests_need_no_right_where_they_are_not_built(desk: Desk, host: BitbucketSimulator) -> None:
    host.add_consumer(KEY, SECRET, frozenset({"repository", "webhook"}))
    assert await problems(desk, make_integration(build_pull_requests=False)) == {}


@pytest.mark.parametrize("fault", ["rest-503", "rest-html", "rest-429"])
async def test_a_host_that_is_not_well(desk: Desk, host: BitbucketSimulator, fault: str) -> None:
    with host.faults.active(fault):
        assert list(await problems(desk, make_integration())) == ["repository"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8420/hook",
        "http://localhost:8420/hook",
        "http://[::1]:8420/hook",
        "http://10.1.2.3/hook",
        "https://tieline.internal/hook",
        "http://laptop:8420/hook",
        "http://169.254.169.254/hook",
    ],
)
async def test_an_address_that_the_real_host_cannot_reach(wire: Wire, url: str) -> None:
    """Without credentials nothing is asked, so the real host can be named here."""
    kind = ALL[0]
    settings = {each.name: each.default for each in kind.settings}
    toolbox = Toolbox(wire, limiter=None, settings=settings)  # type: ignore[arg-type]
    validator = Registry((kind,), toolbox).validator(make_integration({}, app_credentials=None))
    assert validator is not None
    found = (await validator.validate(url)).problems
    assert "TIELINE_PUBLIC_URL" in found["public_url"]
    assert "public_url" not in (await validator.validate(PUBLIC)).problems
    assert wire.sent == []
