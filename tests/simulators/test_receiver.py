"""The receiver records everything, is not fooled by signatures, and breaks every rule when it is told to."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from joserfc import jws
from joserfc.jwk import OctKey
from standardwebhooks import Webhook

from tieline.simulators.receiver import Behaviour, Receiver
from tieline.simulators.receiver.certificates import Authority, Flaw
from tieline.simulators.receiver.program import describe

KEY = "a-key-of-the-tests-that-is-long-enough"
BODY = b'{"id":"abc","type":"environment.push","state":"complete","result":"success","environments":["main"]}'


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(key=KEY) as started:
        yield started


@pytest.fixture
async def sender() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(sender: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None) -> int:
    async with sender.post(url, data=BODY, headers=headers, allow_redirects=False) as answer:
        await answer.read()
        return answer.status


def signed(key: str, body: bytes = BODY) -> dict[str, str]:
    """The headers that others' implementations of both schemes make."""
    protected = {"alg": "HS256", "b64": False, "crit": ["b64"]}
    header, _, signature = jws.serialize_compact(protected, body, OctKey.import_key(key)).split(".", 2)
    now = datetime.now(UTC)
    standard = Webhook(b64encode(key.encode()).decode()).sign("msg_1", now, body.decode())
    return {
        "X-JWS-Signature": f"{header}..{signature.rpartition('.')[2]}",
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": f"v1,b3RoZXI= {standard}",
    }


async def test_it_records_what_arrives_and_whether_it_was_signed(
    receiver: Receiver, sender: aiohttp.ClientSession
) -> None:
    assert await post(sender, f"{receiver.url}/a", signed(KEY)) == 200
    assert await post(sender, f"{receiver.url}/b", signed("another key that is as long as that one")) == 200
    assert await post(sender, f"{receiver.url}/b", signed(KEY, BODY.replace(b"main", b"Main"))) == 200
    assert await post(sender, f"{receiver.url}/b", {"X-JWS-Signature": "ä.a", "webhook-signature": "v2,ä"}) == 200
    assert await post(sender, f"{receiver.url}/b") == 200

    assert [(each.number, each.jws, each.standard) for each in receiver.arrivals] == [
        (1, "valid", "valid"),
        (2, "wrong", "wrong"),
        (3, "wrong", "wrong"),
        (4, "wrong", "wrong"),
        (5, "missing", "missing"),
    ]
    assert (receiver.at("/a")[0].id, receiver.at("/a")[0].body) == ("msg_1", BODY)
    assert describe(receiver.arrivals[0]).endswith(
        "#1 /a  environment.push complete success in main  msg_1  JWS valid, Standard Webhooks valid  -> 200"
    )


async def test_it_misbehaves_where_it_is_told_to(receiver: Receiver, sender: aiohttp.ClientSession) -> None:
    url = f"{receiver.url}/hook"
    receiver.behave("/hook", Behaviour(503, retry_after="7"))
    async with sender.post(url, data=BODY) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "7")

    receiver.behave("/hook", lambda arrival: Behaviour(500 + arrival.number))
    assert await post(sender, url) == 502

    for broken in (Behaviour(close="before-headers"), Behaviour(close="after-headers")):
        receiver.behave("/hook", broken)
        with pytest.raises(aiohttp.ClientError):
            await post(sender, url)

    receiver.behave("/hook", Behaviour(hang=True))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(post(sender, url), 0.05)

    receiver.behave("/hook", Behaviour(size=3_000_000))
    async with sender.post(url, data=BODY) as answer:
        assert len(await answer.read()) == 3_000_000

    receiver.behave("/hook")
    assert await post(sender, url) == 200
    assert [each.answered for each in receiver.arrivals] == [503, 502, None, None, None, 200, 200]
    assert [each.accepted for each in receiver.arrivals] == [False] * 5 + [True, True]


async def test_people_switch_it_over_http(receiver: Receiver, sender: aiohttp.ClientSession) -> None:
    switch = f"{receiver.url}/_simulator/behaviours"
    async with sender.post(switch, json={"path": "/hook", "status": 410, "delay": 0}) as answer:
        assert answer.status == 200
    assert await post(sender, f"{receiver.url}/hook") == 410
    wrong: Any
    for wrong in ({"path": "/hook", "statos": 410}, {"path": "/hook", "close": "at noon"}, {"status": 410}, []):
        async with sender.post(switch, json=wrong) as answer:
            assert answer.status == 400
    assert len(receiver.arrivals) == 1


async def test_it_comes_back_at_the_same_port(receiver: Receiver, sender: aiohttp.ClientSession) -> None:
    assert await post(sender, f"{receiver.url}/hook") == 200
    await receiver.close()
    with pytest.raises(aiohttp.ClientError):
        await post(sender, f"{receiver.url}/hook")
    await receiver.open()
    assert await post(sender, f"{receiver.url}/hook") == 200


async def test_its_certificates_are_right_or_wrong_as_wanted(tmp_path: Path, sender: aiohttp.ClientSession) -> None:
    authority = Authority(tmp_path)
    trusting = ssl.create_default_context(cafile=authority.path)
    told = []
    flaws: tuple[Flaw, ...] = ("none", "wrong-name", "expired", "self-signed")
    for flaw in flaws:
        async with Receiver(tls=authority.context("127.0.0.1", flaw)) as receiver:
            try:
                async with sender.post(f"{receiver.url}/hook", data=BODY, ssl=trusting) as answer:
                    told.append(str(answer.status))
            except aiohttp.ClientConnectorCertificateError as error:
                told.append(str(error.certificate_error))
    assert told[0] == "200"
    for sentence, words in zip(told[1:], ("mismatch", "expired", "self-signed"), strict=True):
        assert words in sentence.replace("self signed", "self-signed")
