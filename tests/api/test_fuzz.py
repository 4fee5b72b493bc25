"""Whatever is sent to whatever the document describes is answered as it says, and nothing is kept of what is refused.

The cases are made of the document, so that a new route is tried by being there. Which wrong value meets which field is
drawn with a fixed seed: the same cases at every run.
"""

import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from urllib.parse import quote

import pytest_asyncio
from multidict import CIMultiDict
from openapi_schema_validator import OAS31Validator
from yarl import URL

from tests.api.conftest import Answer, Client, Instance, create_project, running
from tests.api.test_openapi_is_true import World, populate
from tests.conftest import fresh_database
from tieline.integrations import ALL
from tieline.store.embedded import EmbeddedServer

SEED = "tieline"
JSON_TYPE = "application/json"
# How many of the wrong values meet each field, each part of a path and each parameter.
OF_VALUES, OF_PARTS, OF_PARAMETERS, OF_BODIES = 2, 3, 6, 5
VALIDATED = 3
DEEP: Any = "end"
for _ in range(40):
    DEEP = [DEEP]
WRONG_VALUES: list[Any] = [
    None, True, 0, -1, 2.5, 2**53 - 1, 10**30, "", " \t", "text", "x" * 20_000, "a\0b", "\ud800", "ä😀\u202e\u200b",
    "\U0001f4a3" * 300, "../../etc/passwd", "%s%n{0}${x}", "http://[::1", "http://127.0.0.1:1/", "2026-13-45", [], [[]],
    ["x"] * 2000, [None], {}, {"": ""}, {"a": {"b": [1]}}, DEEP,
]  # fmt: skip
WRONG_PARTS = (
    "aaaaaaaaaaaaa", "me", "0", "-", "%2e%2e%2f%2e%2e", "%00", "%ff%fe", "%C3%A4", "%F0%9F%92%A3", "a" * 300,
    "%27%3B--", "*", "heads%2Fnone", "%7B%7D", "a%0d%0ab", "+",
)  # fmt: skip
WRONG_PARAMETERS = (
    "", "x", "x" * 4000, "-1", "0", "1e9", "9" * 40, "%00", "%ff", "%F0%9F%92%A3", "[]", "2026-13-45",
    "2026-11-23T10:00:00+00:00", "9999-12-31T23:59:59-14:00", "NaN", "true",
)  # fmt: skip
WRONG_BODIES = (
    b"", b" ", b"{", b"[]", b"[1]", b"null", b'"text"', b"5", b"\xff\xfe", b'{"a":NaN}', b'{"a":1,"a":2}', b"{}{}",
    b"\xef\xbb\xbf{}", b"[" * 5000, b'{"":{}}', b'{"type":["x"]}', b"a=1&b=2",
)  # fmt: skip
WRONG_HEADERS: tuple[Mapping[str, str], ...] = (
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Type": "multipart/form-data"},
    {"If-None-Match": '"x", W/"y", *, "'},
    {"If-None-Match": "x" * 4000},
    {"Accept": "text/html;q=x"},
    {"Range": "bytes=5-1"},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer ä😀"},
    {"Authorization": "Bearer " + "x" * 8000},
    {"Authorization": "Bearer a.b.c"},
    {"Authorization": "Basic Og=="},
)
# What counts rows and the transactions that wrote them: any change changes it, and a mere lock does not.
PRINT = "select count(*) as rows, coalesce(sum(xmin::text::bigint), 0) as written from {}"
# That a token was used is remembered, whatever it was used for.
PRINT_OF_USED = "select count(*) as rows, 0 as written from {}"
TABLES = """
    select oid::regclass::text as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
    order by 1
"""


@dataclass(frozen=True)
class Case:
    """One request. `path` is what stands in the request line."""

    method: str
    template: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path[:200]} {dict(self.headers) or ''} {(self.body or b'')[:200]!r}"


