"""Every route there is, asked by everybody, and with what belongs to other projects: as docs/rights.md has it."""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.api.conftest import Answer, Client, Instance, NewUser, in_shared_loop
from tests.api.delivered import Post
from tests.api.test_environments import environment
from tieline.core.ids import new_id
from tieline.store import environments
from tools.rights import ACCOUNT, ANYBODY, CALLERS, OWN, VIEWER, YES, Ruled, documented_rules, rules_of

MISSING = "aaaaaaaaaaaaa"
NO_ID = "no%00thing%20here"
PARAMETER = re.compile(r"{(\w+)(?::path)?}")
HIDDEN = ("Project not found", "Organization not found", "User not found")
MOST_AT_ONCE = 16
FORGE = {"type": "forge", "repository": "acme/site", "app_credentials": {"key": "k", "secret": "s"}}
# Ready is a server only that has a worker, which this one has not.
NEVER_READY = "/readyz"
# With these a request gets past its body, to what its path names.
BODIES: Mapping[str, Any] = {
    "/activate": None,
    "/synchronize": {"synchronize_data": True},
    "/user-access": [{"user_id": MISSING, "permissions": ["admin"]}],
    "/user-access/{user_id}": {"permissions": ["admin"]},
    "/members": {"user_id": MISSING},
    "/deliveries/replay": {"since": "2026-11-23T10:00:00Z"},
    "/variables": {"name": "a", "value": "b"},
}


@dataclass
class World:
    """A project with people of every role, and another one; what they have, by the names that paths have for it."""

    instance: Instance
    callers: dict[str, Client]
    own: dict[str, str]
    other: dict[str, str]
    operator_id: str

    @property
    def routes(self) -> list[Ruled]:
        return list(rules_of(self.instance.app.routes))


@in_shared_loop
async def world(instance: Instance, new_user: NewUser) -> World:
    client = instance.client
    own, other = await furnish(instance), await furnish(instance)
    admin = await new_user("admin2", own["project_id"], "admin")
    member = {"user_id": (await admin.get("/users/me"))["id"], "permissions": ["admin"]}
    await client.post(f"/organizations/{own['organization_id']}/members", member)
    callers = {
        "nobody": client.as_(None),
        "stranger": await new_user("stranger", other["project_id"], "admin"),
        "viewer": await new_user("viewer", own["project_id"], "viewer"),
        "admin": admin,
        "operator": client,
    }
    other["user_id"] = (await callers["stranger"].get("/users/me"))["id"]
    return World(instance, callers, own, other, (await client.get("/users/me"))["id"])


async def furnish(instance: Instance) -> dict[str, str]:
    """A project with one of everything."""
    client = instance.client
    organization = await client.post("/organizations", {"name": f"acme-{new_id()}", "label": "Acme"})
    body = {"title": "Site", "organization": organization["id"]}
    project = (await client.post("/projects", body))["_embedded"]["entity"]["id"]
    made = (await client.post(f"/projects/{project}/integrations", FORGE))["_embedded"]
    integration = made["entity"]["id"]
    variable = f"only-{project}"
    await client.post(
        f"/projects/{project}/integrations/{integration}/variables", {"name": variable, "value": "of the project"}
    )
    async with instance.services.db.transaction() as conn:
        await environments.create_many(conn, [environment(project, variable)])
    delivery = await Post(instance, project, integration).report()
    return {
        "organization_id": organization["id"],
        "project_id": project,
        "integration_id": integration,
        "delivery_id": str(delivery),
        "activity_id": made["activities"][0]["id"],
        "environment_id": variable,
        "variable_name": variable,
    }


def parameters(route: Ruled) -> list[str]:
    return PARAMETER.findall(route.path)


def fill(route: Ruled, ids: Mapping[str, str]) -> str:
    return PARAMETER.sub(lambda found: ids.get(found[1], MISSING), route.path)


def body_of(route: Ruled) -> Any:
    if route.method == "GET":
        return None
    named = (body for end, body in BODIES.items() if route.path.endswith(end))
    return next(named, {})


@dataclass
class Question:
    client: Client
    method: str
    path: str
    body: Any
    raw: bytes | None = None


async def ask_all(questions: Iterable[Question]) -> list[Answer]:
    """The answers, in the order of the questions."""
    gate = asyncio.Semaphore(MOST_AT_ONCE)

    async def ask(asked: Question) -> Answer:
        async with gate:
            return await asked.client(asked.method, asked.path, asked.body, raw=asked.raw)

    return await asyncio.gather(*map(ask, questions))


def outcome(answer: Answer) -> str:
    """What the answer says of the caller's rights."""
    if answer.status in (401, 403):
        return str(answer.status)
    if answer.status == 404 and answer.json["message"] in HIDDEN:
        return "404"
    return YES if answer.status < 500 else f"{answer.status} {answer.body[:200]!r}"


