"""Messages as signed POSTs, and what their answers mean."""

from collections.abc import Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

import orjson

from tieline.core.clock import now
from tieline.core.deliveries import KEPT_ANSWER, Message, Receipt, SentRequest, receipt_of
from tieline.core.documents import Activity, Integration
from tieline.core.errors import RemoteError
from tieline.core.http import Request, Response
from tieline.core.ids import new_id
from tieline.core.ports import Toolbox
from tieline.core.redact import Redactor, origin_of, secret_parts
from tieline.core.wire import render_message
from tieline.integrations.base import Findings
from tieline.integrations.signatures import SigningKey, signed_headers

PING: Final = "integration.ping"
_SHOWN: Final = 200
_ASKED_TO_WAIT: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


async def post(integration: Integration, message: Message, keys: Sequence[SigningKey], toolbox: Toolbox) -> Receipt:
    """POST a message once to the URL of an integration, signed with each of the keys, the newest first.

    Whatever goes wrong is in the receipt.
    """
    url: str = integration.config["url"]
    headers = signed_headers(message, now(), keys)
    sent = SentRequest("POST", url, headers)
    request = Request(
        "POST", url, headers, message.body, toolbox.delivery_seconds, KEPT_ANSWER, cut=True, owner=integration.id
    )
    try:
        return read_answer(await toolbox.http.send(request), sent, now(), keys)
    except RemoteError as error:
        return receipt_of(error, sent)


async def ping(integration: Integration, keys: Sequence[SigningKey], toolbox: Toolbox) -> Findings:
    """Send a signed message that tells of nothing, and report what the receiver made of it."""
    message = ping_of(integration, now())
    url: str = integration.config["url"]
    receipt = await post(integration, message, keys, toolbox)
    signed = "signed" if keys else "not signed, since there is no key"
    log = (
        f"Sent a ping to {origin_of(url)} ({len(message.body):,} bytes, {message.id}, {signed}).",
        f"{receipt.sentence} [{receipt.address}]" if receipt.address else receipt.sentence,
    )
    return Findings({} if receipt.verdict == "delivered" else {"url": receipt.sentence}, log=log)


def ping_of(integration: Integration, moment: datetime) -> Message:
    """A message in the form of an activity, of a type that no integration asks for. Pure but for its id."""
    activity = Activity(
        id=new_id(),
        project_id=integration.project_id,
        type=PING,
        state="complete",
        result="success",
        created_at=moment,
        updated_at=None,
        integration_id=integration.id,
        started_at=moment,
        completed_at=moment,
        completion_percent=100,
        description="A ping: somebody asks whether messages arrive",
        text="A ping: somebody asks whether messages arrive",
        payload={"integration": {"id": integration.id, "type": integration.type}},
    )
    return Message(f"msg_{activity.id}_ping_{integration.id}", orjson.dumps(render_message(activity, "")))


def read_answer(response: Response, sent: SentRequest, moment: datetime, keys: Sequence[SigningKey]) -> Receipt:
    """What an answer means: a 2xx took it, 410 wants nothing any more, everything else may do better later. Pure.

    The sentence repeats of it neither the keys nor what may be secret of the URL.
    """
    is_taken = 200 <= response.status < 300  # noqa: PLR2004 - what HTTP calls success
    is_gone = response.status == HTTPStatus.GONE
    return Receipt(
        verdict="delivered" if is_taken else "gone" if is_gone else "retry",
        sentence=f"The receiver answered {response.status}." if is_taken else _objection(response, sent, keys),
        request=sent,
        status=response.status,
        answer=response.body,
        error=None if is_taken else "status",
        address=response.address,
        retry_after=wait_asked(response, moment) if response.status in _ASKED_TO_WAIT else None,
    )


def _objection(response: Response, sent: SentRequest, keys: Sequence[SigningKey]) -> str:
    said = f"The receiver answered {response.status}"
    if 300 <= response.status < 400:  # noqa: PLR2004 - what HTTP calls redirection
        return f"{said}, a redirect, which is not followed: give the address that it leads to."
    shown = _quoted(response.body, Redactor([*(key.secret for key in keys), *secret_parts(sent.url)]))
    return f"{said}: {shown}" if shown else f"{said}."


def _quoted(body: bytes, redactor: Redactor) -> str:
    """The beginning of an answer, on one line. It is masked while it is whole: of a secret that is cut half would stay.

    What terminals act upon is left out.
    """
    words = redactor.text(body.decode(errors="replace")).split()
    return "".join(each if each.isprintable() else "\ufffd" for each in " ".join(words)[:_SHOWN])


def wait_asked(response: Response, moment: datetime) -> float | None:
    """The seconds that `Retry-After` asks to wait, given as such or as a date; None where it makes no sense. Pure."""
    given = response.headers.get("retry-after", "").strip()
    if given.isascii() and given.isdecimal():
        return float(given[:9])
    try:
        return max((parsedate_to_datetime(given) - moment).total_seconds(), 0.0)
    except (TypeError, ValueError, OverflowError):
        return None
