"""How a Git host is asked who we are: tokens, their time, and where they may go."""

import asyncio
import time

import pytest
from aiohttp import web

from tests.contract.conftest import (
    KEY,
    REPOSITORY,
    SECRET,
    Desk,
    OddHost,
    make_integration,
    source_of,
)
from tieline.core.errors import (
    CredentialsRefused,
    EgressRefused,
    RemoteError,
)
from tieline.git.remote import Remote
from tieline.simulators.bitbucket import BitbucketSimulator


async def test_one_token_serves_everybody_with_the_same_credentials(desk: Desk) -> None:
    sources = [source_of(desk), source_of(desk, make_integration(repository="ACME/SITE")), source_of(desk)]
    await asyncio.gather(*(each.repository() for each in sources), sources[0].pulls(None), sources[1].git_credentials())
    assert desk.wire.tokens == 1


async def test_a_token_is_used_for_four_fifths_of_its_time(desk: Desk) -> None:
    await source_of(desk).repository()
    (until,) = (each.until for each in desk.cache.values() if hasattr(each, "until"))
    assert until - time.monotonic() == pytest.approx(0.8 * 7200, abs=30)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [({}, 3600), ({"expires_in": None}, 3600), ({"expires_in": "7200"}, 7200), ({"expires_in": 0}, 1)],
)
async def test_a_token_whose_time_is_told_in_another_way(
    odd: OddHost, odd_desk: Desk, given: dict[str, object], seconds: int
) -> None:
    odd.token = {"access_token": "odd-token", **given}
    odd.reply = lambda _: web.json_response({"values": []})
    await source_of(odd_desk).pulls(None)
    (until,) = (each.until for each in odd_desk.cache.values() if hasattr(each, "until"))
    assert until - time.monotonic() == pytest.approx(0.8 * seconds, abs=30)


async def test_a_revoked_token_is_renewed_once(desk: Desk, host: BitbucketSimulator) -> None:
    source = source_of(desk)
    await source.repository()
    host.revoke_tokens()
    await asyncio.gather(source.repository(), source.pull(1), source.pull(2))
    assert desk.wire.tokens == 2


async def test_a_token_that_is_always_refused_is_renewed_only_once(odd: OddHost, odd_desk: Desk) -> None:
    odd.reply = lambda _: web.json_response({"type": "error", "error": {"message": "Token is invalid"}}, status=401)
    with pytest.raises(CredentialsRefused, match="Token is invalid") as caught:
        await source_of(odd_desk).repository()
    assert caught.value.status == 401
    assert (odd_desk.wire.tokens, len(odd.asked)) == (2, 2)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_host_that_repeats_the_request_gives_no_token_away(odd: OddHost, odd_desk: Desk, status: int) -> None:
    said = f"{'x' * 100} Authorization: Bearer odd-token, ?access_token=odd-token was refused"
    odd.reply = lambda _: web.json_response({"type": "error", "error": {"message": said}}, status=status)
    with pytest.raises(RemoteError, match="xxx") as caught:
        await source_of(odd_desk).repository()
    assert "odd-token" not in f"{caught.value} {caught.value!r}"


async def test_wrong_credentials_say_what_to_check(desk: Desk) -> None:
    wrong = make_integration({"app_credentials.secret": "not the secret"})
    with pytest.raises(CredentialsRefused, match="OAuth consumer") as caught:
        await source_of(desk, wrong).repository()
    assert "not the secret" not in f"{caught.value} {caught.value!r}"
    assert desk.wire.rest == []


async def test_an_add_on_gets_a_token_for_its_jwt(desk: Desk, host: BitbucketSimulator) -> None:
    host.add_addon("com.example.tieline", "client:42", "the shared secret")
    keys = {"addon_key": "com.example.tieline", "client_key": "client:42"}
    given = {"addon_credentials.shared_secret": "the shared secret"}
    addon = make_integration(given, app_credentials=None, addon_credentials=keys)
    assert (await source_of(desk, addon).repository()).full_name == REPOSITORY
    given = {"addon_credentials.shared_secret": "another"}
    with pytest.raises(CredentialsRefused, match="add-on"):
        await source_of(desk, make_integration(given, app_credentials=None, addon_credentials=keys)).repository()


async def test_git_gets_the_access_token_and_a_new_one_when_it_was_refused(
    desk: Desk, host: BitbucketSimulator
) -> None:
    source = source_of(desk)
    first = await source.git_credentials()
    again = await source.git_credentials()
    renewed = await source.git_credentials(renew=True)
    assert first is not None
    assert renewed is not None
    assert first.username == "x-token-auth"
    assert first == again != renewed
    assert {first.password.reveal(), renewed.password.reveal()} == set(host.issued_tokens())


async def test_git_may_go_to_the_host_and_nowhere_else(desk: Desk) -> None:
    source = source_of(desk)
    repository = await source.repository()
    assert Remote(repository.clone_url, None, source.git_urls_allowed()).url.endswith("/acme/site.git")
    with pytest.raises(EgressRefused):
        Remote("https://elsewhere.example/acme/site.git", None, source.git_urls_allowed())


async def test_without_credentials_nothing_is_sent_along(odd: OddHost, odd_desk: Desk) -> None:
    anonymous = make_integration({}, app_credentials=None)
    odd.reply = lambda _: web.json_response({"values": []})
    source = source_of(odd_desk, anonymous)
    await source.pulls(None)
    assert await source.git_credentials() is None
    assert odd_desk.wire.tokens == 0
    assert not any("authorization" in each.headers for each in odd_desk.wire.sent)
    assert [budget for _, budget in odd_desk.budget.taken] == [60]


async def test_no_secret_is_in_an_address_or_in_what_is_kept(desk: Desk) -> None:
    await source_of(desk).repository()
    kept = f"{desk.cache!r} {[name for name, _ in desk.budget.taken]}"
    sent = " ".join(f"{each.url} {each!r}" for each in desk.wire.sent)
    assert SECRET not in kept + sent
    assert KEY not in kept + sent
