"""How a delivery tells people of itself. Pure.

Of a receiver's URL only the origin is told: paths and queries of webhooks are often secrets.
"""

from html import escape

from tieline.core.deliveries import Receipt
from tieline.core.documents import JSON, Integration
from tieline.core.redact import origin_of
from tieline.dispatch.letters import Letter
from tieline.dispatch.schedule import Plan, Schedule
from tieline.store.claims import Delivery


def message_id(letter: Letter, integration: Integration) -> str:
    """The id that receivers know a message by: the same at every attempt and replay, and no other's."""
    return f"msg_{letter.kept.cause_id}_{letter.kept.state}_{integration.id}"


def event_of(letter: Letter) -> str:
    """What is told, in a few words."""
    place = f" of {letter.kept.environment_id}" if letter.kept.environment_id else ""
    return f"{letter.kept.type}{place} ({letter.kept.state})"


def place_of(integration: Integration, title: str) -> str:
    """To whom it is told."""
    url = integration.config.get("url")
    return f"{title} at {origin_of(url)}" if isinstance(url, str) else title


def opening(letter: Letter, integration: Integration, place: str, delivery: Delivery, schedule: Schedule) -> str:
    """The first line of an attempt."""
    attempt = f"Attempt {delivery.attempts} of at most {schedule.most_attempts}"
    what = f"{len(letter.kept.body):,} bytes, {message_id(letter, integration)}"
    return f"{attempt}: {event_of(letter)} for {place} ({what})"


def closing(receipt: Receipt, plan: Plan, delivery: Delivery, seconds: float) -> str:
    """What came of it, and what happens next."""
    address = f" [{receipt.address}]" if receipt.address else ""
    return f"{receipt.sentence}{address} ({seconds:.3f} s)\n{_next(plan, delivery)}".rstrip()


def _next(plan: Plan, delivery: Delivery) -> str:
    match plan.state:
        case "waiting":
            return f"The next attempt comes in {_duration(plan.wait_seconds)}."
        case "held":
            return "The integration is paused: this is kept, and sent when it is resumed (tieline integration resume)."
        case "failed":
            return f"Given up. To send it again: tieline delivery replay {delivery.integration_id} {delivery.id}"
        case _:
            return ""


def _duration(seconds: float) -> str:
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004 - two hours


def texts(letter: Letter, place: str) -> tuple[str, str]:
    """The description, which is HTML, and the text of the delivery's own activity."""
    text = f"{place} is told of {event_of(letter)}"
    return escape(text), text


def parameters(letter: Letter, integration: Integration, delivery: Delivery) -> JSON:
    """What the activity is about."""
    return {
        "activity": letter.kept.cause_id,
        "activity_type": letter.kept.type,
        "activity_state": letter.kept.state,
        "environment": letter.kept.environment_id,
        "delivery": str(delivery.id),
        "message": message_id(letter, integration),
    }
