"""What receivers of webhooks can test their verification with: docs/webhook-vectors.json."""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tieline.core.deliveries import Message
from tieline.core.secret import Secret
from tieline.integrations.signatures import PROTECTED_HEADER, SigningKey, signed_headers

FILE: Final = Path(__file__).resolve().parents[1] / "docs" / "webhook-vectors.json"
MOMENT: Final = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)

PLAIN: Final = "a-key-of-32-characters-or-more-is-best"
OLDER: Final = "the-key-that-was-used-before-this-one"
STANDARD: Final = "whsec_pLAYHT1Tll/+UXfviJrsamcyZMRPrfSLc0And5rHQzI="
BASE64: Final = "q83vEjRWeJq83vASNFZ4mrze8BI0VniavN7wEjRWeJo="
UMLAUTS: Final = "Schlüssel-für-größere-Vögel-日本語"
SHORT: Final = "short"

ASCII: Final = '{"id":"x4opi5tjv3yfd","type":"environment.push","state":"complete","result":"success"}'
UTF_8: Final = '{"text":"Cloé Weber pushed to **日本語** 🎉","log":"a\\tb\\u0000"}'
DOTS: Final = "a.b..c.\n{}"
LONG: Final = {"start": '{"log":"', "repeat": "W: Zeile für Zeile\\n", "times": 15_000, "end": '"}'}

NOTE: Final = (
    "Signatures as Tieline sends them. A body is text, to be encoded as UTF-8; or the text `start`, then `repeat` "
    "`times` times, then `end`. `length` is in bytes, and `sha256` is of the body. The first key is the newest: "
    "X-JWS-Signature is made with it, webhook-signature with each, in their order."
)
CASES: Final[tuple[tuple[str, Any, tuple[str, ...]], ...]] = (
    ("ascii", ASCII, (PLAIN,)),
    ("utf-8", UTF_8, (PLAIN,)),
    ("dots, a line break, and no JSON", DOTS, (PLAIN,)),
    ("empty", "", (PLAIN,)),
    ("300 kB", LONG, (PLAIN,)),
    ("while a key is replaced", UTF_8, (PLAIN, OLDER)),
    ("a key in the spelling of Standard Webhooks", UTF_8, (STANDARD,)),
    ("from one kind of key to another", UTF_8, (STANDARD, PLAIN)),
    ("a key that looks like base64, and is text all the same", UTF_8, (BASE64,)),
    ("a key that is not ASCII", UTF_8, (UMLAUTS,)),
    ("a key that is too short for some libraries", UTF_8, (SHORT,)),
    ("no key", UTF_8, ()),
)


def body_of(written: Any) -> bytes:
    """The body that a vector describes."""
    if isinstance(written, str):
        return written.encode()
    text: str = written["start"] + written["repeat"] * written["times"] + written["end"]
    return text.encode()


def render() -> str:
    """The whole file."""
    document = {"about": NOTE, "protected_header": PROTECTED_HEADER.decode(), "vectors": list(_vectors())}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _vectors() -> Iterator[dict[str, Any]]:
    for number, (name, written, keys) in enumerate(CASES, 1):
        message = Message(f"msg_{number:013}", body_of(written))
        yield {
            "name": name,
            "keys": list(keys),
            "body": written,
            "length": len(message.body),
            "sha256": hashlib.sha256(message.body).hexdigest(),
            "headers": signed_headers(message, MOMENT, SigningKey.all_of(map(Secret, keys))),
        }
