"""What is remembered is never older than what was written."""

import asyncio

import psycopg

from tests.api.conftest import Client, Instance, create_project, eventually
from tests.api.test_integrations import create
from tieline.api.memory import Memory


async def value(text: str) -> str:
    return text


def memory(limit: int = 10, *, usable: bool = True) -> Memory[str, str]:
    return Memory(limit, lambda: usable)


async def test_a_value_is_remembered_until_its_group_is_dropped() -> None:
    cache = memory()
    assert await cache.read("k", lambda: value("one"), lambda _: ("g",)) == "one"
    cache.drop("other")
    assert cache.peek("k") == "one"
    cache.drop("g")
    assert cache.peek("k") is None


async def test_a_read_that_began_before_a_drop_keeps_nothing() -> None:
    cache = memory()
    going = asyncio.Event()

    async def slow() -> str:
        await going.wait()
        return "old"

    def drop_group() -> None:
        cache.drop("g")

    for group, drop in ((None, drop_group), ("g", drop_group), ("g", cache.clear)):
        going.clear()
        reading = asyncio.create_task(cache.read("k", slow, lambda _: ("g",), group))
        await asyncio.sleep(0)
        drop()
        going.set()
        assert await reading == "old"
        assert cache.peek("k") is None


async def test_a_drop_of_another_group_does_not_disturb_a_read() -> None:
    cache = memory()

    async def busy() -> str:
        cache.drop("other")
        return "new"

    await cache.read("k", busy, lambda _: ("g",), "g")
    assert cache.peek("k") == "new"


async def test_it_is_bounded_and_forgets_groups_with_their_entries() -> None:
    cache = memory(limit=3)
    for number in range(10):
        await cache.read(str(number), lambda: value("x"), lambda _, number=number: (f"g{number}", "all"))  # type: ignore[misc]
    assert len(cache) == 3
    assert [cache.peek(key) for key in ("6", "7", "9")] == [None, "x", "x"]
    cache.drop("all")
    assert len(cache) == 0
    assert cache._keys == {}


async def test_nothing_is_kept_or_used_while_notifications_may_be_lost() -> None:
    cache = memory(usable=False)
    await cache.read("k", lambda: value("one"), lambda _: ("g",))
    assert len(cache) == 0
    assert cache.peek("k") is None


async def test_a_writer_reads_its_own_write(client: Client, project: str) -> None:
    entity = await create(client, project)
    path = f"/projects/{project}/integrations"
    for number in range(20):
        await client("PATCH", f"{path}/{entity['id']}", {"repository": f"acme/site{number}"})
        assert (await client.get(path))[0]["repository"] == f"acme/site{number}"
        assert (await client.get(f"{path}/{entity['id']}"))["repository"] == f"acme/site{number}"


async def test_another_server_hears_of_a_write(client: Client, second: Instance, project: str) -> None:
    entity = await create(client, project)
    path = f"/projects/{project}/integrations"
    assert (await second.client.get(path))[0] == entity
    await client("PATCH", f"{path}/{entity['id']}", {"fetch_branches": False})

    async def heard() -> bool:
        return (await second.client.get(path))[0]["fetch_branches"] is False

    await eventually(heard)
    await second.client("DELETE", f"{path}/{entity['id']}")

    async def gone() -> bool:
        return bool(await client.get(path) == [])

    await eventually(gone)


async def test_many_writers_and_readers_end_with_the_truth(client: Client, second: Instance, project: str) -> None:
    entity = await create(client, project)
    path = f"/projects/{project}/integrations/{entity['id']}"
    stop = asyncio.Event()

    async def read(reader: Client) -> None:
        while not stop.is_set():
            await reader.get(path)

    readers = [asyncio.create_task(read(each)) for each in (client, second.client, client, second.client)]
    for number in range(30):
        writer = (client, second.client)[number % 2]
        assert (await writer("PATCH", path, {"repository": f"acme/r{number}"})).status == 200
        assert (await writer.get(path))["repository"] == f"acme/r{number}"
    stop.set()
    await asyncio.gather(*readers)

    async def agreed() -> bool:
        found = [(await each.get(path))["repository"] for each in (client, second.client)]
        return found == ["acme/r29"] * 2

    await eventually(agreed)


async def test_while_nothing_is_heard_the_database_is_asked(own_instance: Instance) -> None:
    instance = own_instance
    project = await create_project(instance.client)
    entity = await create(instance.client, project)
    path = f"/projects/{project}/integrations"
    await instance.client.get(path)
    await instance.listener.close()
    assert not instance.listener.connected
    with psycopg.connect(instance.dsn, autocommit=True) as other:
        other.execute("update integration set config = jsonb_set(config, '{repository}', '\"by/hand\"')")
    assert (await instance.client.get(path))[0]["repository"] == "by/hand"
    assert (await instance.client.get(f"{path}/{entity['id']}"))["repository"] == "by/hand"
