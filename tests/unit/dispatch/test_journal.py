"""The log of a delivery while it is under way."""

import pytest

from tieline.core.redact import Redactor
from tieline.dispatch.journal import FULL, MOST_CHARACTERS, Journal, NotOurs


class Noted:
    """What is on record; `lost` says that somebody else has the delivery now."""

    def __init__(self, *, lost: bool = False) -> None:
        self.times = 0
        self.lost = lost

    async def __call__(self) -> None:
        if self.lost:
            raise NotOurs("Another server has this delivery now.")
        self.times += 1


def texts(journal: Journal) -> str:
    return "".join(line for _, line in journal.lines)


async def test_lines_are_whole_and_masked() -> None:
    journal = Journal(Redactor(["a-secret-of-theirs"]), Noted())
    await journal.write("one\ntwo a-secret-of-theirs")
    assert len(journal.lines) == 2
    assert texts(journal).startswith("one\ntwo ")
    assert texts(journal).endswith("\n")
    assert "theirs" not in texts(journal)


async def test_a_log_has_an_end() -> None:
    journal = Journal(Redactor(), Noted())
    for _ in range(300):
        await journal.write("x" * 8000)
    assert texts(journal).endswith(FULL)
    assert texts(journal).count(FULL) == 1
    assert len(texts(journal)) <= MOST_CHARACTERS + len(FULL)


async def test_effects_are_on_record_once() -> None:
    noted = Noted()
    journal = Journal(Redactor(), noted)
    assert not journal.has_effects
    await journal.before_effect()
    await journal.before_effect()
    assert (journal.has_effects, noted.times) == (True, 1)


async def test_nothing_is_done_for_what_is_not_ours_any_more() -> None:
    journal = Journal(Redactor(), Noted(lost=True))
    with pytest.raises(NotOurs):
        await journal.before_effect()
    assert not journal.has_effects
