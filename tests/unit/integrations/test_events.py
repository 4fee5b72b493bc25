"""What may be asked for by those who are told of activities."""

import time

import pytest

from tieline.core.documents import JSON
from tieline.core.errors import Invalid
from tieline.dispatch.match import matches_environment
from tieline.integrations.events import EventFields
from tieline.integrations.fields import validate_create


@pytest.mark.parametrize(
    ("body", "field", "sentence"),
    [
        ({"environments": ["main", "[" * 256]}, "environments.1", "Must have at most 255 characters."),
        ({"excluded_environments": ["*a" * 5000]}, "excluded_environments.0", "Must have at most 255 characters."),
        ({"events": ["environment.push"] * 251}, "events", "Must have at most 250 items."),
    ],
)
def test_what_would_take_long_to_compare_is_refused(body: JSON, field: str, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        validate_create(EventFields, body)
    assert refused.value.detail == {field: sentence}


@pytest.mark.parametrize("pattern", ["[" * 255, "*a" * 127, "[!" * 127, "?" * 255])
def test_the_worst_pattern_is_compared_in_no_time(pattern: str) -> None:
    began = time.process_time()
    assert not matches_environment("a" * 60 + "b", [pattern], [])
    assert time.process_time() - began < 0.2
