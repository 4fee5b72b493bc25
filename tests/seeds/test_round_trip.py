"""Export, wipe, seed: every GET of the API answers as before, byte for byte."""

import itertools
import json
import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from tests.api.conftest import KEYS, OPERATOR_TOKEN, Client, Instance, running
from tests.api.test_environments import environment
from tests.conftest import fresh_database
from tests.seeds.reading import REGISTRY
from tieline.core.clock import now
from tieline.core.documents import Deployment, PullInfo
from tieline.core.ports import Outcome
from tieline.core.secret import Secret
from tieline.integrations import ALL
from tieline.seeds.export import Exporter
from tieline.seeds.integrations import HOOK_SECRET
from tieline.seeds.load import Ground, load
from tieline.seeds.read import read_seed
from tieline.seeds.references import look_up_in, variable_of
from tieline.seeds.text import read_yaml
from tieline.store import activities, environments, integrations, logs, projects
from tieline.store.database import Database
from tieline.store.embedded import EmbeddedServer
from tieline.store.seal import SecretBox

BOX: Final = SecretBox(KEYS)
AWKWARD: Final = "yes\n2026-01-01\n 1e3: é😀 \u2028 'a' \"b\" #c \x1b[31m\n\n12345678901234567890"
# What a server is made anew with, figures, and what no document is.
INNER: Final = {"integration": "integrations", "environment": "environments", "activity": "activities"}
NOT_KEPT: Final = ("/metrics", "/readyz", "/healthz", "/openapi.json", "/api-tokens")


async def fill(instance: Instance) -> dict[str, str]:
    """Users, and projects with an integration of every type, environments and ended activities.

    Returns what is secret of all this, by the variable that an export refers to.
    """
    client = instance.client
    user = await client.post("/users", {"username": "ada", "email": "ada@example.com", "first_name": "Ada"})
    token = await client.post(f"/users/{user['id']}/api-tokens", {"name": "initial"})
    await client.post("/organizations", {"name": "acme", "label": AWKWARD[:40]})
    sources = [[kind] for kind in ALL if kind.is_git_source]
    for kinds in [*sources, [kind for kind in ALL if not kind.is_git_source]]:
        project = await _create_project(client, kinds[0].key)
        await client.post(f"/projects/{project}/user-access", [{"user_id": user["id"], "permissions": ["viewer"]}])
        for kind in kinds:
            added = await client.post(f"/projects/{project}/integrations", {**kind.example, "type": kind.key})
            await _end_activities(instance, added["_embedded"]["activities"])
            path = f"/projects/{project}/integrations/{added['_embedded']['entity']['id']}/variables"
            await client.post(path, {"name": "PLAIN", "value": AWKWARD, "attributes": {"a": "1e3"}})
            await client("PATCH", f"{path}/PLAIN", {"value": "yes"})
            await client.post(path, {"name": "HIDDEN", "value": '"s3cret"', "is_sensitive": True, "is_json": True})
    await _fill_project(instance, project)
    return {
        variable_of("api_token", "ada", token["id"]): token["token"],
        variable_of("http_access", project, "on", "ada"): AWKWARD,
        **await secrets_of_integrations(instance),
    }


async def secrets_of_integrations(instance: Instance) -> dict[str, str]:
    """The secrets of all integrations, without those of hooks, which are made anew, and what is a choice of words."""
    async with instance.services.db.connection() as conn:
        found = [
            integration
            for project in await projects.load_all(conn)
            for integration in await integrations.load_all(conn, BOX, project.id)
        ]
    secrets = {
        variable_of(each.type, each.id, name): secret.reveal()
        for each in found
        for name, secret in each.secrets.items()
        if name not in (HOOK_SECRET, "auth_mode", "headers")
    }
    headers = {
        variable_of(each.type, each.id, f"headers.{name}"): value
        for each in found
        if "headers" in each.secrets
        for name, value in json.loads(each.secrets["headers"].reveal()).items()
    }
    variables = {variable_of("variable", each.id, "HIDDEN"): '"s3cret"' for each in found}
    return {**secrets, **headers, **variables}


async def _create_project(client: Client, title: str) -> str:
    body = {"title": title, "description": AWKWARD, "attributes": {"no": "on", "1": "", "text": AWKWARD}}
    created = await client.post("/projects", {**body, "timezone": "Europe/Paris", "region": "1e3"})
    return str(created["_embedded"]["entity"]["id"])


async def _fill_project(instance: Instance, project_id: str) -> None:
    """The last project, with environments of all kinds and what happened to them."""
    moment = now() - timedelta(days=1)
    deployment = Deployment("a" * 40, ("https://main.example/",), moment)
    pull = PullInfo(3, AWKWARD, "null", "ben/site", "main", is_fork=True, url="https://x.example/3", author="Ben")
    passwords = {"is_enabled": True, "addresses": [], "basic_auth": {"ada": AWKWARD}}
    made = [
        environment(
            project_id, "main", type="production", status="active", parent=None, is_main=True, deployment=deployment
        ),
        environment(project_id, "on", title=AWKWARD, attributes={"0x1": "~"}, http_access=passwords, updated_at=moment),
        environment(project_id, "pr-3", name="null", pull=pull, parent="on", awaiting_approval=True, has_remote=False),
    ]
    async with instance.services.db.transaction() as conn:
        await environments.create_many(conn, made)
    await instance.client("PATCH", f"/projects/{project_id}", {"title": "yes"})
    await instance.client("PATCH", f"/projects/{project_id}/environments/on", {"restrict_robots": False})
    started = await instance.client.post(f"/projects/{project_id}/environments/main/redeploy")
    await _end_activities(instance, started["_embedded"]["activities"])
    started = await instance.client.post(f"/projects/{project_id}/environments/on/activate")
    async with instance.services.db.transaction() as conn:
        for each in started["_embedded"]["activities"]:
            await activities.cancel(conn, project_id, each["id"])


