"""API tokens: how long they live, when they were used, and how many there may be."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg import sql

from tests.api.conftest import Answer, Client, Instance, NewUser
from tieline.api.gate import RENEWED_SECONDS, Gate
from tieline.core.clock import now
from tieline.core.errors import Unauthenticated
from tieline.store.accounts import MOST_TOKENS

TOKENS = "/users/me/api-tokens"


@dataclass
class Clock:
    moment: datetime

    def __call__(self) -> datetime:
        return self.moment


async def exchange(client: Client, token: str) -> Answer:
    return await client.as_(None)("POST", "/oauth2/token", {"grant_type": "api_token", "api_token": token})


async def create(user: Client, hours: float) -> dict[str, Any]:
    """A token that ends after so many hours."""
    made: dict[str, Any] = await user.post(
        TOKENS, {"name": "t", "expires_at": (now() + timedelta(hours=hours)).isoformat()}
    )
    return made


async def shift(instance: Instance, token: dict[str, Any], column: str, hours: float) -> None:
    """Have it end, or be used last, so many hours from now."""
    async with instance.services.db.transaction() as conn:
        moment = now() + timedelta(hours=hours)
        change = sql.SQL("update api_token set {} = %s where id = %s").format(sql.Identifier(column))
        await conn.execute(change, [moment, token["id"]])


async def test_a_token_works_until_its_end(instance: Instance, new_user: NewUser) -> None:
    user = await new_user("someone")
    made = await create(user, 1)
    access = (await exchange(user, made["token"])).json["access_token"]
    for token in (made["token"], access):
        assert (await user.as_(token)("GET", "/users/me")).status == 200

    ended = await create(user, 1)
    await shift(instance, ended, "expires_at", -1)
    assert (await user.as_(ended["token"])("GET", "/users/me")).status == 401
    refused = await exchange(user, ended["token"])
    assert (refused.status, refused.json["error_description"]) == (400, "The API token is invalid.")
    assert (await user.get(f"{TOKENS}/{ended['id']}"))["expires_at"] < now().isoformat()


async def test_a_token_that_is_remembered_ends_as_well(instance: Instance, new_user: NewUser) -> None:
    made = await create(await new_user("someone"), 1)
    clock = Clock(now())
    gate = Gate(replace(instance.services, now=clock))
    header = f"Bearer {made['token']}".encode()
    await gate.identify(header)
    clock.moment += timedelta(minutes=59)
    await gate.identify(header)
    clock.moment += timedelta(minutes=1)
    with pytest.raises(Unauthenticated):
        await gate.identify(header)


async def test_a_token_says_when_it_was_last_used(instance: Instance, new_user: NewUser) -> None:
    user = await new_user("someone")
    exchanged, sent, unused = [await create(user, 100) for _ in range(3)]
    await exchange(user, exchanged["token"])
    await user.as_(sent["token"]).get("/users/me")
    before = (now() - timedelta(minutes=1)).isoformat()
    shown = {each["id"]: each["last_used_at"] for each in await user.get(TOKENS)}
    assert shown[unused["id"]] is None
    assert before < shown[exchanged["id"]] <= now().isoformat()
    assert before < shown[sent["id"]] <= now().isoformat()


async def test_a_token_that_is_in_use_for_long_says_so(instance: Instance, new_user: NewUser) -> None:
    user = await new_user("someone")
    made = await create(user, 100)
    clock = Clock(now())
    gate = Gate(replace(instance.services, now=clock))
    header = f"Bearer {made['token']}".encode()
    await gate.identify(header)
    await shift(instance, made, "last_used_at", -2)
    old = (await user.get(f"{TOKENS}/{made['id']}"))["last_used_at"]
    await gate.identify(header)
    assert (await user.get(f"{TOKENS}/{made['id']}"))["last_used_at"] == old
    clock.moment += timedelta(seconds=RENEWED_SECONDS)
    await gate.identify(header)
    assert (await user.get(f"{TOKENS}/{made['id']}"))["last_used_at"] > old


async def test_nobody_has_more_tokens_than_they_could_want(new_user: NewUser) -> None:
    user = await new_user("someone")
    asked = [user("POST", TOKENS, {"name": "many"}) for _ in range(MOST_TOKENS + 5)]
    statuses = [answer.status for answer in await asyncio.gather(*asked)]
    # One of them was there before.
    assert (statuses.count(201), statuses.count(409)) == (MOST_TOKENS - 1, 6)
    refused = await user("POST", TOKENS, {"name": "one more"})
    assert refused.json["message"] == "A user has at most 100 API tokens; revoke one first."
    listed = await user.get(TOKENS)
    assert (await user("DELETE", f"{TOKENS}/{listed[-1]['id']}")).status == 200
    await user.post(TOKENS, {"name": "one more"})
