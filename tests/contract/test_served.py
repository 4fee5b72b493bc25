"""The running API against the contract's table, field by field: what is created, changed, read and refused."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from tests.api.conftest import Answer, Instance, running
from tests.conftest import fresh_database
from tests.contract.samples import replaced, without
from tests.contract.table import ADDRESSES, COMMON, NEEDS, TYPES, Row
from tieline.integrations import ALL
from tieline.store import integrations
from tieline.store.embedded import EmbeddedServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = {kind.key: kind for kind in ALL}
READ_ONLY_BODY = {
    "id": "x",
    "created_at": 5,
    "updated_at": "never",
    "role": "admin",
    "_links": {},
    "_embedded": {"entity": 5},
}
WRONG_TYPE: dict[str, tuple[Any, ...]] = {
    "string": (5, True, ["x"], {"a": "b"}),
    "boolean": ("true", 1, []),
    "integer": ("5", 1.5, True),
    "strings": ("x", [5], [None], {"a": "b"}),
    "map": ("x", ["x"], {"a": 5}, {"a": None}),
    "object": ("x", [], 5, {"neither": "this"}),
}
each_type = pytest.mark.parametrize("key", TYPES)


@dataclass
class Wire:
    """A server with all types. No answer of it may have a secret."""

    instance: Instance

    async def __call__(self, method: str, path: str, body: Any = None) -> Answer:
        answer = await self.instance.client(method, path, body)
        assert b"SECRET-" not in answer.body, (method, path, answer.body)
        return answer

    async def secrets(self, project: str, integration: str) -> dict[str, str]:
        """What is stored sealed of the fields."""
        async with self.instance.services.db.connection() as conn:
            stored = await integrations.get(conn, self.instance.services.box, project, integration)
        return {
            name: each.reveal()
            for name, each in stored.secrets.items()
            if name != "hook" and not name.endswith(".previous")
        }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(postgres: EmbeddedServer) -> AsyncIterator[Wire]:
    with fresh_database(postgres) as dsn:
        async with running(dsn, ALL) as started:
            yield Wire(started)


@dataclass
class Place:
    """A project for one type."""

    wire: Wire
    key: str
    project: str

    @property
    def rows(self) -> dict[str, Row]:
        return TYPES[self.key]

    @property
    def listed(self) -> str:
        return f"/projects/{self.project}/integrations"

    def minimal(self) -> dict[str, Any]:
        return {"type": self.key, **{name: row.full for name, row in self.rows.items() if row.is_required}}

    def full(self) -> dict[str, Any]:
        return {"type": self.key, **{name: row.full for name, row in self.rows.items() if not row.read_only}}

    async def create(self, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.wire("POST", self.listed, body)
        assert answer.status == 201, answer.body
        return dict(answer.json["_embedded"]["entity"])

    async def patch(self, id: str, body: Any) -> dict[str, Any]:
        answer = await self.wire("PATCH", f"{self.listed}/{id}", body)
        assert answer.status == 200, (body, answer.body)
        return dict(answer.json["_embedded"]["entity"])

    async def clear(self) -> None:
        for each in (await self.wire("GET", self.listed)).json:
            assert (await self.wire("DELETE", f"{self.listed}/{each['id']}")).status == 200

    def readable(self, values: dict[str, Any]) -> dict[str, Any]:
        """What reads show of the fields when these are given, in their order."""
        given = {name: values.get(name, row.default) for name, row in self.rows.items() if not row.write_only}
        return {name: shown(self.rows[name], each) for name, each in given.items() if is_shown(self.rows[name], each)}


def is_shown(row: Row, value: Any) -> bool:
    return not (row.own and value == row.default)


def shown(row: Row, value: Any) -> Any:
    if isinstance(value, dict) and row.parts:
        return {name: each for name, each in value.items() if not row.parts[name].write_only}
    return value


def fields_of(entity: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entity.items() if name not in (*COMMON, "_links")}


@pytest_asyncio.fixture(loop_scope="module")
async def place(wire: Wire, key: str) -> Place:
    created = await wire("POST", "/projects", {"title": key})
    return Place(wire, key, created.json["_embedded"]["entity"]["id"])


@each_type
async def test_what_need_not_be_sent_has_the_default_of_the_table(place: Place) -> None:
    entity = await place.create(place.minimal())
    assert list(entity) == [*COMMON, *place.readable({}), "_links"]
    assert fields_of(entity) == place.readable(place.minimal())
    assert (entity["type"], entity["role"], entity["updated_at"]) == (place.key, "", None)
    assert (await place.wire("GET", place.listed)).json == [entity]


@each_type
async def test_what_is_sent_is_read_back_but_for_secrets(place: Place) -> None:
    entity = await place.create({**place.full(), **READ_ONLY_BODY, **read_only(place)})
    assert list(fields_of(entity).items()) == list(place.readable(place.full()).items())
    assert (await place.wire("GET", f"{place.listed}/{entity['id']}")).json == entity
    assert await place.wire.secrets(place.project, entity["id"]) == dict(sealed(place.rows, place.full()))


def read_only(place: Place) -> dict[str, Any]:
    return {name: {"nobody": "sets this"} for name, row in place.rows.items() if row.read_only}


def sealed(rows: dict[str, Row], values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, row in rows.items():
        if row.write_only or row.sealed:
            yield prefix + name, values[name] if row.kind == "string" else orjson.dumps(values[name]).decode()
        elif row.parts and values[name] is not None:
            yield from sealed(row.parts, values[name], f"{name}.")


@each_type
async def test_a_document_sent_back_changes_nothing(place: Place) -> None:
    entity = await place.create(place.full())
    assert await place.patch(entity["id"], entity) == entity
    assert await place.patch(entity["id"], {"type": place.key, **READ_ONLY_BODY, **read_only(place)}) == entity
    assert await place.wire.secrets(place.project, entity["id"]) == dict(sealed(place.rows, place.full()))


@each_type
async def test_each_field_can_be_patched_alone(place: Place) -> None:
    entity = await place.create(place.full())
    values = place.full()
    for name, row in place.rows.items():
        if row.read_only:
            continue
        values[name] = row.other
        if row.other is False:
            values |= dict.fromkeys(NEEDS.get(place.key, {}).get(name, ()), False)
        assert fields_of(await place.patch(entity["id"], {name: row.other})) == place.readable(values), name
        if row.write_only or row.sealed or row.parts:
            stored = await place.wire.secrets(place.project, entity["id"])
            assert stored == dict(sealed(place.rows, values)), name
    assert await place.wire.secrets(place.project, entity["id"]) == dict(sealed(place.rows, values))


@each_type
async def test_what_is_wrong_is_named_and_nothing_is_stored(place: Place) -> None:
    entity = await place.create(place.full())
    cases = [*creations(place), *patches(place)]
    paths = {"POST": place.listed, "PATCH": f"{place.listed}/{entity['id']}"}
    answers = await asyncio.gather(*(place.wire(method, paths[method], body) for method, _, body in cases))
    failures = [
        f"{method} {name}: {orjson.dumps(body)!r} gave {answer.status} {answer.body!r}"
        for (method, name, body), answer in zip(cases, answers, strict=True)
        if not is_refusal(answer, name)
    ]
    assert failures == []
    assert (await place.wire("GET", place.listed)).json == [entity]
    assert await place.wire.secrets(place.project, entity["id"]) == dict(sealed(place.rows, place.full()))


Case = tuple[str, str, Any]


def creations(place: Place) -> Iterator[Case]:
    """Bodies that create nothing, with the field that must be named."""
    full = place.full()
    for name, row in writable(place.rows):
        if row.is_required:
            yield "POST", name, without(full, name)
        yield "POST", f"{name}x", replaced(full, f"{name}x", "unknown")
        yield from (("POST", name, replaced(full, name, value)) for value in wrong_values(row))
    for type_key in (None, 5, "", "no.such.type", ["webhook"], {"webhook": True}, True):
        yield "POST", "type", {**full, "type": type_key}
    yield "POST", "type", without(full, "type")


def patches(place: Place) -> Iterator[Case]:
    """Bodies that change nothing: one field each."""
    full = place.full()
    for name, row in writable(place.rows):
        top = name.partition(".")[0]
        yield from (("PATCH", name, {top: replaced(full, name, value)[top]}) for value in wrong_kinds(row))
    yield "PATCH", "zzzzzz", {"zzzzzz": "unknown"}
    for type_key in (None, 5, "no.such.type", "webhook" if place.key != "webhook" else "script"):
        yield "PATCH", "type", {"type": type_key}


def writable(rows: dict[str, Row], prefix: str = "") -> Iterator[tuple[str, Row]]:
    for name, row in rows.items():
        if not row.read_only:
            yield prefix + name, row
            yield from writable(row.parts, f"{name}.")


def wrong_values(row: Row) -> Iterator[Any]:
    yield from WRONG_TYPE[row.kind][1:]
    yield from row.wrong[1:]
    yield from ("", row.enum[0].upper() + "x") if row.enum else ()
    yield from wrong_kinds(row)


def wrong_kinds(row: Row) -> Iterator[Any]:
    """One value for each kind of being wrong: null, of another type, out of range, no choice, without a meaning."""
    yield WRONG_TYPE[row.kind][0]
    yield from row.wrong[:1]
    if not row.nullable:
        yield None
    if row.enum:
        yield "no such choice"
    least, most = row.limits
    yield from () if least is None else (least - 1,)
    yield from () if most is None else (most + 1,)


def is_refusal(answer: Answer, name: str) -> bool:
    """Whether it is a 400 with a flat detail that names the field, or a part of it."""
    if answer.status != 400:
        return False
    detail = answer.json["detail"]
    named = [each for each in detail if each == name or each.startswith(f"{name}.")]
    return bool(named) and all(isinstance(each, str) and each[-1] in ".?" for each in detail.values())


@each_type
async def test_switches_that_need_another_are_off_with_it(place: Place) -> None:
    for parent, needy in NEEDS.get(place.key, {}).items():
        for name in needy:
            body = {**place.minimal(), name: True, parent: False}
            assert (await place.create(body))[name] is False, name
            await place.clear()
            assert (await place.create({**body, parent: True}))[name] is True, name
            await place.clear()


@pytest.mark.parametrize("key", ADDRESSES)
async def test_private_addresses_are_refused_where_they_would_be_called(place: Place) -> None:
    name = ADDRESSES[place.key]
    entity = await place.create(place.full())
    for address in ("127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:10.1.2.3", "0x7f.1", "x.localhost"):
        written = f"[{address}]" if ":" in address else address
        body = {name: address if name == "host" else f"https://{written}/x"}
        for answer in (
            await place.wire("POST", place.listed, {**place.full(), **body}),
            await place.wire("PATCH", f"{place.listed}/{entity['id']}", body),
        ):
            assert is_refusal(answer, name), (address, answer.body)
    assert (await place.wire("GET", place.listed)).json == [entity]


@pytest.mark.parametrize("key", [key for key in TYPES if not KINDS[key].acts])
async def test_a_type_that_does_not_act_yet_starts_nothing_and_says_so(place: Place) -> None:
    with capture_logs() as logs:
        answer = await place.wire("POST", place.listed, place.full())
    assert answer.json["_embedded"]["activities"] == []
    entity = answer.json["_embedded"]["entity"]
    path = f"{place.listed}/{entity['id']}"
    (said,) = [each for each in logs if each["event"] == "integration does not act yet"]
    assert (said["log_level"], said["type"], said["id"]) == ("warning", place.key, entity["id"])
    assert {"#sync", "#hook"}.isdisjoint(entity["_links"])
    validated = (await place.wire("POST", f"{path}/validate")).json
    assert (validated["status"], validated["code"]) == ("OK", 200)
    assert (await place.wire("PATCH", path, place.minimal())).json["_embedded"]["activities"] == []
    assert (await place.wire("POST", f"{path}/sync")).status == 400


@pytest.mark.parametrize("key", ["gitlab"])
async def test_a_git_source_that_is_not_followed_yet_is_the_only_one_all_the_same(place: Place) -> None:
    await place.create(place.full())
    for other in ("github", "bitbucket", "gitlab"):
        answer = await place.wire("POST", place.listed, Place(place.wire, other, place.project).full())
        assert is_refusal(answer, "type"), answer.body


@pytest.mark.parametrize("key", ["splunk"])
async def test_what_goes_along_with_records_has_the_limit_that_the_capabilities_tell(place: Place) -> None:
    told = (await place.wire("GET", f"/projects/{place.project}/capabilities")).json
    assert told["integrations"]["config"].keys() >= TYPES.keys()
    room = told["logs_forwarding"]["max_extra_payload_size"] - len('{"a":""}')
    entity = await place.create({**place.full(), "extra": {"a": "x" * room}})
    assert len(entity["extra"]["a"]) == room
    assert is_refusal(
        await place.wire("POST", place.listed, {**place.full(), "extra": {"a": "x" * (room + 1)}}), "extra"
    )
