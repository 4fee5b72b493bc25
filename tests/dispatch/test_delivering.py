"""What happens in a project reaches whoever wants to know of it."""

import structlog

from tests.activities.conftest import BOX
from tests.dispatch.conftest import ANN, COMMIT, Office
from tests.unit.core.samples import INTEGRATION, MAIN, PROJECT, PULL
from tieline.core import kinds
from tieline.core.ports import Outcome
from tieline.core.secret import Secret
from tieline.core.wire import SENT_LOG
from tieline.store import activities, integrations, logs


async def test_a_webhook_is_told_and_tells_of_that(office: Office) -> None:
    await office.add()
    (cause,) = await office.happen()
    async with office.delivering():
        (row,) = await office.until("delivered")
    (arrival,) = office.receiver.at("/hook")
    assert (arrival.jws, arrival.standard) == ("valid", "valid")
    assert arrival.id == f"msg_{cause}_complete_hook"
    assert arrival.document()["id"] == cause
    (attempt,) = await office.attempts(row["id"])
    assert (attempt["number"], attempt["verdict"], attempt["status"]) == (1, "delivered", 200)
    assert (attempt["address"], attempt["error"]) == ("127.0.0.1", None)
    assert attempt["request"]["headers"]["webhook-id"] == arrival.id

    (told,) = await office.activities()
    assert row["activity_id"] == told["id"]
    assert (told["type"], told["state"], told["result"]) == ("integration.webhook", "complete", "success")
    assert (told["parameters"]["activity"], told["parameters"]["delivery"]) == (cause, str(row["id"]))
    assert told["payload"]["user"]["id"] == ANN.id
    log = await office.log(told["id"])
    first, second = log.splitlines()
    assert first.startswith("Attempt 1 of at most 9: environment.update.smtp of pr-7 (complete)")
    assert f"for Webhook at {office.receiver.url} (" in first
    assert second.startswith("The receiver answered 200. [127.0.0.1] (")
    assert "/hook" not in log


async def test_only_what_is_wanted_is_told_and_only_once_it_is_over(office: Office) -> None:
    await office.add(environments=["main"], result="failure")
    await office.add("all", states=["pending", "in_progress", "complete"])
    async with office.db.transaction() as conn:
        pushed = await activities.create(conn, kinds.push(PROJECT, MAIN, [], 0, ANN))
    async with office.db.transaction() as conn:
        begun = await activities.begin(conn, pushed.id)
        assert begun is not None
        # Who starts it once more enters no new state.
        begun = await activities.begin(conn, pushed.id)
        assert begun is not None
        await logs.append(conn, begun, [(begun.created_at, "It does not work.\n")])
    async with office.db.transaction() as conn:
        assert await activities.finish(conn, begun, Outcome("failure", "error"))
    async with office.delivering():
        await office.until("delivered", "delivered", "delivered", integration_id="all")
        await office.until("delivered")
    (failed,) = office.receiver.at("/hook")
    assert failed.document()["result"] == "failure"
    told = [arrival.document() for arrival in office.receiver.at("/all")]
    assert [each["state"] for each in told] == ["pending", "in_progress", "complete"]
    assert [each["log"] for each in told] == ["", "", "It does not work.\n"]
    assert {row["message_id"] for row in await office.rows()} < {row["message_id"] for row in await office.rows("all")}
    assert len(await office.query("select id from message")) == 3


async def test_of_a_long_log_the_end_is_told(office: Office) -> None:
    await office.add()
    async with office.db.transaction() as conn:
        pushed = await activities.create(conn, kinds.push(PROJECT, MAIN, [], 0, ANN))
    async with office.db.transaction() as conn:
        begun = await activities.begin(conn, pushed.id)
        assert begun is not None
        lines = [(begun.created_at, f"{number} {'x' * 8000}\n") for number in range(40)]
        await logs.append(conn, begun, [*lines, (begun.created_at, "The end.\n")])
        await activities.finish(conn, begun, Outcome())
    async with office.delivering():
        await office.until("delivered")
    log = office.receiver.at("/hook")[0].document()["log"]
    assert log.endswith("\nThe end.\n")
    assert SENT_LOG - 10_000 < len(log.encode()) <= SENT_LOG


