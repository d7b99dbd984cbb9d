"""One HTTP/1.1 connection: whole requests to a front, answers back, and a limit on everything.

gunicorn's own connections give headers no time limit, keep as much of a body as is sent, and have
no limit of their number. These have a deadline for every wait: a client that is too slow is
answered 408 if it has begun a request, and its connection is closed.
"""

from __future__ import annotations

import asyncio
import enum
import math
import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from exporter.server.http.messages import Headers, HttpRequest
from exporter.server.http.problems import problem_document, response_to_error
from exporter.server.http.request_parser import RequestError, RequestParser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.server.http.connection_pool import ConnectionPool
    from exporter.server.http.messages import HttpResponse
    from exporter.server.http.request_parser import RequestHead

FIRST_BYTE_SECONDS = 10.0
HEAD_SECONDS = 10.0
BODY_SECONDS = 30.0
WRITE_SECONDS = 30.0
IDLE_SECONDS = 15.0
LINGER_SECONDS = 5.0
LINGER_BYTES = 16 * 1024 * 1024
FIRST_BYTE_WHILE_STOPPING_SECONDS = 1.0
"""How long a new connection may still begin its request while the server stops."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"Connection: close\r\n"
_KEEP_ALIVE = b"Connection: keep-alive\r\n"


class State(enum.Enum):
    """What a connection waits for."""

    NEW = "the first byte of all"
    HEAD = "the rest of a request's headers"
    BODY = "the rest of its body"
    HANDLING = "the front"
    IDLE = "the next request"
    LINGERING = "the client to read the last answer and hang up"
    CLOSED = "nothing, or the last answer to be sent"


_READING = frozenset({State.NEW, State.HEAD, State.BODY, State.IDLE})


class Connection(asyncio.Protocol):
    """One connection.

    Args:
        siblings: the connections of its listener.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self.deadline = 0.0
        self._pool = pool
        self._handler = pool.handler
        self._now = pool.loop.time
        self._state = State.NEW
        self._parser = RequestParser()
        self._head: RequestHead | None = None  # of the request that is being read or answered
        self._request: HttpRequest | None = None  # the same request, for the front
        self._peer = ""
        self._scheme = "http"
        self._write_paused = False  # the client does not read its answers
        self._peer_closed = False  # the client sends nothing more
        self._lingered = 0

    @property
    def waits_for_client(self) -> bool:
        """Whether it is the client's turn."""
        return self._state is not State.HANDLING

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
        self._scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        self._wait(State.NEW, FIRST_BYTE_WHILE_STOPPING_SECONDS if self._pool.stopping else FIRST_BYTE_SECONDS)
        self._pool.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget it; a request that is being answered is answered all the same, counted and logged."""
        self._pool.remove(self)
        self._peer_closed = True
        if self._state is not State.HANDLING:
            self._state = State.CLOSED

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        if self._state is State.LINGERING:
            self._lingered += len(data)
            if self._lingered > LINGER_BYTES:
                self.abort()
            return
        self._parser.receive(data)
        if self._state is State.HANDLING or self._write_paused:
            self._transport.pause_reading()
        else:
            self._read()

    def eof_received(self) -> bool:
        """Answer what was asked before the client closed its half."""
        self._peer_closed = True
        return self._state is State.HANDLING or self._write_paused

    def pause_writing(self) -> None:
        """The client does not read its answers: take nothing more until it does."""
        self._write_paused = True
        self._transport.pause_reading()
        self.deadline = self._now() + WRITE_SECONDS

    def resume_writing(self) -> None:
        """The client has read its answers."""
        self._write_paused = False
        if self._state is State.IDLE:
            self._wait(State.IDLE, IDLE_SECONDS)
            self._after_response()

    def on_deadline(self) -> None:
        """The time is over for what it waits for."""
        if self._state in {State.HEAD, State.BODY}:
            seconds = HEAD_SECONDS if self._state is State.HEAD else BODY_SECONDS
            self._send(problem_document(HTTPStatus.REQUEST_TIMEOUT, f"not complete within {seconds:g} s"), keep=False)
            self._close()
        elif self._state in {State.NEW, State.IDLE} and not self._write_paused:
            self._close()
        else:
            self.abort()

    def drain(self) -> None:
        """The server stops."""
        if self._state is State.IDLE:
            self._close()
        elif self._state is State.NEW:
            self.deadline = min(self.deadline, self._now() + FIRST_BYTE_WHILE_STOPPING_SECONDS)

    def abort(self) -> None:
        """Close it at once, whatever is under way."""
        if self._state is not State.HANDLING:
            self._state = State.CLOSED
        self._transport.abort()

    def _wait(self, state: State, seconds: float) -> None:
        self._state = state
        self.deadline = self._now() + (WRITE_SECONDS if self._write_paused else seconds)

    def _read(self) -> None:
        """Take the requests that have come, until one of them has to be waited for."""
        try:
            while self._state in _READING and not self._write_paused:
                if not (self._read_body() if self._state is State.BODY else self._read_head()):
                    break
        except RequestError as error:
            self._refuse(problem_document(error.status, error.detail), keep=False)
        if self._peer_closed and self._state in _READING and not self._write_paused:
            self._close()

    def _read_head(self) -> bool:
        """Begin with the next request; whether its head has come."""
        head = self._parser.read_head()
        if head is None:
            if self._parser.pending and self._state is not State.HEAD:
                self._wait(State.HEAD, HEAD_SECONDS)
            return False
        self._head = head
        self._request = request = self._new_exchange(head.method.decode("ascii"), head.target, head.headers)
        try:
            refusal = self._handler.on_headers(request)
        except Exception as error:  # noqa: BLE001 - a mistake of ours is answered, and not hung up on
            refusal = response_to_error(error)
        if refusal is not None:
            self._refuse(refusal, keep=self._parser.skip_body())
            return True
        self._wait(State.BODY, BODY_SECONDS)
        waits_for_leave = head.expects_continue and not self._parser.pending
        if not self._read_body() and waits_for_leave:
            self._transport.write(_CONTINUE)
        return True

    def _read_body(self) -> bool:
        """Have the request answered that is being read; whether its body has come."""
        body = self._parser.read_body(self._handler.most_bytes)
        if body is None:
            return False
        self._state = State.HANDLING
        self.deadline = math.inf
        try:
            self._handler.on_body(cast("HttpRequest", self._request), body, self._reply)
        except Exception as error:  # noqa: BLE001 - a mistake of ours is answered, and not hung up on
            self._answer(response_to_error(error))
        return True

    def _reply(self, answer: HttpResponse) -> None:
        """Send what the front answers, and go on with what has come in the meantime."""
        if self._transport.is_closing():
            self._handler.on_response(cast("HttpRequest", self._request), answer)
            self._state = State.CLOSED
        else:
            self._answer(answer)
            if self._state is State.IDLE and not self._write_paused:
                self._after_response()

    def _answer(self, answer: HttpResponse) -> None:
        if self._send(answer, keep=True):
            self._next_request()
        else:
            self._close()

    def _refuse(self, answer: HttpResponse, *, keep: bool) -> None:
        """Answer a request before all of it has come, or without looking at its body."""
        if self._send(answer, keep=keep):
            self._next_request()
        else:
            self._linger()

    def _next_request(self) -> None:
        """Be ready for the next request."""
        self._head = self._request = None
        self._wait(State.IDLE, IDLE_SECONDS)
        self._pool.mark_active(self)

    def _after_response(self) -> None:
        if not self._peer_closed:
            self._transport.resume_reading()
        self._read()

    def _send(self, answer: HttpResponse, *, keep: bool) -> bool:
        """Write an answer; whether the connection is kept for another request."""
        head = self._head
        request = self._request or self._new_exchange("-", b"-", ())
        more_may_come = self._parser.pending or not self._peer_closed
        keep = bool(keep and head and head.keep_alive and more_may_come and not self._pool.stopping)
        connection = _CLOSE if not keep else _KEEP_ALIVE if head and head.version == b"1.0" else b""
        length = len(answer.body) if answer.length is None else answer.length
        start = b"%bContent-Length: %d\r\n%b%b\r\n" % (
            _head(answer.status, answer.headers),
            length,
            _date(int(time.time())),
            connection,
        )
        # Not joined: the body of a scrape may be large.
        self._transport.writelines((start, b"" if request.method == "HEAD" else answer.body))
        self._handler.on_response(request, answer)
        return keep

    def _new_exchange(self, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> HttpRequest:
        began = time.perf_counter()
        return HttpRequest(method, target, Headers(headers), self._peer, self._scheme, began, self._peer)

    def _linger(self) -> None:
        """Read on for a while: closed over unread data, a connection is reset, and its answer may be lost."""
        self._wait(State.LINGERING, LINGER_SECONDS)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _close(self) -> None:
        """Close it once everything is written."""
        self._wait(State.CLOSED, WRITE_SECONDS)
        self._transport.close()


@lru_cache(maxsize=256)
def _head(status: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers), ""]
    return "\r\n".join(lines).encode("latin-1")


@lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    return f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
