"""A Git host that is busy, broken or hostile: always an error that says so, never a shorter list."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from aiohttp import web

from tests.contract.conftest import (
    Asked,
    Desk,
    OddHost,
    Wire,
    make_integration,
    numbers,
    source_of,
)
from tieline.core.clock import now
from tieline.core.errors import (
    CredentialsRefused,
    RateLimited,
    RemoteBroken,
    RemoteError,
    RemoteMoved,
    RemoteNotFound,
    RemoteRejected,
    Unreachable,
)
from tieline.integrations.base import Source
from tieline.simulators.bitbucket import BitbucketSimulator


async def test_every_request_is_taken_from_the_budget_of_its_credentials(desk: Desk) -> None:
    await source_of(desk).pulls(None)
    await source_of(desk).pull(1)
    other = make_integration({"app_credentials.secret": "another"})
    with pytest.raises(CredentialsRefused):
        await source_of(desk, other).repository()
    assert len(desk.budget.taken) == len(desk.wire.rest) == 2
    assert len({name for name, _ in desk.budget.taken}) == 1
    assert desk.budget.taken[0][1] == 1000


async def test_too_many_requests_block_the_credentials_for_less_than_a_minute(
    desk: Desk, host: BitbucketSimulator
) -> None:
    host.faults.rate_limit = 0
    source = source_of(desk)
    with pytest.raises(RateLimited) as caught:
        await source.repository()
    assert timedelta() < caught.value.until - now() < timedelta(minutes=1)
    # Answers to what was under way already say nothing new.
    await asyncio.gather(source.repository(), source.pull(1), return_exceptions=True)
    assert len(desk.budget.blocks) == 3
    assert len(set(desk.budget.blocks)) == 1


async def test_what_cannot_be_read_is_named_as_people_know_it(desk: Desk) -> None:
    with pytest.raises(RemoteNotFound) as missing:
        await source_of(desk, make_integration(repository="acme/none")).repository()
    assert str(missing.value) == (
        "Bitbucket has no acme/none, or hides it from these credentials: Repository acme/none not found."
    )
    with pytest.raises(CredentialsRefused) as anonymous:
        await source_of(desk, make_integration({}, app_credentials=None)).repository()
    assert str(anonymous.value) == (
        "Bitbucket refused access to acme/site (401): Token is invalid, expired, or not supported for this endpoint."
        " The integration has no credentials; give it `app_credentials`."
    )


@pytest.mark.parametrize(("given", "seconds"), [("7", 7.0), ("999999", 3600.0), ("0", 1.0)])
async def test_a_host_that_says_when_to_come_back_is_believed_within_reason(
    odd: OddHost, odd_desk: Desk, given: str, seconds: float
) -> None:
    odd.reply = lambda _: web.json_response({}, status=429, headers={"Retry-After": given})
    with pytest.raises(RateLimited):
        await source_of(odd_desk).repository()
    assert odd_desk.budget.blocks == [seconds]


@pytest.mark.parametrize("given", ["", "soon", "-3", "Wed, 21 Oct 2026 07:28:00 GMT", "\xb2"])
async def test_a_time_to_come_back_that_is_none_is_passed_over(odd: OddHost, odd_desk: Desk, given: str) -> None:
    odd.reply = lambda _: web.json_response({}, status=429, headers={"Retry-After": given})
    with pytest.raises(RateLimited):
        await source_of(odd_desk).repository()
    assert odd_desk.budget.blocks[0] < 60


Reading = Callable[[Source], Awaitable[object]]
READINGS: list[tuple[str, Reading]] = [
    ("repository", lambda source: source.repository()),
    ("pulls", lambda source: source.pulls(None)),
    ("pull", lambda source: source.pull(1)),
]


@pytest.mark.parametrize("read", [each for _, each in READINGS], ids=[name for name, _ in READINGS])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("rest-500", RemoteBroken),
        ("rest-502", RemoteBroken),
        ("rest-503", RemoteBroken),
        ("rest-403", CredentialsRefused),
        ("rest-429", RateLimited),
        ("rest-html", RemoteBroken),
        ("rest-truncated", RemoteBroken),
        ("rest-no-values", RemoteBroken),
        ("rest-values-null", RemoteBroken),
        ("rest-redirect", RemoteMoved),
        ("rest-closed", RemoteError),
    ],
)
async def test_a_faulty_answer_is_an_error_that_says_who_must_act(
    desk: Desk, host: BitbucketSimulator, fault: str, error: type[RemoteError], read: Reading
) -> None:
    source = source_of(desk)
    with host.faults.active(fault), pytest.raises(error):
        await read(source)
    assert await read(source)


@pytest.mark.parametrize("fault", ["page-2-500", "page-2-html", "page-2-truncated", "page-2-elsewhere"])
async def test_a_faulty_second_page_is_no_shorter_list(desk: Desk, host: BitbucketSimulator, fault: str) -> None:
    with host.faults.active(fault), pytest.raises(RemoteBroken):
        await source_of(desk).pulls(None)
    assert all(each.url.startswith(f"{host.url}/") for each in desk.wire.sent)


@pytest.mark.parametrize(
    "following",
    [
        "https://elsewhere.example/2.0/repositories/acme/site/pullrequests?page=2",
        "//elsewhere.example/2.0/x",
        "/2.0/repositories/acme/site/pullrequests?page=2",
        "http://user@127.0.0.1:{port}/2.0/x",
        "http://127.0.0.1:{port}/1.0/x",
        "http://127.0.0.1:1/2.0/x",
        "http://127.0.0.1:{port}0/2.0/x",
        "http://127.0.0.1:99999/2.0/x",
        "http://[127.0.0.1/2.0/x",
        "file:///2.0/x",
        17,
    ],
)
async def test_the_token_goes_to_no_other_address_than_the_api(odd: OddHost, odd_desk: Desk, following: object) -> None:
    if isinstance(following, str):
        following = following.replace("{port}", str(odd.server.port))
    odd.reply = lambda _: web.json_response({"values": [], "next": following})
    with pytest.raises(RemoteBroken):
        await source_of(odd_desk).pulls(None)
    assert len(odd_desk.wire.rest) == 1


async def test_pages_that_come_round_again_end(odd: OddHost, odd_desk: Desk) -> None:
    odd.reply = lambda asked: web.json_response({"values": [], "next": f"{odd.url}/2.0/page{len(odd.asked) % 3}"})
    with pytest.raises(RemoteBroken, match="do not come to an end"):
        await source_of(odd_desk).pulls(None)
    assert len(odd.asked) == 4


async def test_the_next_page_is_asked_for_exactly_as_it_was_named(odd: OddHost, odd_desk: Desk) -> None:
    opaque = "/2.0/repositories/%7Bsomewhere%7D/pullrequests?q=a%2Bb+c&page=xyz%3D%3D"

    def reply(asked: Asked) -> web.Response:
        return web.json_response({"values": []} if asked.path == opaque else {"values": [], "next": odd.url + opaque})

    odd.reply = reply
    await source_of(odd_desk).pulls(None)
    assert [each.path for each in odd.asked][1:] == [opaque]


async def test_an_empty_list_may_be_no_list_when_only_fields_of_its_values_were_asked_for(
    odd: OddHost, odd_desk: Desk
) -> None:
    odd.reply = lambda _: web.json_response({"size": 0})
    assert await numbers(source_of(odd_desk)) == ([], True)


async def test_a_list_that_says_it_is_longer_than_it_is_proves_nothing(odd: OddHost, odd_desk: Desk) -> None:
    odd.reply = lambda _: web.json_response({"values": [], "size": 3})
    assert await numbers(source_of(odd_desk)) == ([], False)


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"values": {}},
        {"values": [1]},
        {"values": [{"id": "1", "state": "OPEN"}]},
        {"values": [{"id": True, "state": "OPEN"}]},
        {"values": [{"id": 0, "state": "OPEN"}]},
        {"values": [{"id": -5, "state": "OPEN"}]},
        {"values": [{"id": 2**31, "state": "OPEN"}]},
        {"values": [{"id": 1, "state": ""}]},
        {"values": [{"id": 1, "state": ["OPEN"]}]},
        {"values": [{"id": 1}]},
    ],
)
async def test_what_is_no_list_of_pull_requests_is_broken(odd: OddHost, odd_desk: Desk, document: object) -> None:
    odd.reply = lambda _: web.json_response(document)
    with pytest.raises(RemoteBroken):
        await source_of(odd_desk).pulls(None)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"uuid": "{1}"},
        {"uuid": 1, "full_name": "acme/site"},
        {"uuid": "", "full_name": "acme/site"},
        {"uuid": "{1}\0", "full_name": "acme/site"},
        {"uuid": "{1}", "full_name": "acme/site\0"},
        {"uuid": "{1}", "full_name": "acme/site\x1b[2J\nAll is well"},
        {"uuid": "{1}", "full_name": "acme/../site"},
        {"uuid": "{1}", "full_name": "acme/.."},
        {"uuid": "{1}", "full_name": "acme/" + "x" * 1000},
        {"uuid": "{1}", "full_name": "acme/site", "mainbranch": {"name": "main\0"}},
        {"uuid": "{1}", "full_name": "acme/site", "mainbranch": {"name": "x" * 1001}},
        {"uuid": "{1}", "full_name": "acme/site", "links": {"clone": [{"name": "https", "href": "https://[x/y"}]}},
        {"uuid": "{1}", "full_name": "acme/site", "links": {"clone": [{"name": "https", "href": 5}]}},
        {"uuid": "{1}", "full_name": "acme/site", "links": {"clone": [{"name": "https", "href": "https://x:99999/y"}]}},
        {
            "uuid": "{1}",
            "full_name": "acme/site",
            "mainbranch": {"name": 1},
            "links": {"clone": [{"name": "https", "href": "https://bitbucket.org/acme/site.git"}]},
        },
    ],
)
async def test_what_is_no_repository_is_broken(odd: OddHost, odd_desk: Desk, document: object) -> None:
    odd.reply = lambda _: web.json_response(document)
    with pytest.raises(RemoteBroken):
        await source_of(odd_desk).repository()


async def test_an_answer_about_another_pull_request_is_broken(odd: OddHost, odd_desk: Desk) -> None:
    odd.reply = lambda _: web.json_response({"id": 2, "state": "MERGED"})
    with pytest.raises(RemoteBroken, match="pull request 2 when asked for 1"):
        await source_of(odd_desk).pull(1)


async def test_another_4xx_tells_what_the_host_said_but_not_all_of_it(odd: OddHost, odd_desk: Desk) -> None:
    said = "pagelen: must be\n\0\x1b at most 50 " + "x" * 100_000
    odd.reply = lambda _: web.json_response({"type": "error", "error": {"message": said}}, status=400)
    with pytest.raises(RemoteRejected, match="pagelen: must be at most 50") as caught:
        await source_of(odd_desk).pulls(None)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("document", [{}, [], [1], 5, "no", None, {"error": "no"}, {"error": {}}, {"error": [1]}])
@pytest.mark.parametrize("status", [400, 403, 404])
async def test_an_error_that_says_nothing_is_one_all_the_same(
    odd: OddHost, odd_desk: Desk, document: object, status: int
) -> None:
    odd.reply = lambda _: web.json_response(document, status=status)
    with pytest.raises(RemoteError):
        await source_of(odd_desk).pulls(None)


async def test_a_page_for_people_is_told_as_what_it_is(odd: OddHost, odd_desk: Desk) -> None:
    odd.reply = lambda _: web.Response(text="<h1>We'll be back soon</h1>", content_type="text/html")
    with pytest.raises(RemoteBroken, match="Bitbucket answered with text/html where data was expected"):
        await source_of(odd_desk).repository()


async def test_a_page_of_large_pull_requests_is_read(odd: OddHost, odd_desk: Desk) -> None:
    """A host that does not know how to leave fields out sends all of them."""
    pull = {"id": 1, "state": "OPEN", "description": "x" * 200_000}
    odd.reply = lambda _: web.json_response({"values": [{**pull, "id": number} for number in range(1, 51)]})
    assert (await numbers(source_of(odd_desk)))[0] == list(range(1, 51))


async def test_a_host_that_is_down_is_unreachable(wire: Wire) -> None:
    with pytest.raises(Unreachable):
        await source_of(Desk("http://127.0.0.1:9", wire)).repository()
