"""What happens in a project reaches whoever wants to know of it."""

from tests.dispatch.conftest import Office


async def test_a_webhook_is_told_and_says_so(office: Office) -> None:
    await office.add()
    (cause,) = [*(await office.happen())]
    async with office.delivering():
        (row,) = await office.until("delivered")
        assert await office.heard(1) == [cause]
