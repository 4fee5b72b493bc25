"""What the server says of its own faithfulness is complete, and true of what it serves."""

from pathlib import Path
from typing import Any

import pytest

from tests.api import complete
from tests.api.conftest import Client
from tieline.api.description.fidelity import MEANINGS, unknown_exceptions
from tieline.integrations import ALL

Table = dict[str, Any]


@pytest.fixture(scope="module")
def table() -> Table:
    return complete.fidelity()


async def test_anybody_may_read_it(client: Client) -> None:
    answer = await client.as_(None)("GET", "/fidelity")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert {each["type"] for each in answer.json["types"]} == {"forge", "health.sink"}
    again = await client.as_(None)("GET", "/fidelity", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304


def test_everything_there_is_has_one_of_the_four_words(table: Table) -> None:
    rows = [each for subject in ("types", "fields", "endpoints", "behaviours") for each in table[subject]]
    rows += [field for kind in table["types"] for field in kind["fields"]]
    assert {each["basis"] for each in rows} <= MEANINGS.keys()
    assert sum(sum(counts.values()) for counts in table["summary"].values()) == len(rows)


def test_whatever_is_not_documented_is_explained(table: Table) -> None:
    """What Tieline adds is, in the document of the API."""
    rows = [field for kind in table["types"] for field in kind["fields"]] + table["endpoints"] + table["behaviours"]
    assert [each for each in rows if each["basis"] != "documented" and not each["note"].endswith(".")] == []
    assert [each for each in table["fields"] if each["basis"] != "documented" and not each["note"]] == []


def test_every_type_says_whether_it_acts(table: Table) -> None:
    assert {each["type"] for each in table["not_yet"]} == {kind.key for kind in ALL if not kind.acts}
    assert all(each["note"].endswith("yet.") for each in table["not_yet"])
    assert all(bool(each["note"]) is not each["acts"] for each in table["types"])


def test_every_operation_of_the_document_is_in_it(table: Table) -> None:
    described = {(method.upper(), path) for path, methods in complete.openapi()["paths"].items() for method in methods}
    assert {(each["method"], each["path"]) for each in table["endpoints"]} == described


def test_it_names_no_field_that_is_not_there() -> None:
    assert unknown_exceptions(complete.openapi()["components"]["schemas"]) == []


def test_what_tieline_adds_is_said_to_be_added(table: Table) -> None:
    added = {f"{each['document']}.{each['field']}" for each in table["fields"] if each["basis"] == "added"}
    assert {
        "EnvironmentDocument.awaiting_approval",
        "EnvironmentActivate.commit",
        "User.is_operator",
        "Error.reference",
    } <= added
    ours = {each["path"] for each in table["endpoints"] if each["basis"] == "added"}
    assert "/projects/{project_id}/integrations/{integration_id}/sync" in ours


def test_the_page_about_it_is_of_today(table: Table) -> None:
    page = (Path(__file__).parents[2] / "docs" / "wire.md").read_text()
    missing = [each["name"] for each in table["behaviours"] if f"| {each['name']} |" not in page]
    assert missing == []
