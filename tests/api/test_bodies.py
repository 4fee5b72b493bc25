"""What is refused of a body before anybody looks at its meaning."""

import asyncio

import pytest

from tests.api.conftest import Client, Instance, eventually
from tieline.api.bodies import DEEPEST, LIMIT, LONGEST_NAME, MOST_ITEMS, MOST_NAMES, parse_json, parse_object
from tieline.core.errors import Invalid

DEEP = b'{"a":' * (DEEPEST + 2) + b"1" + b"}" * (DEEPEST + 2)
BAD = {
    "not json": (b"{", "body", "not JSON"),
    "text after it": (b"{} {}", "body", "not JSON"),
    "a list": (b"[]", "body", "must be a JSON object"),
    "a string": (b'"x"', "body", "must be a JSON object"),
    "null": (b"null", "body", "must be a JSON object"),
    "NaN": (b'{"a":NaN}', "body", "NaN"),
    "infinity": (b'{"a":-Infinity}', "body", "Infinity"),
    "overflow": (b'{"a":[1e999]}', "a.0", "too large"),
    "huge integer": (b'{"a":{"b":' + b"9" * 20 + b"}}", "a.b", "too large"),
    "endless integer": (b'{"a":' + b"9" * 5000 + b"}", "body", "number"),
    "double name": (b'{"title":"a","title":"b"}', "title", "twice"),
    "NUL": (b'{"title":"a\\u0000b"}', "title", "NUL"),
    "NUL in a name": (b'{"a\\u0000":1}', "a\\0", "NUL"),
    "lone surrogate": (b'{"a":{"title":"\\ud800"}}', "a.title", "surrogate"),
    "not UTF-8": (b'{"title":"\xff"}', "body", "UTF-8"),
    "too deep": (DEEP, "a.a.a....", "nested"),
    "too many names": (b'{"a":{' + b",".join(b'"n%d":1' % n for n in range(MOST_NAMES + 1)) + b"}}", "body", "names"),
    "too many items": (b'{"a":[' + b"1," * MOST_ITEMS + b"1]}", "a", "items"),
    "endless name": (b'{"a":{"' + b"n" * (LONGEST_NAME + 1) + b'":1}}', "a." + "n" * 198, "name"),
    "absurdly deep": (b"[" * 100_000, "body", "nested"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_body_is_refused_with_its_place(name: str) -> None:
    body, field, part = BAD[name]
    with pytest.raises(Invalid) as refused:
        parse_object(body)
    assert list(refused.value.detail) == [field]
    assert part in refused.value.detail[field]


@pytest.mark.parametrize("body", [b"", b"  \n", b"{}", b"\xef\xbb\xbf{}"])
def test_an_empty_body_is_an_empty_object(body: bytes) -> None:
    assert parse_object(body) == {}


def test_ordinary_json_is_read_as_it_is() -> None:
    assert parse_json('{"a":[1,2.5,"ä😀",null,true],"b":{}}'.encode()) == {"a": [1, 2.5, "ä😀", None, True], "b": {}}


@pytest.mark.parametrize("name", BAD)
async def test_the_api_answers_400_and_creates_nothing(client: Client, name: str) -> None:
    body, field, _ = BAD[name]
    before = await client.get("/projects")
    answer = await client("POST", "/projects", raw=body)
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/json")
    assert answer.json["code"] == 400
    assert field in answer.json["detail"]
    assert await client.get("/projects") == before


async def test_a_body_beyond_the_limit_is_413_whether_its_length_is_stated_or_not(client: Client) -> None:
    before = await client.get("/projects")
    large = b'{"title":"' + b"x" * LIMIT + b'"}'
    stated = await client("POST", "/projects", raw=large)
    assert (stated.status, stated.json["code"]) == (413, 413)

    async def pieces() -> object:
        for start in range(0, len(large), 65536):
            yield large[start : start + 65536]

    headers = {"Authorization": f"Bearer {client.token}"}
    async with client.session.post(f"{client.url}/projects", data=pieces(), headers=headers) as streamed:
        assert streamed.status == 413
    assert await client.get("/projects") == before


async def test_a_client_that_hangs_up_is_told_too_before_the_connection_ends(client: Client) -> None:
    """Closed in the middle of a body, a connection is reset, and the answer with it."""
    answer = await client("POST", "/projects", raw=b" " * 10 * LIMIT, headers={"Connection": "close"})
    assert (answer.status, answer.json["code"]) == (413, 413)


async def test_a_client_that_goes_away_in_the_middle_is_no_failure(own_instance: Instance, capsys: object) -> None:
    client = own_instance.client
    host, _, port = client.url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /projects HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\nContent-Length: 100\r\n\r\n"
    writer.write(head.encode() + b'{"title":')
    await writer.drain()
    writer.close()

    async def noticed() -> bool:
        figures = (await client("GET", "/metrics")).body.decode()
        return 'method="POST",route="/projects",status="503"' in figures

    await eventually(noticed)
    assert "request_failed" not in capsys.readouterr().out  # type: ignore[attr-defined]
