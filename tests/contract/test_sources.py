"""What a Git host is read with, against the simulated host over real HTTP."""

import pytest
from aiohttp import web

from tests.contract.conftest import REPOSITORY, Asked, Desk, OddHost, make_integration, numbers, source_of
from tieline.core.errors import (
    RemoteMoved,
    RemoteNotFound,
)
from tieline.git.remote import Remote
from tieline.simulators.bitbucket import BitbucketSimulator


async def test_the_repository_is_one_request(desk: Desk, host: BitbucketSimulator) -> None:
    repository = await source_of(desk).repository()
    assert repository.full_name == REPOSITORY
    assert repository.id == host.repository(REPOSITORY).uuid
    assert repository.default_branch == "main"
    assert len(desk.wire.rest) == 1


async def test_an_empty_repository_has_no_default_branch(desk: Desk, host: BitbucketSimulator) -> None:
    host.create_repository("acme/empty")
    repository = await source_of(desk, make_integration(repository="acme/empty")).repository()
    assert repository.default_branch is None


async def test_a_renamed_repository_is_found_by_the_redirect_and_known_by_its_id(
    desk: Desk, host: BitbucketSimulator
) -> None:
    before = await source_of(desk).repository()
    await host.rename_repository(REPOSITORY, "acme/shop")
    after = await source_of(desk).repository()
    assert (after.full_name, after.id) == ("acme/shop", before.id)
    with pytest.raises(RemoteMoved):
        await source_of(desk).pulls(None)


async def test_another_repository_under_the_same_name_has_another_id(desk: Desk, host: BitbucketSimulator) -> None:
    before = await source_of(desk).repository()
    host.delete_repository(REPOSITORY)
    host.create_repository(REPOSITORY)
    assert (await source_of(desk).repository()).id != before.id


async def test_a_redirect_to_another_address_is_not_followed(desk: Desk, host: BitbucketSimulator) -> None:
    with host.faults.active("rest-redirect"), pytest.raises(RemoteMoved) as caught:
        await source_of(desk).repository()
    assert caught.value.location is not None
    assert not caught.value.location.startswith(host.url)
    assert all(each.url.startswith(host.url) for each in desk.wire.sent)


async def test_a_relative_redirect_is_followed_at_the_same_host(odd: OddHost, odd_desk: Desk) -> None:
    document = {
        "uuid": "{1}",
        "full_name": "acme/shop",
        "mainbranch": None,
        "links": {"clone": [{"name": "https", "href": f"{odd.url}/acme/shop.git"}]},
    }

    def reply(asked: Asked) -> web.Response:
        if asked.path.endswith("/acme/site"):
            return web.Response(status=301, headers={"Location": "/2.0/repositories/acme/shop"})
        return web.json_response(document)

    odd.reply = reply
    assert (await source_of(odd_desk).repository()).full_name == "acme/shop"


@pytest.mark.parametrize("location", [None, "", "http://[x/2.0/y", "http://127.0.0.1:1/2.0/x", "/1.0/x", "//x/2.0/y"])
async def test_a_redirect_to_nowhere_is_not_followed(odd: OddHost, odd_desk: Desk, location: str | None) -> None:
    headers = {} if location is None else {"Location": location}
    odd.reply = lambda _: web.Response(status=301, headers=headers)
    with pytest.raises(RemoteMoved):
        await source_of(odd_desk).repository()
    assert len(odd_desk.wire.rest) == 1


async def test_redirects_that_do_not_end_are_followed_a_few_times(odd: OddHost, odd_desk: Desk) -> None:
    odd.reply = lambda asked: web.Response(status=301, headers={"Location": f"{asked.path}x"})
    with pytest.raises(RemoteMoved):
        await source_of(odd_desk).repository()
    assert len(odd.asked) == 6


