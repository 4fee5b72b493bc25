"""Settings that make no sense are refused at the start, rather than found when something has to be delivered."""

import pytest
from pydantic import ValidationError

from tieline.settings import Settings


@pytest.mark.parametrize("name", ["breaker_seconds", "pause_seconds", "keep_days", "hold_days"])
@pytest.mark.parametrize("value", ["inf", "nan", "1e300", "1e9999", "0", "-1"])
def test_times_of_deliveries_have_a_place_in_the_calendar(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"TIELINE_DELIVERY_{name.upper()}", value)
    with pytest.raises(ValidationError, match=f"delivery_{name}"):
        Settings()
