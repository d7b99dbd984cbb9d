"""HTTP/1.1 requests from the bytes of one connection: strict, bounded, and without any I/O.

`httptools` (llhttp) parses heads and chunks. It never sees a byte beyond the end of a message, so
what follows a request is still there for the next one. Length limits, and what it would let pass,
are checked here (RFC 9112).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import httptools

if TYPE_CHECKING:
    from collections.abc import Sequence

REQUEST_LINE_BYTES = 2048
HEADER_BYTES = 4096
HEADERS = 50
SLICE_BYTES = 64 * 1024
"""How much of a chunked body is parsed before its size is checked again."""
FRAMING_BYTES = 16 * 1024
"""How much may come beside the content of a chunked body: sizes, extensions and trailers."""
FRAMING_RATIO = 8
"""How much more may come for each byte of content; a chunk of one byte takes five."""

_CARRIAGE_RETURN = ord("\r")
_EMPTY_LINE = b"\r\n\r\n"
_CHUNKED_HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
TOO_LARGE = "the body is larger than limits.request_bytes"

_NOT_IN_TRAILERS = frozenset(
    {
        b"authorization",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"expect",
        b"host",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields that say where a message goes, who sends it or how to read it (RFC 9110, 6.5.1)."""


class RequestError(Exception):
    """A request that is refused before anybody has seen it.

    Attributes:
        status: what it is answered with.
        detail: why, for the client.
    """

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The request line and the headers.

    Attributes:
        target: as it stands in the request line.
        headers: names in lower case, values without the blanks around them.
        version: 1.0 or 1.1, as bytes.
        content_length: of the body in bytes; None if it comes in chunks.
        keep_alive: whether the client wants to send another request on this connection.
        expects_continue: whether it waits for leave to send the body.
    """

    method: bytes
    target: bytes
    headers: Sequence[tuple[bytes, bytes]]
    version: bytes
    content_length: int | None
    keep_alive: bool
    expects_continue: bool


class RequestParser:
    """The requests of one connection, one after another: a head, then its body, then the next head."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._begin_head()

    @property
    def pending(self) -> int:
        """How many bytes have come that belong to no request yet, or to one that is incomplete."""
        return len(self._buffer)

    def receive(self, data: bytes) -> None:
        """Take what the client sent."""
        self._buffer += data

    def read_head(self) -> RequestHead | None:
        """The next request's head, once it is complete.

        Raises:
            RequestError: it is malformed or too long; nothing more can be read.
        """
        if not self._lines and self._buffer.startswith((b"\r", b"\n")):  # some clients send an empty line after a body
            self._buffer = self._buffer.lstrip(b"\r\n")
        end = self._end_of_head()
        if end is None:
            return None
        head = _parse_head(self._take(end))
        self._begin_head()
        self._unread = head.content_length or 0
        self._chunks = _ChunkedBody() if head.content_length is None else None
        return head

    def read_body(self, most_bytes: int) -> bytes | None:
        """The body of the request whose head was read, once it is complete.

        Args:
            most_bytes: how long it may be.

        Raises:
            RequestError: it is malformed or too long; nothing more can be read.
        """
        if self._chunks is not None:
            return self._chunks.read(self._buffer, most_bytes)
        if self._unread > most_bytes:
            raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
        return self._take(self._unread) if len(self._buffer) >= self._unread else None

    def skip_body(self) -> bool:
        """Leave out the body of the request whose head was read, if that is possible: if all of it has come."""
        if self._chunks is not None or len(self._buffer) < self._unread:
            return False
        del self._buffer[: self._unread]
        return True

    def _begin_head(self) -> None:
        self._lines = 0  # complete lines of the head that is being read
        self._line = 0  # where the next one begins

    def _end_of_head(self) -> int | None:
        """Where the head ends, if all of it has come; every line is looked at once."""
        buffer = self._buffer
        while (end := buffer.find(b"\n", self._line)) >= 0:
            if end == self._line or buffer[end - 1] != _CARRIAGE_RETURN:
                raise _malformed()
            self._check_line(end - 1 - self._line)
            if end - 1 == self._line:
                return end + 1
            self._lines += 1
            self._line = end + 1
        self._check_line(len(buffer) - self._line)
        return None

    def _check_line(self, length: int) -> None:
        if not self._lines and length > REQUEST_LINE_BYTES:
            detail = f"the request line is over {REQUEST_LINE_BYTES} bytes"
            raise RequestError(HTTPStatus.REQUEST_URI_TOO_LONG, detail)
        if self._lines and (length > HEADER_BYTES or (self._lines > HEADERS and length > 1)):
            raise _too_many_headers()

    def _take(self, length: int) -> bytes:
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken


