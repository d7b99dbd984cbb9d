"""A listener in the test process: an event loop in a thread, a handler under the test's control, and plain sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Self

import pytest
import uvloop

from exporter.server.http.acceptor import Acceptor
from exporter.server.http.connection_pool import ConnectionPool
from exporter.server.http.messages import HttpResponse
from running import PATIENCE_SECONDS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from exporter.server.http.messages import HttpRequest

MAX_BODY_BYTES = 1000
MAX_REQUEST_BYTES = 100_000

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
LAST = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nxyz"
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


class EchoHandler:
    """A handler that responds with the request's body. The test itself replies to requests of ``/held``."""

    def __init__(self) -> None:
        self.responses: list[tuple[str, int]] = []  # methods and status codes
        self.held: list[Callable[[HttpResponse], None]] = []

    @property
    def max_body_bytes(self) -> int:
        return MAX_BODY_BYTES

    def on_headers(self, request: HttpRequest) -> HttpResponse | None:
        if request.path == "/broken":
            raise RuntimeError("canary")  # noqa: EM101 - a mistake
        return HttpResponse(404, b"nothing\n", ()) if request.path == "/nothing" else None

    def on_body(self, request: HttpRequest, body: bytes, reply: Callable[[HttpResponse], None]) -> None:
        if request.path == "/broken-later":
            raise RuntimeError("canary")  # noqa: EM101 - a mistake
        if request.path == "/held":
            self.held.append(reply)
        else:
            response_body = b"x" * 50_000_000 if request.path == "/long" else body
            response = HttpResponse(200, response_body, (("Content-Type", "text/plain"),))
            asyncio.get_running_loop().call_soon(reply, response)

    def on_response(self, request: HttpRequest, response: HttpResponse) -> None:
        self.responses.append((request.method, response.status))


class LocalListener:
    """A listener in this process on a free port of 127.0.0.1.

    Args:
        max_open: the limit of open connections.
        context: the TLS context; None for plain HTTP.

    Attributes:
        idle_seconds: how long a connection may wait for its next request.
    """

    def __init__(self, max_open: int = 100, context: ssl.SSLContext | None = None) -> None:
        self.handler = EchoHandler()
        self.loop = uvloop.new_event_loop()
        self.idle_seconds = 15.0
        self.pool = ConnectionPool(
            self.handler, max_open, self.loop, lambda: MAX_REQUEST_BYTES, lambda: self.idle_seconds
        )
        self._context = context
        self._thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            self._acceptor.close()
            self._expiry.cancel()
            self.pool.abort()
            while len(self.pool):  # noqa: ASYNC110 - they have no event for it
                await asyncio.sleep(0.001)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(PATIENCE_SECONDS)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Callable[[], object]) -> None:
        """Call a function in the event loop, and wait until it has ended."""

        async def call() -> None:
            result = work()
            if asyncio.iscoroutine(result):
                await result

        asyncio.run_coroutine_threadsafe(call(), self.loop).result(PATIENCE_SECONDS)

    async def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        listener.settimeout(0)
        self.port: int = listener.getsockname()[1]
        self._acceptor = Acceptor(listener, self.pool, self._context)
        self._expiry = self.loop.create_task(self._expire_deadlines())

    async def _expire_deadlines(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            self.pool.expire_deadlines()

    def connect(self) -> socket.socket:
        """Open a connection to the listener."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE_SECONDS)

    def exchange(self, *parts: bytes) -> bytes:
        """Send bytes, close this side of the connection, and return everything that the server sends."""
        with self.connect() as client:
            for part in parts:
                client.sendall(part)
            client.shutdown(socket.SHUT_WR)
            return read_all(client)


def read_all(client: socket.socket) -> bytes:
    """Return everything that the server sends until it closes the connection."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def received_or_reset(client: socket.socket) -> bytes:
    """Return everything that the server sends until it closes or resets the connection."""
    found = b""
    try:
        while part := client.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def read_until(client: socket.socket, end: bytes) -> bytes:
    """Return what the server sends up to and including ``end``."""
    received = b""
    while not received.endswith(end):
        part = client.recv(1)
        assert part, f"closed after {received!r}"
        received += part
    return received


@pytest.fixture
def listener() -> Iterator[LocalListener]:
    with LocalListener() as local:
        yield local


def statuses(received: bytes) -> list[int]:
    """Return the status codes of the responses in what a client received."""
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]
