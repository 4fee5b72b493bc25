"""An answer, taken apart as its bytes arrive. llhttp, which Node.js uses too, says where its parts are. Pure."""

from typing import Final

from httptools import HttpParserCallbackError, HttpParserError, HttpResponseParser

from tieline.net.body import CappedBody, CutBody

# In bytes, of what is not body: statuses and headers, however many answers there are that promise another; and what
# stands between two pieces of a body, or after it.
LARGEST_HEAD: Final = 64 * 1024
_FIRST_STATUS: Final = 100
_SWITCHING_PROTOCOLS: Final = 101
_LAST_INFORMATIONAL: Final = 199
_WITHOUT_A_BODY: Final = frozenset({204, 304})
# Others were not asked for, and would have to be undone.
_TRANSFER_CODINGS: Final = frozenset({"chunked", "identity"})


class NotHTTP(Exception):
    """What arrives is no answer to a request in HTTP/1; where that is not plain, why."""


class BrokenOff(Exception):
    """The connection ended in the middle of a body."""


class Answer:
    """What a request with this method was answered. Of a body above `max_bytes` the beginning will do with `cut`.

    Give every chunk, none larger than `LARGEST_HEAD`, to `add` and then look at `is_over`; where the connection ends,
    call `end`; when no more will come, `close`. `headers` have lower-case names, and repeated ones are joined as HTTP
    allows. `is_last` says that its connection has had its day.
    """

    def __init__(self, method: str, max_bytes: int, *, cut: bool) -> None:
        self._method = method
        self._max_bytes = max_bytes
        self._cut = cut
        self._parser = HttpResponseParser(self)
        # As browsers and most clients do: simple receivers are written like this, and an answer has nobody to deceive.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)
        self._room = LARGEST_HEAD
        self.is_over = False
        self.is_last = True
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body: CappedBody | CutBody | None = None

    def add(self, chunk: memoryview) -> None:
        """Raises `NotHTTP`, or what the body raises."""
        try:
            self._parser.feed_data(chunk)
        except HttpParserCallbackError as error:
            if not self.is_over:
                raise (error.__context__ or NotHTTP()) from None
        except HttpParserError as error:
            if not self.is_over:
                raise NotHTTP from error
            # Nobody asked for what follows.
            self.is_last = True
        if self.is_cut:
            self.is_over = self.is_last = True
        if not self.is_over:
            self._spend(len(chunk))

    @property
    def is_cut(self) -> bool:
        """Whether there was more of the body."""
        return self.body is not None and self.body.is_cut

    def content(self) -> bytes:
        """The body, once it is over. Raises `RemoteBroken` when its compression ends too early."""
        return b"" if self.body is None else self.body.finish()

    def end(self, *, is_clean: bool) -> None:
        """The connection has ended; `is_clean` when the other side said so. Raises `BrokenOff` amid the body.

        Where the beginning of a body will do, one without a length may end in any way: many a simple receiver behind
        TLS does not take its leave.
        """
        if self.is_over or self.body is None:
            return
        if not (self._ends_with_connection() and (is_clean or self._cut)):
            raise BrokenOff
        self.is_over = True

    def close(self) -> None:
        """Let go of the parser: the two would keep each other, and the body, until somebody looks for such pairs."""
        del self._parser

    def on_message_begin(self) -> None:
        if self.is_over:
            self.is_last = True
            raise NotHTTP

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.body is not None:
            # Trailers: RFC 9110 section 6.5.1 has them not mixed with headers, and nobody here asks for them.
            return
        key, text = name.lower().decode("latin-1"), value.strip().decode(errors="replace")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < _FIRST_STATUS or status == _SWITCHING_PROTOCOLS:
            raise NotHTTP
        if status <= _LAST_INFORMATIONAL:
            self.headers.clear()
            return
        if self._coding() not in _TRANSFER_CODINGS:
            raise NotHTTP
        self.status = status
        self.body = self._empty_body()
        # Its headers may speak of a body that is not there.
        self.is_over = self._method == "HEAD"

    def on_body(self, data: bytes) -> None:
        if self.body is not None and not self.is_over:
            self._room = LARGEST_HEAD
            self.body.add(data)

    def on_message_complete(self) -> None:
        if self.body is not None:
            self.is_last = self.is_over or self._is_faulty() or not self._parser.should_keep_alive()
            self.is_over = True

    def _empty_body(self) -> CappedBody | CutBody:
        if self._cut:
            return CutBody(self._max_bytes)
        is_empty = self._method == "HEAD" or self.status in _WITHOUT_A_BODY
        return CappedBody(self._max_bytes, "" if is_empty else self.headers.get("content-encoding", ""))

    def _spend(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise NotHTTP(f"there are more than {LARGEST_HEAD // 1024} KiB beside its body")

    def _coding(self) -> str:
        return self.headers.get("transfer-encoding", "identity").strip().lower()

    def _ends_with_connection(self) -> bool:
        return "content-length" not in self.headers and self._coding() == "identity"

    def _is_faulty(self) -> bool:
        """RFC 9112 section 6.1: HTTP/1.0 has no chunks, so that somebody on the way may have seen another end."""
        return "transfer-encoding" in self.headers and self._parser.get_http_version() == "1.0"