async def test_nobody_is_told_of_what_was_before_he_asked(office: Office) -> None:
    await office.add("first")
    before = await office.happen()
    await office.add("second")
    after = await office.happen()
    async with office.delivering():
        await office.until("delivered", "delivered", integration_id="first")
        await office.until("delivered", integration_id="second")
    assert await office.heard(2, "/first") == [*before, *after]
    assert await office.heard(1, "/second") == after


async def test_nobody_keeps_what_nobody_wants(office: Office) -> None:
    await office.happen()
    assert await office.query("select * from activity_event") == []


async def test_what_happens_while_it_is_paused_is_held_and_told_in_order(office: Office) -> None:
    await office.add()
    await office.pause()
    causes = [*await office.happen(), *await office.happen(MAIN), *await office.happen()]
    async with office.delivering():
        await office.until("held", "held", "held")
        async with office.db.transaction() as conn:
            await office.resume(conn)
        await office.until("delivered", "delivered", "delivered")
    heard = await office.heard(3)
    assert sorted(heard) == sorted(causes)
    assert [each for each in heard if each != causes[1]] == [causes[0], causes[2]]


async def test_deliveries_tell_nobody_of_themselves_and_pauses_do(office: Office) -> None:
    """A delivery that is told of would itself be a delivery, and so on for ever."""
    await office.add(events=["*"], states=["pending", "in_progress", "complete", "cancelled"])
    await office.add("other", events=["integration"])
    await office.happen()
    async with office.delivering():
        await office.until("delivered")
        assert await office.rows("other") == []
        assert await office.query("select * from activity_event") == []


async def test_another_address_and_another_key_are_used_from_that_moment_on(office: Office) -> None:
    hook = await office.add()
    async with office.delivering():
        await office.happen()
        await office.heard(1)
        async with office.db.transaction() as conn:
            config = {**hook.config, "url": f"{office.receiver.url}/elsewhere"}
            secrets = {"shared_key": Secret("another key that the receiver knows nothing of")}
            await integrations.update(conn, BOX, hook, config=config, secrets=secrets)
        await office.happen()
        await office.heard(1, "/elsewhere")
        await office.until("delivered", "delivered")
    assert len(office.receiver.at("/hook")) == 1
    assert office.receiver.at("/elsewhere")[0].jws == "wrong"


async def test_what_an_integration_was_to_be_told_is_given_up_when_it_is_deleted(office: Office) -> None:
    hook = await office.add()
    await office.happen()
    await office.spread()
    async with office.db.transaction() as conn:
        await integrations.mark_deleted(conn, hook)
    await office.happen()
    async with office.delivering():
        (row,) = await office.until("failed")
    assert office.receiver.arrivals == []
    assert "wants to be told nothing any more" in row["last_error"]


async def test_what_is_told_of_an_integration_whose_secrets_are_lost_is_kept_and_harms_nobody(office: Office) -> None:
    await office.add("sealed")
    await office.add()
    await office.query("update integration_secret set sealed = sealed || 'x'::bytea where integration_id = 'sealed'")
    await office.happen()
    with structlog.testing.capture_logs() as captured:
        async with office.delivering():
            await office.until("delivered")
            assert [row["state"] for row in await office.rows("sealed")] == ["pending"]
    told = [each for each in captured if each["event"] == "deliveries.unavailable"]
    assert {(each["event"], each["integration"]) for each in told} == {("deliveries.unavailable", "sealed")}


async def test_build_statuses_and_events_go_the_same_way(office: Office) -> None:
    await office.add()
    (first,) = await office.happen()
    await office.report("running")
    (second,) = await office.happen()
    async with office.delivering():
        await office.until("delivered", "delivered")
        await office.until("delivered", integration_id=INTEGRATION.id)
    assert await office.heard(2) == [first, second]
    assert office.host.states(COMMIT) == ["running"]
    numbers = await office.query("select id, integration_id from delivery order by id")
    assert [row["integration_id"] for row in numbers] == ["hook", INTEGRATION.id, "hook"]


async def test_of_much_at_once_some_is_told_before_the_rest_is_looked_at(office: Office) -> None:
    await office.add()
    await office.happen_at_once([PULL], 112)
    async with office.delivering():
        await office.until(*["delivered"] * 112)
    together = await office.query("select count(*) as n from message group by xmin order by min(id)")
    assert [row["n"] for row in together] == [10, 100, 2]