@dataclass
class Fuzz:
    """A server with a project that has some of everything, and what its document says."""

    instance: Instance
    world: World
    homes: dict[str, dict[str, str]]
    tables: list[str]
    validated: dict[tuple[str, str, int], int] = field(default_factory=dict)

    @property
    def operations(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Method, template and what is said of it; what removes things comes last, the innermost first."""
        every = [
            (method.upper(), template, operation)
            for template, methods in self.world.document["paths"].items()
            for method, operation in methods.items()
        ]
        return sorted(every, key=lambda each: (each[0] == "DELETE", -len(each[1]) if each[0] == "DELETE" else 0))

    def path(self, template: str, **parts: str) -> str:
        """A path with real ids, and with `parts` as they are."""
        ids = {name: quote(value, safe="") for name, value in self.world.ids.items()}
        if "environment_id}/activities" in template:
            ids["activity_id"] = ids["environment_activity_id"]
        return template.format(**{**ids, **parts})

    def case(self, method: str, template: str, body: Any = None) -> Case:
        """A request with a body; one about an integration goes to an integration of its type."""
        kind = body.get("type") if isinstance(body, dict) and "/integrations" in template else None
        path = self.path(template, **(self.homes.get(kind, {}) if isinstance(kind, str) else {}))
        return Case(method, template, path, None if body is None else json.dumps(body).encode())

    def schema(self, described: dict[str, Any]) -> dict[str, Any]:
        """What a reference stands for."""
        if "$ref" not in described:
            return described
        found: dict[str, Any] = self.world.document["components"]["schemas"][described["$ref"].rpartition("/")[2]]
        return found

    async def fingerprint(self) -> Any:
        """Another one whenever anything was stored or removed."""
        prints = ((PRINT_OF_USED if name == "api_token" else PRINT).format(name) for name in self.tables)
        query = " union all ".join(prints)
        async with self.instance.services.db.connection() as conn:
            return await (await conn.execute(query)).fetchall()

    async def moment(self) -> Any:
        """Another one whenever a transaction wrote or locked anything, and far sooner told than the fingerprint."""
        async with self.instance.services.db.connection() as conn:
            return await (await conn.execute("select pg_snapshot_xmax(pg_current_snapshot())::text as next")).fetchone()

    async def send(self, case: Case) -> Answer:
        client = self.instance.client
        headers = CIMultiDict({"Authorization": f"Bearer {client.token}", **case.headers})
        if case.body is not None:
            headers.setdefault("Content-Type", JSON_TYPE)
        url = URL(client.url + case.path, encoded=True)
        async with client.session.request(
            case.method, url, data=case.body, headers=headers, allow_redirects=False
        ) as answer:
            return Answer(answer.status, answer.headers.copy(), await answer.read())

    async def run(self, cases: Iterable[Case], *also: int) -> list[str]:
        """Everything that is wrong with the answers; `also` are statuses that need not be described."""
        wrong = []
        moment, known = await self.moment(), await self.fingerprint()
        for case in cases:
            answer = await self.send(case)
            wrong += [f"{case}: {each}" for each in self.complaints(case, answer, also)]
            if (later := await self.moment()) == moment:
                continue
            moment, before, known = later, known, await self.fingerprint()
            if answer.status >= 400 and known != before:
                wrong.append(f"{case}: answered {answer.status}, and something was stored all the same")
        return wrong

    def complaints(self, case: Case, answer: Answer, also: tuple[int, ...] = ()) -> Iterator[str]:
        if answer.status >= 500 and case.template != "/readyz":
            yield f"answered {answer.status}: {answer.body[:300]!r}"
            return
        described = self.world.document["paths"][case.template][case.method.lower()]["responses"]
        if str(answer.status) not in described:
            if answer.status not in also:
                yield f"answered {answer.status}, which is not described: {answer.body[:300]!r}"
            return
        yield from self.faults(case, answer, described[str(answer.status)])
        # A hook without a signature is a hint, whatever it says.
        if answer.status < 400 and (case.body or b"").strip() and not case.template.endswith("/hook"):
            yield from self.faults_of_what_was_taken(case)

    def faults_of_what_was_taken(self, case: Case) -> Iterator[str]:
        """What the document says is wrong with a body that was not refused."""
        described = self.world.document["paths"][case.template][case.method.lower()].get("requestBody")
        if described is not None:
            schema = described["content"][JSON_TYPE]["schema"]
            validator = OAS31Validator({**schema, "components": self.world.document["components"]})
            for error in validator.iter_errors(json.loads(case.body or b"")):
                yield f"was taken, although it is not as described: {error.message[:300]}"

    def faults(self, case: Case, answer: Answer, described: dict[str, Any]) -> Iterator[str]:
        if "$ref" in described:
            described = self.world.document["components"]["responses"][described["$ref"].rpartition("/")[2]]
        if JSON_TYPE not in described.get("content", {}):
            return
        if answer.headers["Content-Type"] != JSON_TYPE:
            yield f"is of the type {answer.headers['Content-Type']}"
        schema = described["content"][JSON_TYPE]["schema"]
        if answer.status == 400 and "detail" in answer.json:
            yield from _detail_faults(answer.json["detail"])
        key = (case.method, case.template, answer.status)
        self.validated[key] = self.validated.get(key, 0) + 1
        if self.validated[key] <= VALIDATED:
            validator = OAS31Validator({**schema, "components": self.world.document["components"]})
            yield from (error.message[:300] for error in validator.iter_errors(answer.json))


def _detail_faults(detail: Any) -> Iterator[str]:
    if not isinstance(detail, dict) or not detail:
        yield f"has the detail {detail!r}, which clients take for success"
    elif not all(isinstance(each, str) and each.strip() for each in detail.values()):
        yield f"has a detail that is no sentence: {detail!r}"


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def fuzz(postgres: EmbeddedServer) -> AsyncIterator[Fuzz]:
    """A server of all types, none of which asks anybody outside whether it can work."""
    types = tuple(replace(kind, validator=None) for kind in ALL)
    with fresh_database(postgres) as dsn:
        async with running(dsn, types) as instance:
            world = await populate(instance, _example("bitbucket"), _example("webhook"))
            await instance.client.post(world.path("/projects/{project_id}/activities/{activity_id}/cancel"))
            deployed = await instance.client.post(
                world.path("/projects/{project_id}/environments/{environment_id}/redeploy")
            )
            of_environment = deployed["_embedded"]["activities"][0]["id"]
            # The log of one that waits would be followed until it ends.
            await instance.client.post(world.path(f"/projects/{{project_id}}/activities/{of_environment}/cancel"))
            world.ids["environment_activity_id"] = of_environment
            person = await instance.client.post("/users", {"username": "person", "email": "p@example.org"})
            token = await instance.client.post(f"/users/{person['id']}/api-tokens", {"name": "another"})
            grants = [{"user_id": person["id"], "permissions": ["viewer"]}]
            await instance.client.post(world.path("/projects/{project_id}/user-access"), grants)
            world.ids |= {"user_id": person["id"], "token_id": token["id"]}
            async with instance.services.db.connection() as conn:
                tables = [row["name"] for row in await (await conn.execute(TABLES)).fetchall()]
            yield Fuzz(instance, world, await settle(instance.client), tables)


async def settle(client: Client) -> dict[str, dict[str, str]]:
    """An integration of each type, each in a project of its own: of Git sources there can be but one."""
    homes = {}
    for kind in ALL:
        project = await create_project(client)
        made = await client.post(f"/projects/{project}/integrations", _example(kind.key))
        homes[kind.key] = {"project_id": project, "integration_id": made["_embedded"]["entity"]["id"]}
    return homes


def _example(type_key: str) -> dict[str, Any]:
    kind = next(each for each in ALL if each.key == type_key)
    return {"type": kind.key, **kind.example}


def drawn(choices: Iterable[Any], count: int, *about: str) -> list[Any]:
    """Some of the choices: the same ones for the same thing."""
    return Random("/".join((SEED, *about))).sample(list(choices), count)


def bodies(operation: dict[str, Any]) -> list[Any]:
    """The valid bodies that the document shows for an operation."""
    media = operation.get("requestBody", {}).get("content", {}).get(JSON_TYPE, {})
    several = [each["value"] for each in media.get("examples", {}).values()]
    return several or ([media["example"]] if "example" in media else [])


def altered(fuzz: Fuzz, operation: dict[str, Any], body: Any, name: str) -> Iterator[Any]:
    """The body with each of its fields missing or wrong, and with one that nobody knows."""
    if isinstance(body, list):
        yield from ([each] for each in altered_object(fuzz, operation, body[0], name))
        yield from ([5], body * 2)
    else:
        yield from altered_object(fuzz, operation, body, name)


def altered_object(fuzz: Fuzz, operation: dict[str, Any], body: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    yield {**body, "nobody_knows_this": {"x": [1]}}
    for field_name in _fields(fuzz, operation, body):
        yield {key: value for key, value in body.items() if key != field_name}
        for value in drawn(WRONG_VALUES, OF_VALUES, name, field_name):
            yield {**body, field_name: value}
        if isinstance(body.get(field_name), dict):
            for part in body[field_name]:
                for value in drawn(WRONG_VALUES, 1, name, field_name, part):
                    yield {**body, field_name: {**body[field_name], part: value}}


def _fields(fuzz: Fuzz, operation: dict[str, Any], body: dict[str, Any]) -> list[str]:
    """The fields that the schema of a body has."""
    schema = fuzz.schema(operation["requestBody"]["content"][JSON_TYPE]["schema"])
    if "discriminator" in schema:
        schema = fuzz.schema({"$ref": schema["discriminator"]["mapping"][body["type"]]})
    if schema.get("type") == "array":
        schema = fuzz.schema(schema["items"])
    return list(schema.get("properties", body))


async def test_what_is_right_is_answered_as_described(fuzz: Fuzz) -> None:
    cases = [
        fuzz.case(method, template, body)
        for method, template, operation in fuzz.operations
        if method != "DELETE"
        for body in bodies(operation) or [None]
    ]
    assert await fuzz.run(cases) == []


async def test_every_field_may_be_wrong(fuzz: Fuzz) -> None:
    cases = [
        fuzz.case(method, template, wrong)
        for method, template, operation in fuzz.operations
        for number, body in enumerate(bodies(operation))
        for wrong in altered(fuzz, operation, body, f"{method} {template} {number}")
    ]
    assert len(cases) > 1000
    assert await fuzz.run(cases) == []


async def test_a_body_may_be_anything(fuzz: Fuzz) -> None:
    cases = [
        Case(method, template, fuzz.path(template), body)
        for method, template, operation in fuzz.operations
        if method != "DELETE"
        for body in drawn(WRONG_BODIES, OF_BODIES if "requestBody" in operation else 1, method, template)
    ]
    assert await fuzz.run(cases, 413) == []


async def test_a_path_may_name_anything(fuzz: Fuzz) -> None:
    cases = [
        Case(method, template, fuzz.path(template, **{name: part}))
        for method, template, _ in fuzz.operations
        for name in re.findall(r"{(\w+)}", template)
        for part in drawn(WRONG_PARTS, OF_PARTS, method, template, name)
        if not (method == "DELETE" and part in ("me", "-", "+", "*"))
    ]
    # Escaped slashes and dots lead to other paths, or to none.
    assert await fuzz.run(cases, 404, 405, 400) == []


async def test_a_query_may_ask_anything(fuzz: Fuzz) -> None:
    cases = [
        Case(method, template, f"{fuzz.path(template)}?{query}")
        for method, template, operation in fuzz.operations
        if method == "GET"
        for query in _queries(operation, template)
    ]
    assert await fuzz.run(cases) == []


def _queries(operation: dict[str, Any], template: str) -> Iterator[str]:
    yield "nobody_knows=1&%00=%ff&&=&a[]=1"
    for each in operation.get("parameters", ()):
        if each["in"] == "query":
            for value in drawn(WRONG_PARAMETERS, OF_PARAMETERS, template, each["name"]):
                yield f"{quote(each['name'])}={value}"
            yield f"{each['name']}=x&{each['name']}=y&{each['name']}[]=z"


async def test_headers_may_say_anything(fuzz: Fuzz) -> None:
    cases = [
        Case(method, template, fuzz.path(template), b"{}" if method in ("POST", "PATCH") else None, headers)
        for method, template, _ in fuzz.operations
        if method != "DELETE"
        for headers in drawn(WRONG_HEADERS, 1, method, template)
    ]
    assert await fuzz.run(cases) == []


async def test_without_a_token_all_is_refused_but_what_is_open(fuzz: Fuzz) -> None:
    for method, template, operation in fuzz.operations:
        case = Case(method, template, fuzz.path(template), headers={"Authorization": ""})
        answer = await fuzz.send(case)
        assert (answer.status == 401) is bool(operation["security"]), f"{case}: {answer.status} {answer.body!r}"


async def test_other_methods_are_refused_with_those_there_are(fuzz: Fuzz) -> None:
    for template, methods in fuzz.world.document["paths"].items():
        there = {each.upper() for each in methods}
        [method] = drawn(sorted({"PUT", "TRACE", "PATCH", "DELETE"} - there), 1, template)
        answer = await fuzz.send(Case(method, template, fuzz.path(template)))
        assert (answer.status, answer.headers["Content-Type"]) == (405, JSON_TYPE), f"{method} {template}"
        assert there <= set(answer.headers["Allow"].split(", "))


async def test_what_removes_is_answered_as_described(fuzz: Fuzz) -> None:
    cases = [
        Case(method, template, fuzz.path(template)) for method, template, _ in fuzz.operations if method == "DELETE"
    ]
    assert await fuzz.run([*cases, *cases]) == []
