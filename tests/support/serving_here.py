"""Connections in this process: a loop in a thread, a front that a test controls, and plain sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Self, cast

import uvloop

from exporter.server.http.connection_pool import ConnectionPool
from exporter.server.http.messages import HttpResponse
from running import PATIENCE_SECONDS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from exporter.server.http.messages import HttpRequest

MOST_BYTES = 1000


class Echo:
    """A front that answers with what was sent; under ``/held`` not before the test says so."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, int]] = []
        self.held: list[Callable[[HttpResponse], None]] = []

    @property
    def max_body_bytes(self) -> int:
        return MOST_BYTES

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
            long = request.path == "/long"
            answer = HttpResponse(200, b"x" * 50_000_000 if long else body, (("Content-Type", "text/plain"),))
            asyncio.get_running_loop().call_soon(reply, answer)

    def on_response(self, request: HttpRequest, answer: HttpResponse) -> None:
        self.noted.append((request.method, answer.status))


class Here:
    """A listener of this process on a free port of loopback.

    Args:
        most: connections at a time.
        context: for TLS.
    """

    def __init__(self, most: int = 100, context: ssl.SSLContext | None = None) -> None:
        self.front = Echo()
        self.loop = uvloop.new_event_loop()
        self.connections = ConnectionPool(self.front, most, self.loop)
        self._context = context
        self._thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._begin)
        return self

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            self._server.close()
            self._sweeping.cancel()
            self.connections.abort()
            while len(self.connections):  # noqa: ASYNC110 - they have no event for it
                await asyncio.sleep(0.001)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(PATIENCE_SECONDS)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Callable[[], object]) -> None:
        """Call something in the loop, and wait until it is done."""

        async def called() -> None:
            done = work()
            if asyncio.iscoroutine(done):
                await done

        asyncio.run_coroutine_threadsafe(called(), self.loop).result(PATIENCE_SECONDS)

    async def _begin(self) -> None:
        self._server = await self.loop.create_server(self.connections.accept, "127.0.0.1", 0, ssl=self._context)
        sockets = cast("asyncio.Server", self._server).sockets
        self.port: int = sockets[0].getsockname()[1]
        self._sweeping = self.loop.create_task(self._sweep())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            self.connections.expire_deadlines()

    def connect(self) -> socket.socket:
        """A connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE_SECONDS)

    def ask(self, *sent: bytes) -> bytes:
        """All that comes back until the server closes, after these bytes and the end of ours."""
        with self.connect() as client:
            for part in sent:
                client.sendall(part)
            client.shutdown(socket.SHUT_WR)
            return accepted_event(client)


def accepted_event(client: socket.socket) -> bytes:
    """All that comes until the server closes."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def until(client: socket.socket, end: bytes) -> bytes:
    """What comes up to these bytes."""
    found = b""
    while not found.endswith(end):
        part = client.recv(1)
        assert part, f"closed after {found!r}"
        found += part
    return found