async def test_a_repository_that_was_renamed_twice(desk: Desk, host: BitbucketSimulator) -> None:
    await host.rename_repository(REPOSITORY, "acme/shop")
    await host.rename_repository("acme/shop", "acme/store")
    assert (await source_of(desk).repository()).full_name == "acme/store"


async def test_a_renamed_repository_whose_old_name_leads_nowhere_is_found_by_its_id(
    desk: Desk, host: BitbucketSimulator
) -> None:
    known = make_integration(remote_id=host.repository(REPOSITORY).uuid)
    await host.rename_repository(REPOSITORY, "acme/shop")
    host.host.renamed.clear()
    assert (await source_of(desk, known).repository()).full_name == "acme/shop"
    host.delete_repository("acme/shop")
    with pytest.raises(RemoteNotFound, match=REPOSITORY):
        await source_of(desk, known).repository()


async def test_a_renamed_repository_is_found_by_its_id_when_another_one_took_its_name(
    desk: Desk, host: BitbucketSimulator
) -> None:
    known = make_integration(remote_id=host.repository(REPOSITORY).uuid)
    await host.rename_repository(REPOSITORY, "acme/shop")
    host.create_repository(REPOSITORY)
    assert (await source_of(desk, known).repository()).full_name == "acme/shop"


@pytest.mark.parametrize(
    "links",
    [
        {},
        {"clone": []},
        {"clone": [{"name": "ssh", "href": "git@bitbucket.org:acme/site.git"}]},
        {"clone": [{"name": "https", "href": "https://elsewhere.example/acme/site.git"}]},
        {"clone": [{"name": "https", "href": "https://127.0.0.1/acme/site.git"}]},
        {"clone": [{"name": "https", "href": "http://127.0.0.1:1/acme/site.git"}]},
        {"clone": [{"name": "https", "href": "http://127.0.0.1/acme/site.git"}]},
    ],
)
async def test_a_repository_without_a_link_to_clone_it_by_is_where_all_are(
    odd: OddHost, odd_desk: Desk, links: dict[str, object]
) -> None:
    """A token goes to no other host or port, whatever the host itself says."""
    odd.reply = lambda _: web.json_response({"uuid": "{1}", "full_name": "acme/site", "links": links})
    source = source_of(odd_desk)
    repository = await source.repository()
    assert Remote(repository.clone_url, None, source.git_urls_allowed()).url == f"{odd.url}/acme/site.git"


async def test_a_repository_that_is_not_there_is_not_found(desk: Desk) -> None:
    with pytest.raises(RemoteNotFound, match="acme/none"):
        await source_of(desk, make_integration(repository="acme/none")).repository()


async def test_every_page_is_walked_oldest_first(desk: Desk, host: BitbucketSimulator) -> None:
    host.faults.page_length = 2
    await host.update_pull(REPOSITORY, 1, title="The newest change of all")
    assert await numbers(source_of(desk)) == ([1, 2, 3, 4, 5], True)
    assert len(desk.wire.of("GET", "/pullrequests")) == 3


@pytest.mark.parametrize(
    ("pages", "expected"),
    [(1, ([1, 2], False)), (2, ([1, 2, 3, 4], False)), (3, ([1, 2, 3, 4, 5], True)), (9, ([1, 2, 3, 4, 5], True))],
)
async def test_a_page_limit_cuts_the_list_and_says_so(
    desk: Desk, host: BitbucketSimulator, pages: int, expected: tuple[list[int], bool]
) -> None:
    host.faults.page_length = 2
    assert await numbers(source_of(desk), pages) == expected
    assert len(desk.wire.of("GET", "/pullrequests")) == min(pages, 3)


async def test_a_full_page_is_asked_for(desk: Desk) -> None:
    await source_of(desk).pulls(None)
    assert "pagelen=50" in desk.wire.of("GET", "/pullrequests")[0].url


async def test_no_pull_requests_is_a_complete_list(desk: Desk, host: BitbucketSimulator) -> None:
    host.create_repository("acme/empty")
    assert await numbers(source_of(desk, make_integration(repository="acme/empty"))) == ([], True)


