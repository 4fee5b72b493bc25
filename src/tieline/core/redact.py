"""Keep secrets and the credentials of URLs out of text that people read."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from tieline.core.documents import Variable
from tieline.core.secret import MASK, Secret

SHORTEST: Final = 4
# Of few secrets, to look for one after the other is faster than to compile an expression for all of them.
FEW: Final = 64
SHORTEST_LINE: Final = 8
SHORTEST_PART: Final = 8
SHORTEST_BASE64: Final = 8
# Begins with what is rare, not with the scheme: a line of 64 KiB of letters would otherwise take seconds.
_USERINFO: Final = re.compile(r"://[^/?#\s'\"<>]*@")
_AUTHORIZATION: Final = re.compile(r"(?i)\b((?:proxy-)?authorization\s*[:=]\s*)\S[^\r\n]*")


class Redactor:
    """Masks known secrets, also where they are percent-encoded, in JSON or in Base64, and the userinfo of any URL.

    Each line of a secret of several (a private key) is one, since logs are written line by line. Secrets shorter
    than four characters are left alone: masking them would garble ordinary words.
    """

    def __init__(self, secrets: Iterable[Secret | str] = ()) -> None:
        plain = (each.reveal() if isinstance(each, Secret) else each for each in secrets)
        spelled = {form for value in plain for part in _parts(value) for form in _spellings(part)}
        # The longest first, so that a secret that contains another one is masked whole.
        forms = sorted(spelled, key=len, reverse=True)
        self._few = forms if len(forms) <= FEW else []
        self._many = None if self._few or not forms else re.compile("|".join(map(re.escape, forms)))

    def text(self, text: str) -> str:
        """The text with every secret replaced by `********`."""
        masked = self._many.sub(MASK, text) if self._many else text
        for form in self._few:
            masked = masked.replace(form, MASK)
        masked = _USERINFO.sub(f"://{MASK}@", masked) if "@" in masked else masked
        return _AUTHORIZATION.sub(rf"\g<1>{MASK}", masked) if "authorization" in masked.lower() else masked

    def __repr__(self) -> str:
        return "Redactor()"


def texts_in(value: object) -> Iterator[str]:
    """Every text in a JSON value; of one like `Bearer token` also what follows the scheme."""
    if isinstance(value, str):
        yield value
        scheme, _, credentials = value.partition(" ")
        yield from [credentials] if scheme and credentials and " " not in credentials else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from texts_in(each)


def variable_texts(variable: Variable) -> Iterator[str]:
    """A variable's value as it is kept, and every text in it when it is JSON."""
    value = variable.value.reveal()
    yield value
    if variable.is_json:
        yield from texts_in(json.loads(value))


def _parts(value: str) -> set[str]:
    lines = {each.strip() for each in value.splitlines()} if "\n" in value else set()
    secret = {each for each in lines if len(each) >= SHORTEST_LINE and not each.startswith("-----")}
    return secret | ({value} if len(value) >= SHORTEST else set())


def _spellings(value: str) -> set[str]:
    plain = {value, quote(value, safe=""), quote(value), quote_plus(value), json.dumps(value)[1:-1]}
    return plain | _in_base64(value.encode(errors="surrogateescape"))


def _in_base64(value: bytes) -> set[str]:
    """What any Base64 text with the value in it must contain: at each of three offsets, what no neighbour touches."""
    found: set[str] = set()
    for offset, touched in enumerate((0, 2, 3)):
        whole = b64encode(bytes(offset) + value).decode()
        own = whole[touched : (offset + len(value)) * 8 // 6]
        if len(own) >= SHORTEST_BASE64:
            found |= {own, own.replace("+", "-").replace("/", "_")}
    return found


def secret_parts(url: str) -> list[str]:
    """What may be secret of a URL: what follows its origin, in one, and of its parts those that are no mere words.

    Receivers repeat it, such as "Cannot POST /services/T0/B0/XXX".
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return []
    values = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
    written = [parts.path, parts.query, *(each for each in values if len(each) >= SHORTEST_PART)]
    return [form for each in written for form in (each, unquote(each))]


def origin_of(url: str) -> str:
    """Scheme, host and port alone: some services carry their secret in the path. `(malformed URL)` where it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(malformed URL)"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
