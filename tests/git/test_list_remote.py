"""Listing a host's branches: only a whole and valid answer proves anything."""

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.git.conftest import Host
from tests.git.http_backend import answering
from tests.net.servers import plain, raw_server
from tieline.core.clock import now
from tieline.core.errors import (
    CredentialsRefused,
    EgressRefused,
    RateLimited,
    RemoteBroken,
    RemoteMoved,
    RemoteNotFound,
)
from tieline.core.http import Request
from tieline.core.remote import GitCredentials
from tieline.core.secret import Secret
from tieline.git.advertisement import CONTENT_TYPE, parse_advertisement
from tieline.git.listing import fetch_refs
from tieline.git.mirror import Mirror, Repositories
from tieline.git.remote import Remote
from tieline.net.client import GuardedClient
from tieline.net.egress import Policy, parse_networks
from tieline.net.resolve import resolve_pinned

SHA = "a" * 40


async def test_lists_branches_and_the_default(host: Host, mirror: Mirror) -> None:
    sha = host.repository.commit("main")
    other = host.repository.commit("feature/one", "x")
    host.repository.git("tag", "v1", sha)
    refs = await mirror.list_remote(host.remote())
    assert (refs.default_branch, refs.heads, refs.skipped) == ("main", {"main": sha, "feature/one": other}, ())
    assert len(host.server.seen) == 1


async def test_another_default_branch(host: Host, mirror: Mirror) -> None:
    host.repository.commit("main")
    host.repository.commit("trunk")
    host.repository.git("symbolic-ref", "HEAD", "refs/heads/trunk")
    assert (await mirror.list_remote(host.remote())).default_branch == "trunk"


async def test_a_head_that_points_nowhere_is_no_default(host: Host, mirror: Mirror) -> None:
    host.repository.commit("trunk")
    refs = await mirror.list_remote(host.remote())
    assert (refs.default_branch, list(refs.heads)) == (None, ["trunk"])


async def test_an_empty_repository_has_no_branches(host: Host, mirror: Mirror) -> None:
    refs = await mirror.list_remote(host.remote())
    assert (refs.default_branch, refs.heads) == (None, {})


async def test_names_that_are_hard(host: Host, mirror: Mirror) -> None:
    sha = host.repository.commit("main")
    names = [
        "-dash",
        "HEAD",
        "refs/heads/main",
        "\U0001f680/\u00fc",
        "x" * 250,
        '"quoted"',
        "a'b$(c)`d`;e",
        "@",
        "tmp_x",
        "UP",
        "up",
    ]
    for name in names:
        host.repository.point(f"refs/heads/{name}", sha)
    host.repository.git("update-ref", b"refs/heads/\xff\xfe", sha)
    refs = await mirror.list_remote(host.remote())
    assert refs.heads == dict.fromkeys([*names, "main"], sha)
    assert refs.skipped == (b"\xff\xfe",)


async def test_credentials_are_sent_once_and_at_once(host: Host, mirror: Mirror) -> None:
    host.repository.commit("main")
    host.server.credentials = "Basic " + base64.b64encode(b"x-token-auth:s3cret").decode()
    refs = await mirror.list_remote(host.remote(GitCredentials("x-token-auth", Secret("s3cret"))))
    assert list(refs.heads) == ["main"]
    assert len(host.server.seen) == 1


async def test_wrong_credentials_are_told(host: Host, mirror: Mirror) -> None:
    host.server.credentials = "Basic right"
    with pytest.raises(CredentialsRefused) as refusal:
        await mirror.list_remote(host.remote(GitCredentials("u", Secret("wrong-one"))))
    assert refusal.value.status == 401
    assert "wrong-one" not in str(refusal.value)


async def test_a_missing_repository_is_told(host: Host, mirror: Mirror) -> None:
    with pytest.raises(RemoteNotFound):
        await mirror.list_remote(host.remote(name="gone.git"))


async def test_a_redirect_tells_where_and_is_not_followed(host: Host, mirror: Mirror) -> None:
    host.server.fault = answering(301, b"", {"Location": host.server.url("new.git")})
    with pytest.raises(RemoteMoved) as moved:
        await mirror.list_remote(host.remote(GitCredentials("u", Secret("p4ssword"))))
    assert moved.value.location == host.server.url("new.git")
    assert len(host.server.seen) == 1


async def test_a_rate_limit_tells_until_when(host: Host, mirror: Mirror) -> None:
    host.server.fault = answering(429, b"", {"Retry-After": "120"})
    with pytest.raises(RateLimited) as limited:
        await mirror.list_remote(host.remote())
    assert timedelta(seconds=110) < limited.value.until - now() < timedelta(seconds=130)


MAINTENANCE = b"<html><body>We'll be back soon</body></html>"


