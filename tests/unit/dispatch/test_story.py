"""What deliveries say of themselves, and what they keep to themselves."""

from dataclasses import replace

import orjson

from tests.unit.core.samples import ACTIVITY, INTEGRATION, NOW, PROJECT
from tieline.core.deliveries import Receipt
from tieline.dispatch import story
from tieline.dispatch.channel import in_order
from tieline.dispatch.fanout import order_key
from tieline.dispatch.letters import Letter
from tieline.dispatch.schedule import Plan, Schedule
from tieline.store.claims import Delivery
from tieline.store.messages import KeptMessage

URL = "https://ann:pass-word@hooks.example:8443/services/T000/very-secret?token=query-secret"
HOOK = replace(INTEGRATION, id="hook", type="webhook", config={"url": URL})
BODY = {"payload": {"user": {"id": "user-1"}, "project": {"id": PROJECT.id, "title": "Demo", "region": "local"}}}
PLACE = story.place_of(HOOK, "Webhook")
LETTER = Letter(KeptMessage(4, "cause", "environment.push", "complete", "pr-7", orjson.dumps(BODY)))
DELIVERY = Delivery(
    id=12,
    project_id=PROJECT.id,
    integration_id="hook",
    kind="activity",
    message_id=4,
    payload=None,
    cause_id="cause",
    activity_id=None,
    order_key="pr-7",
    attempts=2,
    tries=3,
    crashes=0,
    has_effects=False,
    created_at=NOW,
)
FAILED = Receipt("retry", "The receiver answered 500: no.", address="203.0.113.7")


def said() -> str:
    opening = story.opening(LETTER, HOOK, PLACE, DELIVERY, Schedule())
    return "\n".join([opening, *story.texts(LETTER, PLACE), str(story.parameters(LETTER, HOOK, DELIVERY))])


def test_of_an_address_only_the_origin_is_told() -> None:
    assert "Webhook at https://hooks.example:8443" in said()
    for secret in ("very-secret", "query-secret", "pass-word", "services", "ann"):
        assert secret not in said()


def test_the_first_line_says_what_is_sent_where_and_how_often_it_was_tried() -> None:
    line = story.opening(LETTER, HOOK, PLACE, DELIVERY, Schedule())
    size = len(LETTER.kept.body)
    assert line == (
        "Attempt 2 of at most 8: environment.push of pr-7 (complete) for Webhook at https://hooks.example:8443"
        f" ({size} bytes, msg_cause_complete_hook)"
    )


def test_the_last_lines_say_what_came_back_and_what_is_next() -> None:
    said_of = {
        state: story.closing(FAILED, Plan(state, 305.0), DELIVERY, 0.25)
        for state in ("waiting", "held", "failed", "delivered")
    }
    first = "The receiver answered 500: no. [203.0.113.7] (0.250 s)"
    assert said_of["delivered"] == first
    assert said_of["waiting"] == f"{first}\nThe next attempt comes in 5 min."
    assert said_of["failed"] == f"{first}\nGiven up. To send it again: tieline delivery replay hook 12"
    assert "tieline integration resume" in said_of["held"]


def test_waits_are_told_as_people_tell_them() -> None:
    waits = {seconds: story.closing(FAILED, Plan("waiting", seconds), DELIVERY, 0) for seconds in (5, 119, 1800, 36000)}
    assert [text.split()[-2:] for text in waits.values()] == [
        ["5", "s."],
        ["119", "s."],
        ["30", "min."],
        ["10.0", "h."],
    ]


def test_a_message_is_known_by_what_it_tells_to_whom() -> None:
    other = Letter(replace(LETTER.kept, state="pending"))
    ids = {story.message_id(each, hook) for each in (LETTER, other) for hook in (HOOK, replace(HOOK, id="hook-2"))}
    assert len(ids) == 4
    assert story.message_id(Letter(replace(LETTER.kept, id=99)), HOOK) in ids


def test_descriptions_are_escaped_where_they_are_markup() -> None:
    letter = Letter(replace(LETTER.kept, environment_id="a<b>"))
    description, text = story.texts(letter, PLACE)
    assert "a&lt;b&gt;" in description
    assert "a<b>" in text


def test_of_who_caused_it_only_the_name_is_kept() -> None:
    assert LETTER.caused_by == {"user": {"id": "user-1"}, "project": {"id": PROJECT.id, "title": "Demo"}}


def test_what_belongs_in_order_is_sent_one_after_the_other() -> None:
    keys = {1: "main", 2: None, 3: "pr-7", 4: "main", 5: None, 6: ""}
    claimed = [replace(DELIVERY, id=number, order_key=key) for number, key in keys.items()]
    assert [[each.id for each in run] for run in in_order(claimed)] == [[1, 4], [2], [3], [5], [6]]


def test_the_order_is_that_of_an_environment_unless_nobody_wants_it() -> None:
    ordered, unordered = (replace(HOOK, config={"ordered": each}) for each in (True, False))
    outside = replace(ACTIVITY, environment_id=None)
    assert [order_key(each, ordered) for each in (ACTIVITY, outside)] == ["pr-7", ""]
    assert order_key(ACTIVITY, HOOK) == "pr-7"
    assert order_key(ACTIVITY, unordered) is None
