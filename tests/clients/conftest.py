from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.programs import ADMIN_TOKEN, Bitbucket, Server, wait_until
from tests.clients.api import Api
from tests.clients.installed import HAS_UPSUN, WHY_NO_UPSUN
from tests.clients.upsun import Upsun


@pytest.fixture(scope="session")
def api(server: Server) -> Api:
    """The server's administrator with curl: what a client says is compared with what is stored."""
    return Api(server.url, ADMIN_TOKEN)


@pytest.fixture(scope="session")
def upsun(server: Server, folder: Path) -> Upsun:
    """The administrator's `upsun`. It unpacks itself into its home when it runs for the first time."""
    if not HAS_UPSUN:
        pytest.skip(WHY_NO_UPSUN)
    return Upsun(server.url, ADMIN_TOKEN, folder)


@pytest.fixture
def project(api: Api) -> str:
    """A project that is tied to nothing."""
    return api.create_project("Shop")


@pytest.fixture(scope="module")
def site(api: Api, bitbucket: Bitbucket) -> Iterator[str]:
    """A project that follows the sample repository, and has deployed what is in it."""
    project = api.create_project("Site")
    api.follow(project, "acme/site")
    wait_until(lambda: api.is_settled(project), "the first deployments")
    yield project
    api.unfollow(project)


@pytest.fixture
def in_project(upsun: Upsun, project: str) -> Upsun:
    return upsun.within(project)


@pytest.fixture
def in_site(upsun: Upsun, site: str) -> Upsun:
    return upsun.within(site)
