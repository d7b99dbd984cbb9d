"""A strict and bounded parser of HTTP/1.1 requests that does no I/O.

`httptools` (llhttp) parses heads and trailers. It never receives a byte beyond their end, so that the
rest stays in the buffer. This module adds length limits, refuses what llhttp would accept against
RFC 9112, and decodes chunks: llhttp does not report where a chunked body ends.
"""

from __future__ import annotations

import re
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
CHUNKS_PER_CALL = 512
"""One call of `RequestParser.read_body` decodes at most this many chunks: about 0.4 ms of CPU time."""
FRAMING_BYTES = 4096
"""The bytes of chunk sizes and extensions that any chunked body may have, in addition to `FRAMING_SHARE`."""
FRAMING_SHARE = 4
"""A chunked body may have one byte of framing for this many bytes of content. A chunk of one byte has five."""

_CARRIAGE_RETURN = ord("\r")
_FIRST_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t -~]*)?\r\n")
_NEXT_CHUNK = re.compile(rb"\r\n" + _FIRST_CHUNK.pattern)
"""The line before the content of a chunk, after the line break that ends the previous chunk."""
_HEAD_OF_TRAILERS = b"GET / HTTP/1.1\r\n"
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
        self._chunks: _Chunks | None = None  # of the request whose head was read last
        self._lines = 0  # complete lines of the head or the trailers that are being read
        self._line_start = 0  # of the next line, in the buffer

    @property
    def pending(self) -> int:
        """The number of received bytes that no head or body was made of yet."""
        return len(self._buffer)

    @property
    def held_bytes(self) -> int:
        """The number of received bytes in memory: the pending ones, and the content of chunks."""
        return len(self._buffer) + (len(self._chunks.content) if self._chunks is not None else 0)

    @property
    def can_continue(self) -> bool:
        """Whether `read_body` has stopped at `CHUNKS_PER_CALL`, so that the next call needs no more data."""
        return self._chunks is not None and self._chunks.can_continue

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
        self._chunks = None
        if head.content_length is None:
            self._chunks = _Chunks()
            self._lines = 1  # the trailers are limited as headers are, which follow a request line
        return head

    def read_body(self, max_bytes: int) -> bytes | None:
        """Return the body of the request whose head was read last, or None while it is incomplete.

        Args:
            max_bytes: the largest body that is accepted.

        Raises:
            RequestError: the body is malformed or too long. The parser cannot be used any more.
        """
        if self._chunks is not None:
            return self._read_chunked_body(self._chunks, max_bytes)
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

    def _read_chunked_body(self, chunks: _Chunks, max_bytes: int) -> bytes | None:
        if not chunks.complete:
            chunks.read(self._buffer, max_bytes)
        end = self._end_of_head() if chunks.complete else None
        if end is None:
            return None
        _check_trailers(self._take(end))
        self._chunks = None
        self._begin_head()
        return bytes(chunks.content)

    def _begin_head(self) -> None:
        self._lines = 0
        self._line_start = 0

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
        self._check_line(len(buffer) - self._line_start - buffer.endswith(b"\r"))
        return None

    def _check_line(self, length: int) -> None:
        if not self._lines and length > REQUEST_LINE_BYTES:
            detail = f"the request line is over {REQUEST_LINE_BYTES} bytes"
            raise RequestError(HTTPStatus.REQUEST_URI_TOO_LONG, detail)
        if self._lines and (length > HEADER_BYTES or (self._lines > HEADERS and length)):
            raise _too_many_headers()

    def _take(self, length: int) -> bytes:
        with memoryview(self._buffer) as buffer:  # a slice of a bytearray would be another copy
            taken = bytes(buffer[:length])
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
        raise RequestError(HTTPStatus.NOT_IMPLEMENTED, "the only Transfer-Encoding that is supported is chunked")
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
    expectation = b",".join(headers[b"expect"]).lower()
    if expectation not in {b"", b"100-continue"}:
        raise RequestError(HTTPStatus.EXPECTATION_FAILED, "the only Expect that is supported is 100-continue")
    expects_continue = bool(expectation) and version == b"1.1"
    return RequestHead(method, fields.target, fields.headers, version, length, keep_alive, expects_continue)


class _Chunks:
    """The chunks of a body that is being received.

    Attributes:
        content: what they contain so far.
        complete: whether the last chunk was read; the trailers and an empty line follow.
        can_continue: whether `read` has stopped at `CHUNKS_PER_CALL`.
    """

    def __init__(self) -> None:
        self.content = bytearray()
        self.complete = False
        self.can_continue = False
        self._line = _FIRST_CHUNK
        self._missing = 0  # bytes of the current chunk
        self._framing = 0

    def read(self, buffer: bytearray, max_bytes: int) -> None:
        """Move up to `CHUNKS_PER_CALL` chunks out of the buffer.

        Raises:
            RequestError: as for `RequestParser.read_body`.
        """
        at = 0
        self.can_continue = False
        for _ in range(CHUNKS_PER_CALL):
            received = buffer[at : at + self._missing]
            self.content += received
            self._missing -= len(received)
            at += len(received)
            line = self._line.match(buffer, at) if at < len(buffer) else None
            if line is None:
                self._check_incomplete_line(buffer, at)
                break
            at = line.end()
            self._begin_chunk(int(line[1], 16), at - line.start(), max_bytes)
            if self.complete:
                break
        else:
            self.can_continue = True
        del buffer[:at]

    def _begin_chunk(self, size: int, framing: int, max_bytes: int) -> None:
        if len(self.content) + size > max_bytes:
            raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
        self._framing += framing
        if self._framing > FRAMING_BYTES + len(self.content) // FRAMING_SHARE:
            raise RequestError(HTTPStatus.BAD_REQUEST, "the chunks of the body are mostly framing")
        self._missing = size
        self._line = _NEXT_CHUNK
        self.complete = not size

    def _check_incomplete_line(self, buffer: bytearray, at: int) -> None:
        break_before = len(b"\r\n") if self._line is _NEXT_CHUNK else 0
        if buffer.find(b"\n", at + break_before) >= 0 or len(buffer) - at > HEADER_BYTES:
            raise _malformed()


def _check_trailers(lines: bytes) -> None:
    fields = _Fields()
    try:
        httptools.HttpRequestParser(fields).feed_data(_HEAD_OF_TRAILERS + lines)
    except (httptools.HttpParserUpgrade, httptools.HttpParserError):
        raise _malformed() from None
    if not _NOT_IN_TRAILERS.isdisjoint(name for name, _ in fields.headers):
        raise _malformed()


def _malformed() -> RequestError:
    return RequestError(HTTPStatus.BAD_REQUEST, "the request is not valid HTTP/1.1")


def _too_many_headers() -> RequestError:
    detail = f"there are over {HEADERS} headers, or one is over {HEADER_BYTES} bytes"
    return RequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