class _Fields:
    """What `httptools` finds in a head."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True

    def by_name(self) -> defaultdict[bytes, list[bytes]]:
        found = defaultdict(list)
        for name, value in self.headers:
            found[name].append(value)
        return found


def _parse_head(head: bytes) -> RequestHead:
    fields = _Fields()
    parser = httptools.HttpRequestParser(fields)
    malformed = False
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # an offer that is declined by answering as ever
    except httptools.HttpParserError:
        malformed = True
    headers = fields.by_name()
    codings = headers[b"transfer-encoding"]
    if fields.complete and codings and b",".join(codings).lower() != b"chunked":
        raise RequestError(HTTPStatus.NOT_IMPLEMENTED, "of the transfer encodings, only chunked is known")
    line = head[: head.index(b"\r")]
    version = line[-3:]
    if malformed or not line.endswith((b" HTTP/1.1", b" HTTP/1.0")) or (codings and version == b"1.0"):
        raise _malformed()
    method = parser.get_method()
    if not (fields.target.startswith((b"/", b"http://", b"https://")) or (method, fields.target) == (b"OPTIONS", b"*")):
        raise RequestError(HTTPStatus.BAD_REQUEST, "the request target is neither a path nor a URL")
    hosts = headers[b"host"]
    if version == b"1.1" and not any(hosts):
        raise RequestError(HTTPStatus.BAD_REQUEST, "the request has no Host header")
    if len(hosts) > 1 or len(headers[b"content-type"]) > 1:
        raise RequestError(HTTPStatus.BAD_REQUEST, "the request has several Host or Content-Type headers")
    length = None if codings else int(*headers[b"content-length"])  # 0 if there is none
    options = {each.strip() for value in headers[b"connection"] for each in value.lower().split(b",")}
    keep_alive = b"close" not in options and (version == b"1.1" or b"keep-alive" in options)
    expected = b",".join(headers[b"expect"]).lower()
    expects_continue = expected == b"100-continue" and version == b"1.1"
    return RequestHead(method, fields.target, fields.headers, version, length, keep_alive, expects_continue)


class _ChunkedBody:
    """A body in chunks.

    Its last bytes are an empty line, so the parser gets what has come in parts that each end with
    one: when it has seen the end of the body, it has seen nothing beyond.
    """

    def __init__(self) -> None:
        self._content = bytearray()
        self._trailers: list[bytes] = []
        self._parsed = 0  # bytes, with the framing
        self._complete = False
        self._tail = b""  # of what was parsed: an empty line may begin in it
        self.on_body = self._content.extend  # a chunk may be a byte long, so no Python is called for it
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(_CHUNKED_HEAD)
        self._trailers.clear()

    def on_header(self, name: bytes, _value: bytes) -> None:
        self._trailers.append(name.lower())

    def on_message_complete(self) -> None:
        self._complete = True

    def read(self, buffer: bytearray, most_bytes: int) -> bytes | None:
        """Take what belongs to the body out of the buffer; the body, once it is complete.

        Raises:
            RequestError: as for `RequestParser.read_body`.
        """
        while buffer and not self._complete:
            del buffer[: self._parse(bytes(buffer[:SLICE_BYTES]))]
            if len(self._content) > most_bytes:
                raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
            if len(self._trailers) > HEADERS:
                raise _too_many_headers()
            if self._parsed - len(self._content) > FRAMING_BYTES + FRAMING_RATIO * len(self._content):
                raise RequestError(HTTPStatus.BAD_REQUEST, "the chunks of the body are mostly framing")
        return bytes(self._content) if self._complete else None

    def _parse(self, data: bytes) -> int:
        """Parse up to the end of the body at most; how many bytes that were."""
        start = at = len(self._tail)
        data = self._tail + data
        while at < len(data) and not self._complete:
            empty_line = data.find(_EMPTY_LINE, max(at - len(_EMPTY_LINE) + 1, 0))
            end = len(data) if empty_line < 0 else empty_line + len(_EMPTY_LINE)
            try:
                self._parser.feed_data(data[at:end])
            except httptools.HttpParserError:
                raise _malformed() from None
            if not _NOT_IN_TRAILERS.isdisjoint(self._trailers):
                raise _malformed()
            at = end
        self._tail = data[max(at - len(_EMPTY_LINE) + 1, 0) : at]
        self._parsed += at - start
        return at - start


def _malformed() -> RequestError:
    return RequestError(HTTPStatus.BAD_REQUEST, "the request is not valid HTTP/1.1")


def _too_many_headers() -> RequestError:
    detail = f"there are over {HEADERS} headers, or one is over {HEADER_BYTES} bytes"
    return RequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
