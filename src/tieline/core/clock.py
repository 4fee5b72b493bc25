"""Time, as the wire writes it."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current instant, in UTC."""
    return datetime.now(UTC)


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 with microseconds and an explicit UTC offset, e.g. `2026-11-24T10:00:00.000000+00:00`."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")
