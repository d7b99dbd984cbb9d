"""One HTTP/1.1 connection: whole requests to a front, answers back, and a limit on everything.

gunicorn's own connections give headers no time limit, keep as much of a body as is sent, and have
no limit of their number. These here use the same parser, and a deadline for every wait: a client
that dawdles is told 408 where it began a request, and hung up on.
"""

from __future__ import annotations

import asyncio
import enum
import math
import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import structlog
from gunicorn_h1c import H1CProtocol, LimitRequestHeaders, LimitRequestLine

from exporter.web.exchange import LARGE_BODY, Answer, Exchange, Headers, close
from exporter.web.problems import answer_to, document, usual

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.web.connections import Connections

REQUEST_LINE_BYTES = 2048
HEADER_BYTES = 4096
HEADERS = 50
FIRST_BYTE_SECONDS = 10.0
HEAD_SECONDS = 10.0
BODY_SECONDS = 30.0
WRITE_SECONDS = 30.0
IDLE_SECONDS = 15.0
LINGER_SECONDS = 5.0
LINGER_BYTES = 16 * 1024 * 1024
FRESH_SECONDS = 1.0
"""How long a new connection may still begin its request while the server stops."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"Connection: close\r\n"
_KEEP = b"Connection: keep-alive\r\n"
_NOTHING: tuple[bytes, ...] = ()
_TARGETS = (b"/", b"*", b"http://", b"https://")

log = structlog.get_logger()


class State(enum.Enum):
    """What a connection waits for."""

    FRESH = "the first byte of all"
    HEAD = "the rest of a request's headers"
    BODY = "the rest of its body"
    ANSWERING = "the front"
    SENDING = "the client to read the pieces of an answer"
    IDLE = "the next request"
    LINGERING = "the client to read the last answer and hang up"
    CLOSED = "nothing, or the last answer to be sent"


class Connection(asyncio.Protocol):
    """One connection.

    Args:
        siblings: the connections of its listener.
    """

    def __init__(self, siblings: Connections) -> None:
        self.deadline = 0.0
        self._siblings = siblings
        self._front = siblings.front
        self._now = siblings.loop.time
        self._state = State.FRESH
        self._parser = H1CProtocol(
            on_headers_complete=self._headers_complete,
            on_body=self._body_part,
            limit_request_line=REQUEST_LINE_BYTES,
            limit_request_fields=HEADERS,
            limit_request_field_size=HEADER_BYTES,
        )
        self._peer = ""
        self._scheme = "http"
        self._feeding = False
        self._paused = False
        self._blocked = False
        self._later = bytearray()  # came while a request was being answered
        self._kept = False  # whether the connection is, after the answer that is being sent
        self._pieces: Iterable[bytes] = ()
        self._unsent = iter(_NOTHING)
        self._ended = False  # the client sends nothing more
        self._forget()

    @property
    def waits_for_client(self) -> bool:
        """Whether it is the client's turn."""
        return self._state is not State.ANSWERING

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
        self._scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        self._wait(State.FRESH, FRESH_SECONDS if self._siblings.stopping else FIRST_BYTE_SECONDS)
        self._siblings.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget it; what is being answered is answered all the same, and noted."""
        self._siblings.remove(self)
        if self._state is not State.ANSWERING:
            self._state = State.CLOSED
        self._drop_pieces()
        self._parser = None  # it refers back to this
        self._ended = True

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        if self._state in {State.ANSWERING, State.SENDING}:
            self._later += data
            self._pause()
        elif self._state is State.LINGERING:
            self._lingered += len(data)
            if self._lingered > LINGER_BYTES:
                self.hang_up()
        else:
            self._feed(data)

    def eof_received(self) -> bool:
        """Answer what was asked before the client closed its half."""
        self._ended = True
        return self._state in {State.ANSWERING, State.SENDING}

    def pause_writing(self) -> None:
        """The client does not read its answers: take nothing more until it does."""
        self._blocked = True
        self._pause()
        if self._state is not State.SENDING:  # for all of whose pieces there is as much time
            self.deadline = self._now() + WRITE_SECONDS

    def resume_writing(self) -> None:
        """The client reads again."""
        self._blocked = False
        if self._state is State.SENDING:
            self._pour()
        elif self._state is State.IDLE:
            self._wait(State.IDLE, IDLE_SECONDS)
            self._resume()

    def expire(self) -> None:
        """The time is over for what it waits for."""
        if self._state in {State.HEAD, State.BODY}:
            seconds = HEAD_SECONDS if self._state is State.HEAD else BODY_SECONDS
            self._send(document(HTTPStatus.REQUEST_TIMEOUT, f"not complete within {seconds:g} s"), keep=False)
            self._close()
        elif self._state in {State.FRESH, State.IDLE} and not self._blocked:
            self._close()
        else:
            self.hang_up()

    def leave(self) -> None:
        """The server stops."""
        if self._state is State.IDLE:
            self._close()
        elif self._state is State.FRESH:
            self.deadline = min(self.deadline, self._now() + FRESH_SECONDS)

    def hang_up(self) -> None:
        """Close it at once, whatever is under way."""
        if self._state is not State.ANSWERING:
            self._state = State.CLOSED
        self._transport.abort()

    def _forget(self) -> None:
        self._exchange: Exchange | None = None
        self._verdict: Answer | int = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._lingered = 0

    def _wait(self, state: State, seconds: float) -> None:
        self._state = state
        self.deadline = self._now() + (WRITE_SECONDS if self._blocked else seconds)

    def _pause(self) -> None:
        self._paused = True
        self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self._blocked:
            self._paused = False
            self._transport.resume_reading()

    def _feed(self, data: bytes) -> None:
        """Parse, and answer every request that is complete."""
        self._feeding = True
        while data and self._state is not State.CLOSED:
            if self._state is State.IDLE or self._state is State.FRESH:
                data = data.lstrip(b"\r\n")  # some clients send an empty line behind a body
                if not data:
                    break
                self._wait(State.HEAD, HEAD_SECONDS)
            try:
                self._parser.feed(data)
            except ValueError as error:
                self._refuse(error)
                break
            data = self._advance()
        self._feeding = False

    def _advance(self) -> bytes:
        """Go on with what was parsed; what is left to parse, of the next request."""
        exchange, verdict, parser = self._exchange, self._verdict, self._parser
        if exchange is None:
            return b""
        if isinstance(verdict, Answer):
            if self._send(verdict, keep=parser.is_complete):
                return self._renew()
            self._linger()
            return b""
        if not parser.is_complete:
            if self._state is State.HEAD:
                self._wait(State.BODY, BODY_SECONDS)
                expected = exchange.headers.get("expect").lower() == "100-continue"
                if expected and not self._parts and parser.http_version == (1, 1):
                    self._transport.write(_CONTINUE)
            return b""
        self._state = State.ANSWERING
        self.deadline = math.inf
        try:
            self._front.finish(exchange, b"".join(self._parts), self._reply)
        except Exception as error:  # noqa: BLE001 - a mistake of ours is answered, and not hung up on
            self._reply(answer_to(error))
        if self._state is not State.ANSWERING:
            return self._renew() if self._state is State.IDLE else b""
        return b""

    def _reply(self, answer: Answer) -> None:
        """Send what the front answers, and go on with what has come meanwhile."""
        if self._parser is None:
            self._front.note(cast("Exchange", self._exchange), answer)
            self._state = State.CLOSED
            close(answer.pieces)
        else:
            self._kept = self._send(answer, keep=True)
            if answer.pieces:
                self._pieces, self._unsent = answer.pieces, iter(answer.pieces)
                self._wait(State.SENDING, WRITE_SECONDS)
                self._pour()
            else:
                self._go_on()

    def _pour(self) -> None:
        """Send pieces of an answer until the client has to read, or there are no more."""
        while not self._blocked:
            try:
                piece = next(self._unsent, None)
            except Exception:
                log.exception("an answer could not be made to its end")
                self.hang_up()
                return
            if piece is None:
                self._drop_pieces()
                self._go_on()
                return
            self._transport.write(piece)

    def _drop_pieces(self) -> None:
        """Make no more of an answer."""
        pieces, self._pieces, self._unsent = self._pieces, (), iter(_NOTHING)
        close(pieces)

    def _go_on(self) -> None:
        """An answer is sent: turn to what comes next."""
        if not self._kept:
            self._close()
        elif self._feeding:
            self._state = State.IDLE
        else:
            rest = self._renew() + bytes(self._later)
            self._later.clear()
            self._resume()
            if rest:
                self._feed(rest)

    def _renew(self) -> bytes:
        """Be ready for the next request; what of it is there already."""
        parser = self._parser
        rest = cast("bytes", parser.remaining())
        truncated = parser.remaining_truncated
        parser.reset()
        self._forget()
        self._wait(State.IDLE, IDLE_SECONDS)
        self._siblings.renew(self)
        if truncated:  # more was sent ahead than the parser keeps
            self._close()
        return rest

    def _headers_complete(self) -> None:
        parser = self._parser
        self._exchange = exchange = Exchange(
            parser.method.decode("latin-1"),
            parser.path,
            Headers(parser.asgi_headers),
            self._peer,
            self._scheme,
            time.perf_counter(),
            self._peer,
        )
        try:
            self._verdict = _fault(parser, exchange) or self._front.begin(exchange)
        except Exception as error:  # noqa: BLE001 - a mistake of ours is answered, and not hung up on
            self._verdict = answer_to(error)
        if not isinstance(self._verdict, Answer) and (parser.content_length or 0) > self._verdict:
            self._verdict = usual(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    def _body_part(self, part: bytes) -> None:
        if isinstance(self._verdict, Answer):
            return
        self._size += len(part)
        self._parts.append(part)
        if self._size > self._verdict:
            self._verdict = usual(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            self._parts.clear()

    def _refuse(self, error: ValueError) -> None:
        """What was sent is not HTTP, or is too much of it."""
        if isinstance(error, LimitRequestLine):
            answer = document(HTTPStatus.REQUEST_URI_TOO_LONG, f"the request line is over {REQUEST_LINE_BYTES} bytes")
        elif isinstance(error, LimitRequestHeaders):
            detail = f"there are over {HEADERS} headers, or one is over {HEADER_BYTES} bytes"
            answer = document(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
        else:
            answer = document(HTTPStatus.BAD_REQUEST, "the request is not valid HTTP/1.1")
        self._send(self._verdict if isinstance(self._verdict, Answer) else answer, keep=False)
        self._linger()

    def _send(self, answer: Answer, *, keep: bool) -> bool:
        """Write an answer; whether the connection is kept for another request."""
        parser, exchange = self._parser, self._exchange
        if exchange is None:
            exchange = Exchange("-", b"-", Headers(()), self._peer, self._scheme, time.perf_counter(), self._peer)
        keep = keep and parser.should_keep_alive and not self._siblings.stopping and not self._ended
        connection = _CLOSE if not keep else b"" if parser.http_version == (1, 1) else _KEEP
        body = answer.body
        length = len(body) if answer.length is None else answer.length
        if exchange.method == "HEAD":
            body = b""
        head = _head(answer.status, answer.headers)
        date = _date(int(time.time()))
        if len(body) > LARGE_BODY:
            self._transport.write(b"%bContent-Length: %d\r\n%b%b\r\n" % (head, length, date, connection))
            self._transport.write(body)
        else:
            self._transport.write(b"%bContent-Length: %d\r\n%b%b\r\n%b" % (head, length, date, connection, body))
        self._front.note(exchange, answer)
        return keep

    def _linger(self) -> None:
        """Read on for a while: closed over unread data, a connection is reset, and its answer may be lost."""
        self._wait(State.LINGERING, LINGER_SECONDS)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _close(self) -> None:
        """Close it once everything is written."""
        self._wait(State.CLOSED, WRITE_SECONDS)
        self._transport.close()


def _fault(parser: Any, exchange: Exchange) -> Answer | None:  # noqa: ANN401 - the parser has no types
    """What is wrong with a request that the parser takes."""
    if not exchange.target.startswith(_TARGETS):
        return document(HTTPStatus.BAD_REQUEST, "the request target is neither a path nor a URL")
    if parser.http_version == (1, 1) and not exchange.headers.get("host"):
        return document(HTTPStatus.BAD_REQUEST, "the request has no Host header")
    if not parser.is_chunked and exchange.headers.get("transfer-encoding"):
        return document(HTTPStatus.NOT_IMPLEMENTED, "of the transfer encodings, only chunked is known")
    return None


@lru_cache(maxsize=256)
def _head(status: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers), ""]
    return "\r\n".join(lines).encode("latin-1")


@lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    return f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
