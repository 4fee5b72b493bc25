"""What a log keeps, and how."""

import asyncio

import pytest

from tests.activities.conftest import World
from tieline.activities.log import FULL, LogWriter, Superseded
from tieline.core.documents import Activity
from tieline.core.lines import LONGEST_LINE, parse_lines
from tieline.core.ports import Outcome
from tieline.core.redact import Redactor
from tieline.store import activities


async def begun(world: World) -> Activity:
    push = await world.push()
    async with world.db.transaction() as conn:
        activity = await activities.begin(conn, push.id)
    assert activity is not None
    return activity


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one", ["one\n"]),
        ("one\r\ntwo\n", ["one\n", "two\n"]),
        ("", ["\n"]),
        ("\n\n", ["\n", "\n"]),
        ("form\x0cfeed\u2028stays", ["form\x0cfeed\u2028stays\n"]),
        ("nul\0 surrogate\ud800", ["nul\ufffd surrogate?\n"]),
    ],
)
def test_lines(text: str, lines: list[str]) -> None:
    assert parse_lines(text) == lines


def test_an_endless_line_is_cut() -> None:
    (line,) = parse_lines("x" * 1_000_000)
    assert len(line) <= LONGEST_LINE + 10
    assert line.endswith("[cut]\n")


async def test_many_lines_arrive_in_order(world: World) -> None:
    activity = await begun(world)
    writer = LogWriter(world.db, activity)
    storing = asyncio.create_task(writer.run())
    for number in range(5000):
        await writer.write(f"{number}")
    await writer.close()
    await storing
    assert [line.message for line in await world.log(activity)] == [f"{number}\n" for number in range(5000)]


async def test_a_lone_line_does_not_wait_for_company(world: World) -> None:
    activity = await begun(world)
    writer = LogWriter(world.db, activity)
    storing = asyncio.create_task(writer.run())
    await writer.write("alone")
    await world.wait_for_text(activity, "alone\n")
    await writer.close()
    await storing


async def test_a_full_log_says_so_once(world: World) -> None:
    activity = await begun(world)
    writer = LogWriter(world.db, activity, longest=100)
    storing = asyncio.create_task(writer.run())
    for _ in range(50):
        await writer.write("nine bytes")
    await writer.close()
    await storing
    text = await world.text(activity)
    assert text.endswith(FULL)
    assert text.count(FULL) == 1
    assert len(text) < 100 + len(FULL)


async def test_secrets_are_masked_across_lines(world: World) -> None:
    activity = await begun(world)
    writer = LogWriter(world.db, activity)
    writer.mask(Redactor(["first line\nsecond line"]))
    storing = asyncio.create_task(writer.run())
    await writer.write("key: first line\nsecond line, https://user:pass@host/")
    await writer.close()
    await storing
    assert await world.text(activity) == "key: ********, https://********@host/\n"


async def test_a_writer_never_hangs_when_nothing_is_stored_any_more(world: World) -> None:
    activity = await begun(world)
    writer = LogWriter(world.db, activity)
    storing = asyncio.create_task(writer.run())
    async with world.db.transaction() as conn:
        await activities.finish(conn, activity, Outcome())
    async with asyncio.timeout(10):
        for number in range(10_000):
            await writer.write(f"{number}")
        await writer.close()
        with pytest.raises(Superseded):
            await storing
    assert await world.log(activity) == []
