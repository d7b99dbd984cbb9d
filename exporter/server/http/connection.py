"""One HTTP/1.1 connection: complete requests to a handler, responses back, and a limit on everything.

gunicorn's own connections have no time limit for headers, no limit on the bytes read of a body, and
no limit on their number. Here every wait has a deadline.
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
from exporter.server.http.problems import problem_document, response_to_error, unavailable
from exporter.server.http.request_parser import RequestError, RequestParser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.server.http.connection_pool import ConnectionPool, PooledConnection
    from exporter.server.http.messages import HttpResponse
    from exporter.server.http.request_parser import RequestHead

FIRST_BYTE_SECONDS = 10.0
HEAD_SECONDS = 10.0
BODY_SECONDS = 30.0
WRITE_SECONDS = 30.0
LINGER_SECONDS = 5.0
LINGER_BYTES = 16 * 1024 * 1024
LARGE_READ_BYTES = 64 * 1024
SMALL_BODY_BYTES = 64 * 1024
"""A body up to this size is accepted even if the bodies of all requests together are over their limit."""
FIRST_BYTE_WHILE_STOPPING_SECONDS = 1.0
"""The time for the first byte of a new connection while the server stops."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"Connection: close\r\n"
_KEEP_ALIVE = b"Connection: keep-alive\r\n"


class State(enum.Enum):
    """What a connection waits for.

    ::

                first byte       whole head       whole body            response sent
          NEW ────────────► HEAD ──────────► BODY ──────────► HANDLING ─────────────► IDLE
                             ▲ │               │                  │                    │
                             │ └───────┬───────┘                  │ not kept alive     │
                             │         │ refused                  ▼                    │
                             │         └───────► LINGERING ──► CLOSED                  │
                             └─────────────────────────────────────────────────────────┘
                                                first byte

    A refused request leads to IDLE instead if its body has arrived and can be skipped.

    ========== =============================== ======================= ============
    state      waits for                       at most                 then
    ========== =============================== ======================= ============
    NEW        the first byte                  ``FIRST_BYTE_SECONDS``  closed
    HEAD       the rest of a request's head    ``HEAD_SECONDS``        408, closed
    BODY       the rest of its body            ``BODY_SECONDS``        408, closed
    HANDLING   the handler                     the handler's limit
    IDLE       the next request                the pool's limit        closed
    LINGERING  the client to close its side    ``LINGER_SECONDS``      aborted
    CLOSED     the last response to be sent    ``WRITE_SECONDS``       aborted
    ========== =============================== ======================= ============

    While a client does not read its responses, its requests are not read either, and the connection
    is aborted after ``WRITE_SECONDS``.

    In one turn of the event loop, a connection reads one head or a bounded part of a body. The rest,
    and what follows a read of ``LARGE_READ_BYTES``, waits until `ConnectionPool.schedule` lets it
    continue, so that other connections get their turn.
    """

    NEW = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    HANDLING = enum.auto()
    IDLE = enum.auto()
    LINGERING = enum.auto()
    CLOSED = enum.auto()


_READING = frozenset({State.NEW, State.HEAD, State.BODY, State.IDLE})


