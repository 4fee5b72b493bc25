"""Loading a seed: all of it or nothing, and what is there already is left alone."""

import pytest

from tests.seeds.reading import REGISTRY, read
from tieline.core.errors import Invalid
from tieline.core.secret import Secret
from tieline.seeds.load import Ground, load
from tieline.store import accounts, integrations, projects
from tieline.store.database import Database
from tieline.store.seal import SecretBox

FIRST_TOKEN = Secret("the-token-of-the-server-0123456789")
BOX = SecretBox([Secret("a key for tests that is long enough")])
SHOP = """
    users:
    - {id: ada, username: ada, tokens: [{name: laptop, token: {env: ADA_TOKEN}}]}
    organizations:
    - {name: acme, owner: ada}
    projects:
    - id: shop
      title: Shop
      owner: ada
      organization: acme
      access: [{user: ada, role: viewer}]
      integrations: [{id: hook, type: webhook, url: "https://x.example/"}]
      activities: [{id: push, type: environment.push}]
"""


async def plant(database: Database, text: str, **environment: str) -> None:
    async with database.transaction() as conn:
        await load(conn, Ground(REGISTRY, BOX, FIRST_TOKEN), read(text, environment))


async def refused(database: Database, text: str) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        await plant(database, text)
    return caught.value.detail


async def titles(database: Database) -> list[str]:
    async with database.connection() as conn:
        return [each.title for each in await projects.load_all(conn)]


async def test_users_come_with_their_tokens_and_roles(database: Database) -> None:
    await plant(database, SHOP, ADA_TOKEN="ada-token-0123456789")
    async with database.connection() as conn:
        bearer = await accounts.find_bearer(conn, Secret("ada-token-0123456789"))
        assert bearer is not None
        assert bearer.account.id == "ada"
        assert await accounts.find_role(conn, "ada", "shop") == "viewer"
        assert await accounts.find_bearer(conn, FIRST_TOKEN) is not None


async def test_what_is_there_already_is_left_alone(database: Database) -> None:
    await plant(database, SHOP, ADA_TOKEN="ada-token-0123456789")
    async with database.transaction() as conn:
        await projects.save(conn, "shop", title="Changed")
        await integrations.remove(conn, "hook")
    await plant(database, SHOP + "    - {title: Blog}\n")
    assert await titles(database) == ["Changed", "Blog"]
    async with database.connection() as conn:
        assert await integrations.load_all(conn, BOX, "shop") == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("projects: [{title: A, owner: nobody}]", "projects[0].owner"),
        ("projects: [{title: A, access: [{user: nobody, role: admin}]}]", "projects[0].access[0].user"),
        ("projects: [{title: A, organization: nobodys}]", "projects[0].organization"),
        ("organizations: [{name: others, owner: nobody}]", "organizations[0].owner"),
        ("users: [{id: ada, username: other}]", "users[0].id"),
        (
            "projects: [{title: A, integrations: [{id: hook, type: webhook, url: 'https://x.example/'}]}]",
            "projects[0].integrations[0].id",
        ),
        ("projects: [{title: A, activities: [{type: a}, {id: push, type: b}]}]", "projects[0].activities[1].id"),
    ],
)
async def test_what_contradicts_what_is_there_is_named_by_its_place(database: Database, text: str, place: str) -> None:
    await plant(database, SHOP)
    assert list(await refused(database, text)) == [place]
    assert await titles(database) == ["Shop"]


async def test_a_token_that_somebody_has_already_is_refused(database: Database) -> None:
    await plant(database, SHOP, ADA_TOKEN="ada-token-0123456789")
    with pytest.raises(Invalid) as caught:
        await plant(
            database,
            "users: [{username: ben, tokens: [{name: a, token: {env: T}}]}]",
            T="ada-token-0123456789",
        )
    assert list(caught.value.detail) == ["users[0].tokens.token"]


async def test_nothing_is_loaded_when_something_is_wrong(database: Database) -> None:
    await refused(database, SHOP + "    - {title: Blog, owner: nobody}\n")
    assert await titles(database) == []
    async with database.connection() as conn:
        assert await accounts.load_all(conn) == []
