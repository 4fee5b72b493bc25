"""The receiver as a program: `python -m tieline.simulators.receiver`."""

import argparse
import asyncio
import os
import signal
from datetime import datetime
from typing import Final

from tieline.simulators.receiver.arrivals import Arrival
from tieline.simulators.receiver.receiver import Receiver

KEY_VARIABLE: Final = "RECEIVER_KEY"


def describe(arrival: Arrival) -> str:
    """One line about what arrived, for a person."""
    moment = datetime.fromtimestamp(arrival.at).astimezone().strftime("%H:%M:%S")
    answered = "no answer" if arrival.answered is None else str(arrival.answered)
    signatures = f"JWS {arrival.jws}, Standard Webhooks {arrival.standard}"
    place = f"{moment} #{arrival.number} {arrival.path}"
    return f"{place}  {_subject(arrival)}  {arrival.id or '(no id)'}  {signatures}  -> {answered}"


def _subject(arrival: Arrival) -> str:
    try:
        activity = arrival.document()
        words = [activity["type"], activity["state"], activity["result"]]
        return " ".join([*filter(None, words), *(f"in {name}" for name in activity["environments"])])
    except (ValueError, KeyError, TypeError):
        return f"{arrival.method} of {len(arrival.body)} bytes that are no activity"


async def _serve(host: str, port: int, key: str | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Receiver(key=key, host=host, port=port, told=_tell) as receiver:
        print(_introduce(receiver), flush=True)  # noqa: T201 - a program speaks to its terminal
        await stop.wait()


def _tell(arrival: Arrival) -> None:
    print(describe(arrival), flush=True)  # noqa: T201


def _introduce(receiver: Receiver) -> str:
    """How to use it. Every indented line can be pasted into a shell."""
    return f"""Receives webhooks at {receiver.url}/ and every path below it, and says here what arrived.

Start Tieline with this setting, and add a webhook:
  export TIELINE_EGRESS_ALLOW=127.0.0.0/8
  tieline integration add webhook --url {receiver.url}/hook --shared-key env:{KEY_VARIABLE}
Have this receiver misbehave, and behave again:
  curl -sS {receiver.url}/_simulator/behaviours -d '{{"path": "/hook", "status": 503, "retry_after": "5"}}'
  curl -sS {receiver.url}/_simulator/behaviours -d '{{"path": "/hook"}}'
"""


def main() -> None:
    """Receive until a signal comes."""
    parser = argparse.ArgumentParser(
        prog="python -m tieline.simulators.receiver",
        description=f"Receives webhooks and says what arrived. Signatures are verified with the key in {KEY_VARIABLE}.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8422, help="its port (default: %(default)s)")
    given = parser.parse_args()
    asyncio.run(_serve(given.host, given.port, os.environ.get(KEY_VARIABLE)))
