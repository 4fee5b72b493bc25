"""The token endpoint, in the shapes that clients use."""

import base64
import json
import warnings
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest

from tests.api.conftest import KEYS, OPERATOR_TOKEN, Client
from tieline.api.tokens import LIFETIME, AccessToken, TokenMint
from tieline.core.secret import Secret

FORM = "application/x-www-form-urlencoded"


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


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("grant_type=api_token&api_token=wrong", "invalid_grant"),
        ("grant_type=api_token", "invalid_request"),
        ("grant_type=password&username=a", "unsupported_grant_type"),
        ("", "unsupported_grant_type"),
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
    token = mint.issue(AccessToken("account", "token", 2000)).reveal().encode()
    assert mint.read(token, 1999) == AccessToken("account", "token", 2000)
    assert mint.read(token, 2000) is None
    header, claims, signature = token.split(b".")
    none = _part({"alg": "none", "typ": "JWT"})
    for forged in (b".".join((none, claims, b"")), b".".join((header, claims[:-2] + b"AA", signature)), token[:-3]):
        assert mint.read(forged, 0) is None


@pytest.mark.parametrize("claims", [{"jti": "t", "exp": 9}, {"sub": "a", "exp": 9}, {"sub": "a", "jti": "t"}, {}])
def test_a_signed_token_that_does_not_say_all_is_not_read(claims: dict[str, Any]) -> None:
    mint = TokenMint(KEYS)
    assert mint.read(jwt.encode(claims, mint._keys[0], algorithm="HS256").encode(), 0) is None


def test_no_other_algorithm_is_taken_even_with_the_right_key() -> None:
    mint = TokenMint(KEYS)
    claims = {"sub": "a", "jti": "t", "exp": 9}
    assert mint.read(jwt.encode(claims, mint._keys[0], algorithm="HS256").encode(), 0) is not None
    with warnings.catch_warnings(action="ignore"):
        longer = [jwt.encode(claims, mint._keys[0], algorithm=name) for name in ("HS384", "HS512")]
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
    old = TokenMint([Secret("old")]).issue(AccessToken("a", "t", 10)).reveal().encode()
    assert TokenMint([Secret("new"), Secret("old")]).read(old, 0) is not None
    assert TokenMint([Secret("new")]).read(old, 0) is None