async def _end_activities(instance: Instance, started: list[dict[str, Any]]) -> None:
    """As a worker ends them, with awkward things in their logs."""
    outcome = Outcome("failure", "shell", {"build": 1.5, "deploy": 3}, {"note": AWKWARD, "n": [1, 0.1, None, {}]})
    for each in started:
        async with instance.services.db.transaction() as conn:
            running_one = await activities.begin(conn, each["id"])
            assert running_one is not None
            lines = [(now(), "one\n"), (now(), f"{AWKWARD}\n"), (now(), "\n")]
            await logs.append(conn, running_one, lines)
            await activities.finish(conn, running_one, outcome)


@asynccontextmanager
async def seeded(dsn: str, written: bytes, environment_variables: dict[str, str]) -> AsyncIterator[Instance]:
    """A server on an empty database, started with a seed as `tieline serve` does it."""
    async with Database(dsn) as database, database.transaction() as conn:
        seed = read_seed(written, REGISTRY, look_up_in(Path(), environment_variables), now())
        await load(conn, Ground(REGISTRY, BOX, Secret(OPERATOR_TOKEN)), seed)
    async with running(dsn, ALL) as instance:
        yield instance


async def every_document(client: Client) -> dict[str, bytes]:
    """What each GET of the API answers, for everything that there is."""
    described = await client.get("/openapi.json")
    templates = [path for path, operations in described["paths"].items() if "get" in operations]
    found = {}
    for path in [path for each in templates if not each.endswith(NOT_KEPT) for path in await _paths(client, each)]:
        answer = await client("GET", path)
        found[path] = b"%d %s" % (answer.status, answer.body)
    return found


async def _paths(client: Client, template: str) -> list[str]:
    """The paths that a template stands for; none where what stands in it is not kept in the database."""
    names = re.findall(r"{(\w+)}", template)
    if "project_id" not in names:
        return _fill_in(template, names, {"user_id": await _ids(client, "/users")})
    paths = []
    for project in await _ids(client, "/projects"):
        ids = {
            "project_id": [project],
            "deployment_id": ["current"],
            "environment_type_id": ["production", "development"],
            **{f"{kind}_id": await _ids(client, f"/projects/{project}/{plural}") for kind, plural in INNER.items()},
        }
        paths += _fill_in(template, names, ids)
    return paths


async def _ids(client: Client, path: str) -> list[str]:
    return [each["id"] for each in await client.get(path)]


def _fill_in(template: str, names: list[str], ids: Mapping[str, list[str]]) -> list[str]:
    if not ids.keys() >= set(names):
        return []
    return [
        template.format(**dict(zip(names, each, strict=True))) for each in itertools.product(*(ids[n] for n in names))
    ]


def without(values: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name not in names}


def texts(document: Any) -> Iterator[str]:
    """Every text in a document."""
    inner = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    for each in inner:
        yield from texts(each)
    if isinstance(document, str):
        yield document


def _credentials(project: Any) -> Iterator[str]:
    """Every text where secrets could stand: activities hold the same awkward text as the password does."""
    yield from texts(project.get("integrations"))
    yield from (text for each in project.get("environments", ()) for text in texts(each.get("http_access")))


async def test_the_same_documents_are_there_after_export_wipe_and_seed(postgres: EmbeddedServer) -> None:
    with fresh_database(postgres) as before, fresh_database(postgres) as after:
        async with running(before, ALL) as instance:
            secrets = await fill(instance)
            documents = await every_document(instance.client)
            exported = (await instance.client("GET", "/_tieline/export")).body
            _, known = await Exporter(instance.services.db, BOX, REGISTRY).export_with_secrets()
        of_tokens = {name for name in secrets if name.startswith("API_TOKEN")}
        assert {name: each.reveal() for name, each in known.items()} == without(secrets, of_tokens)
        assert set(re.findall(r"env: ([A-Z]\w+)", exported.decode())) == secrets.keys()
        document = read_yaml(exported)
        shown = {
            *texts(document["users"]),
            *(each for project in document["projects"] for each in _credentials(project)),
        }
        assert sorted(shown & set(secrets.values())) == []
        async with seeded(after, exported, secrets) as instance:
            again = await every_document(instance.client)
            assert again.keys() == documents.keys()
            for path, document in documents.items():
                assert again[path] == document, path
            assert (await secrets_of_integrations(instance)).items() <= secrets.items()
            assert (await instance.client("GET", "/_tieline/export")).body == exported