async def test_a_pull_request_of_the_same_repository(desk: Desk, host: BitbucketSimulator) -> None:
    pull = await source_of(desk).pull(3)
    assert pull is not None
    assert (pull.number, pull.state, pull.is_fork, pull.title) == (3, "open", False, "Merge topic-3")
    assert (pull.source_branch, pull.source_repository, pull.target_branch) == ("topic-3", REPOSITORY, "main")
    assert pull.head == host.head(REPOSITORY, "topic-3")[:12]
    assert pull.url.startswith("http")
    assert pull.author == "Sam Simulated"


async def test_the_list_says_the_same_as_each_alone(desk: Desk) -> None:
    source = source_of(desk)
    assert [await source.pull(number) for number in range(1, 6)] == list((await source.pulls(None)).pulls)


async def test_the_case_of_the_repository_does_not_make_a_fork(desk: Desk) -> None:
    listing = await source_of(desk, make_integration(repository="ACME/Site")).pulls(None)
    assert [each.is_fork for each in listing.pulls] == [False] * 5


async def test_a_fork_is_told_and_can_be_cloned(desk: Desk, host: BitbucketSimulator) -> None:
    await host.fork(REPOSITORY, "sam/site")
    await host.commit("sam/site", "idea", {"idea": "1"}, parent="main")
    number = await host.open_pull(REPOSITORY, source="idea", target="main", source_repository="sam/site")
    source = source_of(desk)
    pull = await source.pull(number)
    assert pull is not None
    assert (pull.is_fork, pull.source_repository) == (True, "sam/site")
    address = await source.fork_url(pull)
    remote = Remote(address, await source.git_credentials(), source.git_urls_allowed())
    assert remote.url == f"{host.url}/sam/site.git"


async def test_a_fork_that_is_gone_has_no_source(desk: Desk, host: BitbucketSimulator) -> None:
    await host.fork(REPOSITORY, "sam/site")
    number = await host.open_pull(REPOSITORY, source="topic-1", target="main", source_repository="sam/site")
    host.delete_repository("sam/site")
    source = source_of(desk)
    pull = await source.pull(number)
    assert pull is not None
    assert (pull.source_repository, pull.head, pull.state) == (None, None, "open")
    assert number in (await numbers(source))[0]
    with pytest.raises(RemoteNotFound):
        await source.fork_url(pull)


async def test_a_source_branch_that_is_gone_leaves_no_commit(desk: Desk, host: BitbucketSimulator) -> None:
    await host.delete_branch(REPOSITORY, "topic-2")
    pull = await source_of(desk).pull(2)
    assert pull is not None
    assert (pull.state, pull.head) == ("open", None)


async def test_pull_requests_that_ended_are_read_one_by_one_only(desk: Desk, host: BitbucketSimulator) -> None:
    await host.merge_pull(REPOSITORY, 1)
    await host.decline_pull(REPOSITORY, 2)
    source = source_of(desk)
    ended = [await source.pull(number) for number in (1, 2)]
    assert [each.state for each in ended if each] == ["merged", "declined"]
    assert await numbers(source) == ([3, 4, 5], True)


async def test_a_state_that_nobody_has_heard_of_ends_nothing(odd: OddHost, odd_desk: Desk) -> None:
    odd.reply = lambda _: web.json_response({"values": [{"id": 1, "state": "QUEUED"}]})
    (pull,) = (await source_of(odd_desk).pulls(None)).pulls
    assert pull.state == "open"


async def test_a_next_page_without_an_address_is_none(odd: OddHost, odd_desk: Desk) -> None:
    odd.reply = lambda _: web.json_response({"values": [{"id": 1, "state": "OPEN"}], "next": ""})
    assert await numbers(source_of(odd_desk)) == ([1], True)


async def test_a_pull_request_that_never_was_is_none(desk: Desk) -> None:
    assert await source_of(desk).pull(99) is None
