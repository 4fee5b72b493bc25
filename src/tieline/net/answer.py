"""An answer, taken apart as its bytes arrive. llhttp, which Node.js uses too, says where its parts are."""

from typing import Final

from httptools import HttpParserCallbackError, HttpParserError, HttpResponseParser

from tieline.net.body import CappedBody, CutBody

# Statuses and headers of what comes before the body, in bytes, however many answers there are that promise another.
LARGEST_HEAD: Final = 64 * 1024
_LAST_INFORMATIONAL: Final = 199


class NotHTTP(Exception):
    """What arrives is no answer to a request in HTTP/1."""


class BrokenOff(Exception):
    """The connection ended in the middle of a body."""


class Answer:
    """What a request with this method was answered.

    Give every chunk to `add` and then look at `is_over`; where the connection ends, call `end`. `headers` have
    lower-case names, and repeated ones are joined as HTTP allows. `is_last` says that its connection has had its day.
    """

    def __init__(self, method: str, max_bytes: int, *, cut: bool) -> None:
        self._method = method
        self._max_bytes = max_bytes
        self._cut = cut
        self._parser = HttpResponseParser(self)
        self._room = LARGEST_HEAD
        self.has_begun = False
        self.is_over = False
        self.is_last = True
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body: CappedBody | CutBody | None = None

    def add(self, chunk: memoryview) -> None:
        """Raises `NotHTTP`, or what the body raises."""
        self.has_begun = True
        try:
            self._parser.feed_data(chunk)
        except HttpParserCallbackError as error:
            if error.__context__ is not None and not self.is_over:
                raise error.__context__ from None
        except HttpParserError as error:
            if not self.is_over:
                raise NotHTTP from error
            # Nobody asked for what follows.
            self.is_last = True
        if self.body is None:
            self._spend(len(chunk))
        elif self.body.is_cut:
            self.is_over = self.is_last = True

    def end(self, *, is_clean: bool) -> None:
        """The connection has ended. Raises `BrokenOff` when there should have been more of the body."""
        if self.body is not None and not (is_clean and self._ends_with_connection()):
            raise BrokenOff
        self.is_over = self.body is not None

    def on_message_begin(self) -> None:
        if self.is_over:
            self.is_last = True
            raise NotHTTP

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.lower().decode("latin-1"), value.decode(errors="surrogateescape")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status <= _LAST_INFORMATIONAL:
            self.headers.clear()
            return
        self.status = status
        self.body = self._empty_body()
        # Its headers may speak of a body that is not there.
        self.is_over = self._method == "HEAD"

    def on_body(self, data: bytes) -> None:
        if self.body is not None:
            self.body.add(data)

    def on_message_complete(self) -> None:
        if self.body is not None:
            self.is_last = self.is_over or not self._parser.should_keep_alive()
            self.is_over = True

    def _empty_body(self) -> CappedBody | CutBody:
        if self._cut:
            return CutBody(self._max_bytes)
        return CappedBody(self._max_bytes, "" if self._method == "HEAD" else self.headers.get("content-encoding", ""))

    def _spend(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise NotHTTP

    def _ends_with_connection(self) -> bool:
        coding = self.headers.get("transfer-encoding", "")
        return "content-length" not in self.headers and not coding.lower().endswith("chunked")
