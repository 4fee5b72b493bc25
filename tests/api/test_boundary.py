"""What nobody expected is answered with a reference and nothing else."""

import psycopg
import structlog

from tests.api.conftest import OPERATOR_TOKEN, Instance, create_project
from tieline.core.secret import Secret
from tieline.store import accounts
from tieline.store.listener import Listener


async def test_an_unexpected_error_gives_a_reference_that_is_in_the_log(own_instance: Instance) -> None:
    client = own_instance.client
    project = await create_project(client)
    with psycopg.connect(own_instance.dsn, autocommit=True) as breaking:
        breaking.execute("alter table activity rename column payload to gone")
    with structlog.testing.capture_logs() as logged:
        answer = await client("GET", f"/projects/{project}/activities")
    assert (answer.status, answer.headers["Content-Type"]) == (500, "application/json")
    reference = answer.json["reference"]
    assert reference in answer.json["message"]
    assert answer.json["detail"] == {}
    assert b"payload" not in answer.body
    (told,) = [each for each in logged if each["event"] == "request_failed"]
    assert told["reference"] == reference
    assert OPERATOR_TOKEN not in str(told)
    assert (await client("GET", f"/projects/{project}")).status == 200


async def test_a_new_first_token_replaces_the_old_one(own_instance: Instance) -> None:
    client = own_instance.client
    listening = Listener(own_instance.dsn)
    dropped: list[str] = []
    listening.subscribe("token", dropped.append)
    await listening.start()
    before = await client.get("/users/me/api-tokens")
    async with own_instance.services.db.transaction() as conn:
        first = await accounts.ensure_operator(conn, Secret(OPERATOR_TOKEN))
        again = await accounts.ensure_operator(conn, Secret("another-token-0123456789"))
    assert first == again
    renewed = client.as_("another-token-0123456789")
    after = await renewed.get("/users/me/api-tokens")
    assert [each["name"] for each in after] == ["initial"]
    assert after[0]["id"] != before[0]["id"]
    for _ in range(200):
        if (await client("GET", "/users/me")).status == 401:
            break
    assert (await client("GET", "/users/me")).status == 401
    await listening.close()
    assert dropped == [before[0]["id"]]
