"""A strict and bounded parser of HTTP/1.1 requests that does no I/O.

`httptools` (llhttp) parses heads and chunks. It never receives a byte beyond the end of a message,
so that the next request stays in the buffer. This module adds length limits, and refuses what
llhttp would accept against RFC 9112.
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
"""A chunked body is parsed in slices of this size, and its length is checked after each."""
FRAMING_BYTES = 16 * 1024
"""The bytes of chunk sizes, extensions and trailers that any chunked body may have."""
FRAMING_RATIO = 8
"""The further bytes of framing for each byte of content. A chunk of one byte has five."""

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
"""Fields for framing, routing, authentication or content format, which trailers must not have (RFC 9110, 6.5.1)."""


class RequestError(Exception):
    """A request that the parser refuses.

    Attributes:
        status: the status of the response.
        detail: the reason, for the client.
    """

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The request line and the headers.

    Attributes:
        target: the target as in the request line.
        headers: names in lower case, and values without surrounding blanks.
        version: ``b"1.0"`` or ``b"1.1"``.
        content_length: the length of the body in bytes; None if it is chunked.
        keep_alive: whether the client may send another request on this connection.
        expects_continue: whether the client waits for ``100 Continue`` before it sends the body.
    """

    method: bytes
    target: bytes
    headers: Sequence[tuple[bytes, bytes]]
    version: bytes
    content_length: int | None
    keep_alive: bool
    expects_continue: bool


class RequestParser:
    """Parses the requests of one connection: in turn a head and its body."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._begin_head()

    @property
    def pending(self) -> int:
        """The number of received bytes that no head or body was made of yet."""
        return len(self._buffer)

    def receive(self, data: bytes) -> None:
        """Add bytes from the client."""
        self._buffer += data

    def read_head(self) -> RequestHead | None:
        """Return the next request's head, or None while it is incomplete.

        Raises:
            RequestError: the head is malformed or too long. The parser cannot be used any more.
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

    def read_body(self, max_bytes: int) -> bytes | None:
        """Return the body of the request whose head was read last, or None while it is incomplete.

        Args:
            max_bytes: the largest body that is accepted.

        Raises:
            RequestError: the body is malformed or too long. The parser cannot be used any more.
        """
        if self._chunks is not None:
            return self._chunks.read(self._buffer, max_bytes)
        if self._unread > max_bytes:
            raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
        return self._take(self._unread) if len(self._buffer) >= self._unread else None

    def skip_body(self) -> bool:
        """Discard the body of the request whose head was read last.

        Returns:
            False, without discarding anything, if the body is chunked or incomplete.
        """
        if self._chunks is not None or len(self._buffer) < self._unread:
            return False
        del self._buffer[: self._unread]
        return True

    def _begin_head(self) -> None:
        self._lines = 0  # complete lines of the head that is being read
        self._line_start = 0  # of the next line, in the buffer

    def _end_of_head(self) -> int | None:
        """Return the end of the head in the buffer, or None while it is incomplete. Every line is checked once."""
        buffer = self._buffer
        while (end := buffer.find(b"\n", self._line_start)) >= 0:
            if end == self._line_start or buffer[end - 1] != _CARRIAGE_RETURN:
                raise _malformed()
            self._check_line(end - 1 - self._line_start)
            if end - 1 == self._line_start:
                return end + 1
            self._lines += 1
            self._line_start = end + 1
        self._check_line(len(buffer) - self._line_start)
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
    """Collects the fields of a head for `httptools`, which calls the ``on_`` methods."""

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
        values_by_name = defaultdict(list)
        for name, value in self.headers:
            values_by_name[name].append(value)
        return values_by_name


def _parse_head(head: bytes) -> RequestHead:
    fields = _Fields()
    parser = httptools.HttpRequestParser(fields)
    malformed = False
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # an offer to switch protocols; the usual response declines it
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
    length = None if codings else int(*headers[b"content-length"])  # int() is 0
    options = {option.strip() for value in headers[b"connection"] for option in value.lower().split(b",")}
    keep_alive = b"close" not in options and (version == b"1.1" or b"keep-alive" in options)
    expects_continue = b",".join(headers[b"expect"]).lower() == b"100-continue" and version == b"1.1"
    return RequestHead(method, fields.target, fields.headers, version, length, keep_alive, expects_continue)


class _ChunkedBody:
    """A chunked body that is being received.

    A chunked body ends with an empty line. Therefore `httptools` gets the data in parts that end
    with an empty line: once it reports the end of the body, it has received nothing beyond it.
    """

    def __init__(self) -> None:
        self._content = bytearray()
        self._trailers: list[bytes] = []
        self._parsed = 0  # bytes, including the framing
        self._complete = False
        self._tail = b""  # the last parsed bytes, in which an empty line may begin
        self.on_body = self._content.extend  # no Python code for each chunk, which may be one byte long
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(_CHUNKED_HEAD)
        self._trailers.clear()

    def on_header(self, name: bytes, _value: bytes) -> None:
        self._trailers.append(name.lower())

    def on_message_complete(self) -> None:
        self._complete = True

    def read(self, buffer: bytearray, max_bytes: int) -> bytes | None:
        """Move the body's bytes out of the buffer, and return the body, or None while it is incomplete.

        Raises:
            RequestError: as for `RequestParser.read_body`.
        """
        while buffer and not self._complete:
            del buffer[: self._parse(bytes(buffer[:SLICE_BYTES]))]
            if len(self._content) > max_bytes:
                raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
            if len(self._trailers) > HEADERS:
                raise _too_many_headers()
            if self._parsed - len(self._content) > FRAMING_BYTES + FRAMING_RATIO * len(self._content):
                raise RequestError(HTTPStatus.BAD_REQUEST, "the chunks of the body are mostly framing")
        return bytes(self._content) if self._complete else None

    def _parse(self, data: bytes) -> int:
        """Parse data up to the end of the body, and return the number of bytes parsed."""
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