def test_every_route_has_a_rule_and_the_page_has_every_route(instance: Instance) -> None:
    running = list(rules_of(instance.app.routes))
    assert [(each.method, each.path) for each in running if each.rule is None] == []
    shown = {(each.method, each.path): each.rule for each in documented_rules()}
    once = {(each.method, each.path.removeprefix("/api")): each.rule for each in running}
    assert {**shown, **once} == shown
    for each in running:
        assert once[each.method, each.path.removeprefix("/api")] == each.rule


async def test_every_route_answers_everybody_as_its_rule_says(world: World) -> None:
    """With parts of the project that are not there, so that nothing is changed."""
    routes = [each for each in world.routes if not each.is_twin and each.path != NEVER_READY]
    ids = {name: world.own[name] for name in ("project_id", "organization_id")}
    cases = [(route, name) for route in routes for name in CALLERS]
    answers = await ask_all(
        Question(world.callers[name], route.method, fill(route, {**ids, **own_user(route, world)}), body_of(route))
        for route, name in cases
    )
    wrong = []
    for (route, name), answer in zip(cases, answers, strict=True):
        assert route.rule is not None
        expected = route.rule.outcomes[CALLERS.index(name)].replace(OWN, "404")
        if outcome(answer) != expected:
            wrong.append((route.method, route.path, name, outcome(answer), expected))
    assert wrong == []


def own_user(route: Ruled, world: World) -> dict[str, str]:
    return {"user_id": world.operator_id} if route.rule == ACCOUNT else {}


async def test_everybody_may_use_their_own_account(world: World) -> None:
    routes = [each for each in world.routes if each.rule == ACCOUNT and not each.is_twin]
    users = [world.callers[name] for name in CALLERS if name != "nobody"]
    cases = [(route, user) for route in routes for user in users]
    answers = await ask_all(
        Question(user, route.method, fill(route, {"user_id": "me"}), body_of(route)) for route, user in cases
    )
    assert {outcome(each) for each in answers} == {YES}


async def test_what_belongs_to_another_project_is_not_there(world: World) -> None:
    """Neither for who has no access to the other one, nor for who has."""
    routes = [each for each in world.routes if "project_id" in parameters(each) and not each.is_twin]
    ids = {name: world.own[name] for name in ("project_id", "organization_id")}
    parts = {name: world.other[name] for name in world.other.keys() - ids.keys()}
    cases = [
        (route, name, mixed)
        for route in routes
        for mixed in mixtures(route, parts, {**world.own, **ids})
        for name in ("admin", "operator")
    ]
    answers = await ask_all(
        Question(world.callers[name], route.method, fill(route, ids), body_of(route))
        for route, name, mixed in cases
        for ids in mixed
    )
    pairs = zip(answers[::2], answers[1::2], strict=True)
    different = [
        (route.method, route.path, name, foreign.status, foreign.body[:200], missing.status, missing.body[:200])
        for (route, name, _), (foreign, missing) in zip(cases, pairs, strict=True)
        if (foreign.status, foreign.body) != (missing.status, missing.body) or foreign.status < 400
    ]
    assert different == []
    assert len(cases) > 60


def mixtures(
    route: Ruled, foreign: Mapping[str, str], own: Mapping[str, str]
) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Ids of which one is foreign and the others are the project's own, and the same with one that is not there."""
    for name in parameters(route):
        if name in foreign:
            yield {**own, name: foreign[name]}, {**own, name: MISSING}


async def test_strangers_learn_nothing_of_what_there_is(world: World) -> None:
    """A project and an organization that are there answer exactly as others that are not, whatever is sent."""
    no_routes = [Ruled("PUT", "/projects/{project_id}", VIEWER), Ruled("GET", "/projects/{project_id}/none", VIEWER)]
    within = [each for each in world.routes if {"project_id", "organization_id"} & {*parameters(each)}]
    routes = [each for each in [*within, *no_routes] if each.rule != ANYBODY and not each.is_twin]
    cases = [(route, raw) for route in routes for raw in (None, b"{") if raw is None or route.method != "GET"]
    places: tuple[dict[str, str], ...] = (world.own, {}, {"project_id": NO_ID, "organization_id": NO_ID})
    answers = await ask_all(
        Question(world.callers["stranger"], route.method, fill(route, ids), body_of(route), raw)
        for route, raw in cases
        for ids in places
    )
    different = [
        (route.method, route.path, *((each.status, each.body[:200]) for each in answers[at : at + len(places)]))
        for at, (route, _) in zip(range(0, len(answers), len(places)), cases, strict=True)
        if len({told(each) for each in answers[at : at + len(places)]}) > 1
    ]
    assert different == []


def told(answer: Answer) -> tuple[object, ...]:
    return answer.status, answer.body, tuple(each for each in answer.headers.items() if each[0] != "Date")