class Connection(asyncio.Protocol):
    """One connection; see `State`. Used in the event loop only.

    Args:
        pool: the connections of the same listener.
        predecessor: what represented the connection in the pool before it was made.

    Attributes:
        deadline: when `on_deadline` is due, in seconds of the loop's clock.
    """

    def __init__(self, pool: ConnectionPool, predecessor: PooledConnection | None = None) -> None:
        self.deadline = 0.0
        self._pool = pool
        self._predecessor = predecessor
        self._handler = pool.handler
        self._now = pool.loop.time
        self._state = State.NEW
        self._parser = RequestParser()
        self._head: RequestHead | None = None  # of the request that is being read or handled
        self._request: HttpRequest | None = None  # the same request, for the handler
        self._peer = ""
        self._scheme = "http"
        self._write_paused = False  # the client does not read its responses
        self._peer_closed = False  # the client sends nothing more
        self._lingered_bytes = 0
        self._waits_for_turn = False
        self._handled_bytes = 0  # of the body that the handler works on
        self._counted_bytes = 0  # this connection's part of `ConnectionPool.request_bytes`

    @property
    def waits_for_client(self) -> bool:
        """Whether the next step is the client's."""
        return self._state is not State.HANDLING

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
        self._scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        self._wait(State.NEW, FIRST_BYTE_WHILE_STOPPING_SECONDS if self._pool.stopping else FIRST_BYTE_SECONDS)
        self._pool.remove(self._predecessor)
        self._pool.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Leave the pool. A request that is being handled is finished, counted and logged all the same."""
        self._pool.remove(self)
        self._peer_closed = True
        if self._state is not State.HANDLING:
            self._state = State.CLOSED
            self._forget_received()

    def data_received(self, data: bytes) -> None:
        """Pass data on to the parser."""
        if self._state is State.LINGERING:
            self._lingered_bytes += len(data)
            if self._lingered_bytes > LINGER_BYTES:
                self.abort()
        else:
            self._parser.receive(data)
            if self._state is State.HANDLING or self._write_paused:
                self._transport.pause_reading()
                self._count_bytes()
            else:
                self._process_received()
        if len(data) >= LARGE_READ_BYTES:
            self._wait_for_turn()

    def eof_received(self) -> bool:
        """Stay open for the responses to complete requests that the client sent before it closed its side."""
        self._peer_closed = True
        return self._state is State.HANDLING or self._write_paused

    def pause_writing(self) -> None:
        """Stop reading until the client reads its responses."""
        self._write_paused = True
        self._transport.pause_reading()
        self.deadline = self._now() + WRITE_SECONDS

    def resume_writing(self) -> None:
        """Continue: the client has read its responses."""
        self._write_paused = False
        if self._state is State.IDLE:
            self._wait(State.IDLE, self._pool.idle_seconds())
            self._resume_reading()

    def on_deadline(self) -> None:
        """End a wait that took too long; see `State`."""
        if self._state in {State.HEAD, State.BODY}:
            seconds = HEAD_SECONDS if self._state is State.HEAD else BODY_SECONDS
            timeout = problem_document(HTTPStatus.REQUEST_TIMEOUT, f"not complete within {seconds:g} s")
            self._send(timeout, may_keep_alive=False)
            self._close()
        elif self._state in {State.NEW, State.IDLE} and not self._write_paused:
            self._close()
        else:
            self.abort()

    def drain(self) -> None:
        """Close the connection if it is idle, and wait less for a first byte, because the server stops."""
        if self._state is State.IDLE:
            self._close()
        elif self._state is State.NEW:
            self.deadline = min(self.deadline, self._now() + FIRST_BYTE_WHILE_STOPPING_SECONDS)

    def abort(self) -> None:
        """Close the connection at once in any state."""
        if self._state is not State.HANDLING:
            self._state = State.CLOSED
        self._transport.abort()

    def _wait(self, state: State, seconds: float) -> None:
        self._state = state
        self.deadline = self._now() + (WRITE_SECONDS if self._write_paused else seconds)

    def _process_received(self) -> None:
        """Read one head or a part of a body, and schedule the next turn if more could be read."""
        more = False
        try:
            more = self._read_body() if self._state is State.BODY else self._read_head()
        except RequestError as error:
            self._refuse(response_to_error(error), may_keep_alive=False)
        self._count_bytes()
        if self._state in _READING and not self._write_paused:
            if more and self._parser.pending:
                self._wait_for_turn()
            elif self._peer_closed:
                self._close()

    def _wait_for_turn(self) -> None:
        """Stop reading until the pool lets this connection continue."""
        if not self._waits_for_turn:
            self._waits_for_turn = True
            self._transport.pause_reading()
            self._pool.schedule(self._continue)

    def _continue(self) -> None:
        self._waits_for_turn = False
        if self._state is State.LINGERING:
            self._transport.resume_reading()
        elif self._state in _READING and not self._write_paused:
            self._resume_reading()

    def _read_head(self) -> bool:
        """Start with the next request. Returns whether the data that was received can have more to read."""
        head = self._parser.read_head()
        if head is None:
            if self._parser.pending and self._state is not State.HEAD:
                self._wait(State.HEAD, HEAD_SECONDS)
            return False
        self._head = head
        self._request = self._new_request(head.method.decode("ascii"), head.target, head.headers)
        try:
            refusal = self._handler.on_headers(self._request)
        except Exception as error:  # noqa: BLE001 - a bug of ours is a 500, and not a closed connection
            refusal = response_to_error(error)
        if refusal is not None:
            self._refuse(refusal, may_keep_alive=self._parser.skip_body())
            return True
        self._wait(State.BODY, BODY_SECONDS)
        awaits_continue = head.expects_continue and not self._parser.pending
        more = self._read_body()
        if awaits_continue and self._state is State.BODY:  # a body that is too large is refused instead
            self._transport.write(_CONTINUE)
        return more

    def _read_body(self) -> bool:
        """Hand the request to the handler if its body is complete. Returns as `_read_head`."""
        body = self._parser.read_body(self._handler.max_body_bytes)
        if body is None:
            if self._is_over_total():
                self._refuse(unavailable("too many large bodies at a time, please try again"), may_keep_alive=False)
            return self._parser.can_continue
        self._handled_bytes = len(body)
        self._state = State.HANDLING
        self.deadline = math.inf
        try:
            self._handler.on_body(cast("HttpRequest", self._request), body, self._reply)
        except Exception as error:  # noqa: BLE001 - a bug of ours is a 500, and not a closed connection
            self._respond(response_to_error(error))
        return True

    def _is_over_total(self) -> bool:
        """Return whether this body would bring the bodies of all requests over their limit."""
        content_length = cast("RequestHead", self._head).content_length or 0
        size = max(content_length, self._parser.held_bytes)
        return size > SMALL_BODY_BYTES and not self._pool.has_room_for(size - self._counted_bytes)

    def _reply(self, response: HttpResponse) -> None:
        """Send the handler's response, and continue with what was received since."""
        if self._transport.is_closing():
            self._handler.on_response(cast("HttpRequest", self._request), response)
            self._state = State.CLOSED
            self._forget_received()
        else:
            self._respond(response)
            if self._state is State.IDLE and not self._write_paused:
                self._resume_reading()

    def _respond(self, response: HttpResponse) -> None:
        if self._send(response, may_keep_alive=True):
            self._become_idle()
        else:
            self._close()

    def _refuse(self, response: HttpResponse, *, may_keep_alive: bool) -> None:
        """Respond to a request of which not all was received, or whose body is skipped."""
        if self._send(response, may_keep_alive=may_keep_alive):
            self._become_idle()
        else:
            self._linger()

    def _become_idle(self) -> None:
        self._head = self._request = None
        self._handled_bytes = 0
        self._count_bytes()
        self._wait(State.IDLE, self._pool.idle_seconds())
        self._pool.mark_active(self)

    def _resume_reading(self) -> None:
        if not self._peer_closed:
            self._transport.resume_reading()
        self._process_received()

    def _send(self, response: HttpResponse, *, may_keep_alive: bool) -> bool:
        """Write a response. Returns whether the connection is kept alive for another request."""
        head = self._head
        request = self._request or self._new_request("-", b"-", ())
        more_may_come = self._parser.pending or not self._peer_closed
        keep_alive = bool(may_keep_alive and head and head.keep_alive and more_may_come and not self._pool.stopping)
        connection = _CLOSE if not keep_alive else _KEEP_ALIVE if head and head.version == b"1.0" else b""
        length = len(response.body) if response.length is None else response.length
        start = b"%bContent-Length: %d\r\n%b%b\r\n" % (
            _encode_head(response.status, response.headers),
            length,
            _date_header(int(time.time())),
            connection,
        )
        # Not joined, because the body of a scrape may be large.
        self._transport.writelines((start, b"" if request.method == "HEAD" else response.body))
        self._handler.on_response(request, response)
        return keep_alive

    def _new_request(self, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> HttpRequest:
        started_at = time.perf_counter()
        return HttpRequest(method, target, Headers(headers), self._peer, self._scheme, started_at, self._peer)

    def _linger(self) -> None:
        """Discard what the client still sends: closing over unread data resets the connection."""
        self._wait(State.LINGERING, LINGER_SECONDS)
        self._forget_received()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _close(self) -> None:
        """Close the connection once everything is sent."""
        self._wait(State.CLOSED, WRITE_SECONDS)
        self._forget_received()
        self._transport.close()

    def _forget_received(self) -> None:
        self._parser = RequestParser()
        self._handled_bytes = 0
        self._count_bytes()

    def _count_bytes(self) -> None:
        """Update this connection's part of the bytes of all connections."""
        held = self._parser.held_bytes + self._handled_bytes
        self._pool.request_bytes += held - self._counted_bytes
        self._counted_bytes = held


@lru_cache(maxsize=256)
def _encode_head(status: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers), ""]
    return "\r\n".join(lines).encode("latin-1")


@lru_cache(maxsize=2)
def _date_header(second: int) -> bytes:
    return f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
