"""The token endpoint, in the shapes that clients use."""

import base64
import json
import warnings
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import jwt
import pytest

from tests.api.conftest import KEYS, OPERATOR_TOKEN, Answer, Client, Instance, NewUser, eventually, running
from tieline.api.tokens import LIFETIME, AccessToken, TokenMint
from tieline.core.secret import Secret
from tieline.store.accounts import token_digest
from tieline.store.due import trim
from tieline.store.oauth_tokens import MOST_REFRESH_TOKENS

FORM = "application/x-www-form-urlencoded"
CLAIMS = {"sub": "a", "jti": "i", "exp": 9, "api_token": "t"}


def basic(client_id: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:".encode()).decode()}


SHAPES = {
    "upsun-cli": (
        urlencode(
            {"client_id": "upsun-cli", "client_secret": "", "grant_type": "api_token", "api_token": OPERATOR_TOKEN}
        ),
        {"Content-Type": FORM},
    ),
    "platform-cli": (
        urlencode({"api_token": OPERATOR_TOKEN, "scope": "", "grant_type": "api_token"}),
        {"Content-Type": FORM, **basic("platform-cli")},
    ),
    "javascript": (
        json.dumps({"grant_type": "api_token", "api_token": OPERATOR_TOKEN}),
        {"Content-Type": "application/json", **basic("platform-cli")},
    ),
    "sdk": (
        urlencode({"grant_type": "api_token", "api_token": OPERATOR_TOKEN}),
        {"Content-Type": FORM, **basic("platform-api-user")},
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_client_gets_a_token_that_works(client: Client, shape: str) -> None:
    body, headers = SHAPES[shape]
    answer = await client.as_(None)("POST", "/oauth2/token", raw=body.encode(), headers=headers)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    issued = answer.json
    assert {**issued, "access_token": ""} == {
        "access_token": "",
        "expires_in": LIFETIME,
        "token_type": "bearer",
        "scope": "",
    }
    me = await client.as_(issued["access_token"]).get("/users/me")
    claims = json.loads(base64.urlsafe_b64decode(issued["access_token"].split(".")[1] + "=="))
    assert claims["sub"] == me["id"]
    assert me["username"] == "admin"


async def exchange(client: Client, **fields: str) -> Answer:
    body = urlencode({"client_id": "any", "client_secret": "", **fields}).encode()
    return await client.as_(None)("POST", "/oauth2/token", raw=body, headers={"Content-Type": FORM})


async def revoke(client: Client, token: str, hint: str = "access_token") -> Answer:
    body = urlencode({"client_id": "any", "client_secret": "", "token": token, "token_type_hint": hint}).encode()
    return await client.as_(None)("POST", "/oauth2/revoke", raw=body, headers={"Content-Type": FORM})


async def offline(client: Client) -> dict[str, str]:
    """Tokens of somebody who asked for a refresh token too."""
    answer = await exchange(client, grant_type="api_token", api_token=client.token or "", scope="openid offline_access")
    assert answer.status == 200
    tokens: dict[str, str] = answer.json
    return tokens


async def test_a_refresh_token_is_given_to_who_asks_for_one_and_brings_new_access_tokens(new_user: NewUser) -> None:
    user = await new_user("someone")
    first = await offline(user)
    assert first["scope"] == "offline_access"
    again = await exchange(user, grant_type="refresh_token", refresh_token=first["refresh_token"])
    second = again.json
    assert (second["refresh_token"], second["scope"]) == (first["refresh_token"], "offline_access")
    assert second["access_token"] != first["access_token"]
    for each in (first, second):
        assert (await user.as_(each["access_token"])("GET", "/users/me")).status == 200


@pytest.mark.parametrize("token", ["unknown", "\xff", "x" * 5000])
async def test_a_refresh_token_that_is_none_is_refused_in_the_words_that_clients_know(
    client: Client, token: str
) -> None:
    answer = await exchange(client, grant_type="refresh_token", refresh_token=token)
    refusal = {"error": "invalid_grant", "error_description": "Invalid refresh token"}
    assert (answer.status, answer.json) == (400, refusal)
    assert answer.headers["Content-Type"] == "application/json"


async def test_a_refresh_token_ends_with_its_time(instance: Instance, new_user: NewUser) -> None:
    user = await new_user("someone")
    tokens = await offline(user)
    async with instance.services.db.transaction() as conn:
        await conn.execute("update refresh_token set expires_at = now() where digest = %s", [digest(tokens)])
    assert (await exchange(user, grant_type="refresh_token", refresh_token=tokens["refresh_token"])).status == 400


def digest(tokens: dict[str, str]) -> bytes:
    return token_digest(Secret(tokens["refresh_token"]))


async def test_no_token_is_kept_in_clear(instance: Instance, new_user: NewUser) -> None:
    tokens = await offline(await new_user("someone"))
    await revoke(instance.client, tokens["access_token"])
    async with instance.services.db.connection() as conn:
        cursor = await conn.execute(
            "select (select json_agg(r)::text from refresh_token r) || (select json_agg(t)::text from revoked_token t)"
            " || (select json_agg(a)::text from api_token a) as kept"
        )
        row = await cursor.fetchone()
    assert row is not None
    assert not [each for each in ("access_token", "refresh_token") if tokens[each] in row["kept"]]


async def test_the_oldest_refresh_tokens_make_room(instance: Instance, new_user: NewUser) -> None:
    user = await new_user("someone")
    oldest = await offline(user)
    for _ in range(MOST_REFRESH_TOKENS - 1):
        await offline(user)
    assert (await exchange(user, grant_type="refresh_token", refresh_token=oldest["refresh_token"])).status == 200
    await offline(user)
    assert (await exchange(user, grant_type="refresh_token", refresh_token=oldest["refresh_token"])).status == 400
    assert (await user.as_(oldest["access_token"])("GET", "/users/me")).status == 401


async def test_a_revoked_access_token_is_refused_at_once_on_every_server_and_after_a_start(
    client: Client, instance: Instance, second: Instance, new_user: NewUser
) -> None:
    user = await new_user("someone")
    tokens = [(await exchange(user, grant_type="api_token", api_token=user.token or "")).json for _ in range(2)]
    gone, stays = (each["access_token"] for each in tokens)
    elsewhere = Client(second.client.url, second.client.session, gone)
    for each in (user.as_(gone), elsewhere, user.as_(stays)):
        assert (await each("GET", "/users/me")).status == 200

    for token in (gone, gone, "unknown", ""):
        answer = await revoke(client, token)
        assert (answer.status, answer.json if token else {}) == (200 if token else 400, {})
    assert (await user.as_(gone)("GET", "/users/me")).status == 401
    await eventually(lambda: is_refused(elsewhere))
    async with running(instance.dsn) as started:
        for token, status in ((gone, 401), (stays, 200)):
            found = await Client(started.client.url, started.client.session, token)("GET", "/users/me")
            assert found.status == status


async def is_refused(client: Client) -> bool:
    return (await client("GET", "/users/me")).status == 401


async def test_a_revoked_refresh_token_takes_what_came_from_it_along(
    client: Client, second: Instance, new_user: NewUser
) -> None:
    user = await new_user("someone")
    tokens = await offline(user)
    elsewhere = Client(second.client.url, second.client.session, tokens["access_token"])
    assert not await is_refused(elsewhere)
    assert not await is_refused(user.as_(tokens["access_token"]))
    # Clients may be wrong about what kind of token it is.
    assert (await revoke(client, tokens["refresh_token"], "access_token")).json == {}
    assert await is_refused(user.as_(tokens["access_token"]))
    await eventually(lambda: is_refused(elsewhere))
    assert (await exchange(user, grant_type="refresh_token", refresh_token=tokens["refresh_token"])).status == 400
    assert not await is_refused(user)


async def test_revoking_does_not_end_an_api_token(client: Client, new_user: NewUser) -> None:
    user = await new_user("someone")
    assert (await revoke(client, user.token or "", "refresh_token")).json == {}
    assert not await is_refused(user)


async def test_what_has_expired_is_forgotten(instance: Instance, new_user: NewUser) -> None:
    user = await new_user("someone")
    old, new = await offline(user), await offline(user)
    for each in (old, new):
        await revoke(user, each["access_token"])
    async with instance.services.db.transaction() as conn:
        cursor = await conn.execute("select count(*) as many from revoked_token")
        before = await cursor.fetchone()
        await conn.execute(
            "update refresh_token set expires_at = now() - interval '2 hours' where digest = %s", [digest(old)]
        )
        await conn.execute(
            "update revoked_token set expires_at = now() - interval '1 second' where id = %s",
            [jwt.decode(old["access_token"], options={"verify_signature": False})["jti"]],
        )
        await trim(conn)
        cursor = await conn.execute("select count(*) as many from revoked_token")
        after = await cursor.fetchone()
        assert before is not None
        assert after == {"many": before["many"] - 1}
        cursor = await conn.execute(
            "select digest from refresh_token where digest = any(%s)", [[digest(old), digest(new)]]
        )
        assert await cursor.fetchall() == [{"digest": digest(new)}]


async def test_an_access_token_promises_no_more_than_its_api_token_has(client: Client, new_user: NewUser) -> None:
    user = await new_user("someone")
    soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    token = await user.post("/users/me/api-tokens", {"name": "short", "expires_at": soon})
    answer = await exchange(client, grant_type="api_token", api_token=token["token"])
    assert 290 <= answer.json["expires_in"] <= 300


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("grant_type=api_token&api_token=wrong", "invalid_grant"),
        ("grant_type=api_token", "invalid_request"),
        ("grant_type=password&username=a", "unsupported_grant_type"),
        ("", "unsupported_grant_type"),
        ("grant_type=authorization_code&code=c&code_verifier=v", "unsupported_grant_type"),
        ("grant_type=refresh_token", "invalid_request"),
        ("grant_type=refresh_token&refresh_token=", "invalid_request"),
        ("\xff\x00=%zz&grant_type=api_token&api_token=%00%ff", "invalid_grant"),
    ],
)
async def test_a_refusal_says_why(client: Client, body: str, error: str) -> None:
    headers = {"Content-Type": FORM}
    answer = await client.as_(None)("POST", "/oauth2/token", raw=body.encode(), headers=headers)
    assert (answer.status, answer.json["error"]) == (400, error)
    assert answer.json["error_description"]


async def test_json_that_is_none_is_refused(client: Client) -> None:
    answer = await client.as_(None)("POST", "/oauth2/token", raw=b"{")
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "", "ä", "x" * 5000])
async def test_a_wrong_bearer_is_401_in_the_form_that_clients_retry(client: Client, token: str) -> None:
    answer = await client.as_(None)("GET", "/users/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json["error"] == "invalid_token"


def test_a_token_that_was_touched_is_not_read() -> None:
    mint = TokenMint(KEYS)
    token = mint.issue(AccessToken("id", "account", "token", 2000)).reveal().encode()
    assert mint.read(token, 1999) == AccessToken("id", "account", "token", 2000)
    assert mint.read(token, 2000) is None
    header, claims, signature = token.split(b".")
    none = _part({"alg": "none", "typ": "JWT"})
    for forged in (b".".join((none, claims, b"")), b".".join((header, claims[:-2] + b"AA", signature)), token[:-3]):
        assert mint.read(forged, 0) is None


@pytest.mark.parametrize("missing", ["sub", "jti", "exp", "api_token"])
def test_a_signed_token_that_does_not_say_all_is_not_read(missing: str) -> None:
    mint = TokenMint(KEYS)
    claims = {name: value for name, value in CLAIMS.items() if name != missing}
    assert mint.read(jwt.encode(claims, mint._keys[0], algorithm="HS256").encode(), 0) is None


def test_no_other_algorithm_is_taken_even_with_the_right_key() -> None:
    mint = TokenMint(KEYS)
    assert mint.read(jwt.encode(CLAIMS, mint._keys[0], algorithm="HS256").encode(), 0) is not None
    with warnings.catch_warnings(action="ignore"):
        longer = [jwt.encode(CLAIMS, mint._keys[0], algorithm=name) for name in ("HS384", "HS512")]
    assert [mint.read(each.encode(), 0) for each in longer] == [None, None]


NOT_TOKENS = [
    b"..",
    b"\xff.\xff.\xff",
    b"e30.e30.",
    base64.urlsafe_b64encode(b"[" * 2000) + b".e30.AA",
    base64.urlsafe_b64encode(b'{"alg":["HS256"]}') + b".e30.AA",
    base64.urlsafe_b64encode(b'{"alg":"HS256","crit":["b64"],"b64":false}') + b".e30.AA",
    base64.urlsafe_b64encode(b'"HS256"') + b".e30.AA",
]


@pytest.mark.parametrize("text", NOT_TOKENS)
async def test_what_only_looks_like_a_token_is_401_and_no_more(client: Client, text: bytes) -> None:
    assert TokenMint(KEYS).read(text, 0) is None
    answer = await client.as_(None)("GET", "/users/me", headers={"Authorization": f"Bearer {text.decode('latin-1')}"})
    assert answer.status == 401


def _part(document: dict[str, str]) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=")


def test_keys_can_be_changed_while_tokens_are_out() -> None:
    old = TokenMint([Secret("old")]).issue(AccessToken("i", "a", "t", 10)).reveal().encode()
    assert TokenMint([Secret("new"), Secret("old")]).read(old, 0) is not None
    assert TokenMint([Secret("new")]).read(old, 0) is None
