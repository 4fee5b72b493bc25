from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.git.http_backend import GitServer, git_server
from tests.git.repository import HostedRepository
from tieline.core.remote import GitCredentials
from tieline.git.mirror import Mirror, Repositories
from tieline.git.remote import Remote
from tieline.net.client import GuardedClient
from tieline.net.egress import Policy, parse_networks
from tieline.net.resolve import resolve_pinned

LOOPBACK = Policy(parse_networks("127.0.0.0/8"))


@dataclass
class Host:
    """A Git host with one repository, and what reaches it."""

    server: GitServer
    repository: HostedRepository

    def remote(self, credentials: GitCredentials | None = None, name: str = "site.git") -> Remote:
        return Remote(self.server.url(name), credentials, (self.server.origin + "/",))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    root = tmp_path / "host"
    repository = HostedRepository.create(root / "site.git")
    with git_server(root) as server:
        yield Host(server, repository)


@pytest.fixture
async def http() -> AsyncIterator[GuardedClient]:
    client = GuardedClient(LOOPBACK, "tieline-test")
    yield client
    await client.close()


@pytest.fixture
def repositories(tmp_path: Path, http: GuardedClient) -> Repositories:
    return Repositories(tmp_path / "repositories", partial(resolve_pinned, LOOPBACK), http)


@pytest.fixture
def mirror(repositories: Repositories) -> Mirror:
    return repositories.open("abc234")
