"""What a deployer prints, as lines. Pure."""

import codecs
from typing import Final
from urllib.parse import urlsplit

import orjson

from tieline.core.documents import JSON
from tieline.core.errors import DeployFailed
from tieline.core.ports import DeployAnswer

LONGEST_LINE: Final = 64 * 1024
MOST_URLS: Final = 50
LONGEST_URL: Final = 2000
_NEVER_IN_A_URL: Final = frozenset(' "<>\\^`{|}')


class LineSplitter:
    """Cuts a stream of bytes into lines without their ends. Bytes that are not UTF-8 become U+FFFD.

    A line longer than `LONGEST_LINE` characters comes out in pieces of that length.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that are complete now."""
        *lines, rest = (self._rest + self._decoder.decode(chunk)).split("\n")
        *begun, self._rest = _pieces(rest)
        return [piece for line in lines for piece in _pieces(line.removesuffix("\r"))] + begun

    def end(self) -> list[str]:
        """What is left when the stream has ended."""
        rest = self._rest + self._decoder.decode(b"", final=True)
        self._rest = ""
        return _pieces(rest) if rest else []


def _pieces(line: str) -> list[str]:
    return [line[at : at + LONGEST_LINE] for at in range(0, len(line), LONGEST_LINE)] or [""]


class AnswerKeeper:
    """Lets lines of standard output through, and holds back one that would be the answer if it were the last."""

    def __init__(self) -> None:
        self.held: str | None = None

    def feed(self, lines: list[str]) -> list[str]:
        """The lines that are surely for the log."""
        if not lines:
            return []
        through = lines if self.held is None else [self.held, *lines]
        self.held = through[-1] if through[-1].lstrip().startswith("{") else None
        return through if self.held is None else through[:-1]


def parse_answer(line: str | None) -> JSON | None:
    """The JSON object that a line consists of; None when it is something else."""
    if line is None:
        return None
    try:
        answer = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return answer if isinstance(answer, dict) else None


def check_answer(answer: JSON) -> DeployAnswer:
    """What the answer says. Raises `DeployFailed` when its `urls` are nothing to show to people."""
    urls = answer.get("urls", [])
    if not isinstance(urls, list) or len(urls) > MOST_URLS:
        raise DeployFailed(f"The deployer's `urls` must be a list of at most {MOST_URLS} URLs.")
    if not all(is_public_url(each) for each in urls):
        raise DeployFailed("The deployer's `urls` must be http or https URLs without user names or passwords.")
    return DeployAnswer(urls=tuple(urls))


def is_public_url(url: object) -> bool:
    """Whether it may be shown to people: http(s), a host, no userinfo, nothing invisible, nothing to break out with."""
    if not isinstance(url, str) or len(url) > LONGEST_URL:
        return False
    if not url.isprintable() or not _NEVER_IN_A_URL.isdisjoint(url):
        return False
    try:
        parts = urlsplit(url)
        has_place = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and has_place and "@" not in parts.netloc