@pytest.mark.parametrize("page", [MAINTENANCE, MAINTENANCE + b"\n", b"", b"{}", f"{SHA}\trefs/heads/main\n".encode()])
@pytest.mark.parametrize("kind", ["text/html", "text/plain", "application/json", ""])
async def test_a_page_with_status_200_is_no_listing(host: Host, mirror: Mirror, page: bytes, kind: str) -> None:
    host.repository.commit("main")
    host.server.fault = answering(200, page, {"Content-Type": kind})
    with pytest.raises(RemoteBroken):
        await mirror.list_remote(host.remote())


@pytest.mark.parametrize("status", [500, 502, 503, 418])
async def test_an_error_is_no_listing(host: Host, mirror: Mirror, status: int) -> None:
    host.server.fault = answering(status, MAINTENANCE, {"Content-Type": "text/html"})
    with pytest.raises(RemoteBroken):
        await mirror.list_remote(host.remote())


async def test_a_listing_cut_anywhere_is_no_listing(host: Host, http: GuardedClient) -> None:
    for name in ("main", "a", "b"):
        host.repository.commit(name)
    whole = (await http.send(Request("GET", host.remote().advertisement_url))).body
    assert parse_advertisement(CONTENT_TYPE, whole).heads.keys() == {"main", "a", "b"}
    for cut in range(len(whole)):
        with pytest.raises(RemoteBroken):
            parse_advertisement(CONTENT_TYPE, whole[:cut])


async def test_a_private_address_is_refused_unless_allowed(host: Host, tmp_path: Path) -> None:
    host.repository.commit("main")
    client = GuardedClient(Policy(), "tieline-test")
    repositories = Repositories(tmp_path / "strict", lambda name, port: resolve_pinned(Policy(), name, port), client)
    mirror = repositories.open("abc234")
    with pytest.raises(EgressRefused):
        await mirror.list_remote(host.remote())
    with pytest.raises(EgressRefused):
        await mirror.fetch(host.remote(), "int", {"main": SHA})
    await client.close()
    assert host.server.seen == []


def pkt(line: bytes) -> bytes:
    return f"{len(line) + 4:04x}".encode() + line


HEADER = pkt(b"# service=git-upload-pack\n") + b"0000"


@pytest.mark.parametrize(
    "body",
    [
        HEADER,
        HEADER + pkt(b"nonsense\n") + b"0000",
        HEADER + pkt(SHA.upper().encode() + b" refs/heads/a\n") + b"0000",
        HEADER + pkt(SHA.encode() + b" refs/heads/a\0object-format=sha256\n") + b"0000",
        HEADER + pkt(b"a" * 64 + b" refs/heads/a\0\n") + b"0000",
        HEADER + b"0004" + b"0000",
        HEADER + b"0003" + b"0000",
        HEADER + b"zzzz" + b"0000",
        HEADER + b" 12a" + b"0000",
        b"",
        b"<html></html>",
    ],
)
def test_malformed_listings(body: bytes) -> None:
    with pytest.raises(RemoteBroken):
        parse_advertisement(CONTENT_TYPE, body)


def test_a_refusal_inside_the_protocol() -> None:
    with pytest.raises(RemoteNotFound, match="no access"):
        parse_advertisement(CONTENT_TYPE, HEADER + pkt(b"ERR no access\n") + b"0000")


@pytest.mark.parametrize(
    "name",
    [b"../x", b"a..b", b"a.lock", b".a", b"a/.b", b"a b", b"a\x7f", b"a~1", b"a/", b"a//b", b"x" * 251, b"@{", b"a\\b"],
)
def test_names_that_git_would_not_take_are_skipped(name: bytes) -> None:
    refs = parse_advertisement(CONTENT_TYPE, HEADER + pkt(SHA.encode() + b" refs/heads/" + name + b"\0\n") + b"0000")
    assert (refs.heads, refs.skipped) == ({}, (name,))


async def test_what_comes_too_late_for_one_repository_is_no_list_of_another(permissive: GuardedClient) -> None:
    """HTTP/1.1 cannot tell an answer that nobody asked for from the one that is awaited."""
    line = f"{SHA} refs/heads/main\0 agent=git/2\n".encode()
    body = b"001e# service=git-upload-pack\n0000%04x%b0000" % (len(line) + 4, line)
    async with raw_server(plain(body, headers=f"Content-Type: {CONTENT_TYPE}\r\n")) as server:
        for name in ("one", "one", "two"):
            remote = Remote(f"{server.url}/acme/{name}.git", None, (server.url,))
            assert (await fetch_refs(permissive, remote)).heads == {"main": SHA}
    assert server.connections == 2


@pytest.fixture
async def permissive() -> AsyncIterator[GuardedClient]:
    client = GuardedClient(Policy(parse_networks("127.0.0.0/8")), "tieline-test/1")
    yield client
    await client.close()
