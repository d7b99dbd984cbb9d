"""Runs a WSGI application as the handler of a listener, in a few threads."""

from __future__ import annotations

import io
import math
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.domain.errors import StoreError
from exporter.server.http.messages import HttpResponse
from exporter.server.http.problems import response_to_error

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable
    from concurrent.futures import Executor
    from wsgiref.types import WSGIApplication, WSGIEnvironment

    from exporter.config.values import Address
    from exporter.server.http.messages import HttpRequest

HTTP_REQUEST = "exporter.http_request"
"""The key of the `HttpRequest` in the WSGI environment."""


@dataclass(eq=False, slots=True)
class _Pending:
    """A complete request without a response yet.

    Attributes:
        reply: sends the response; called once, in the event loop.
        timer: calls `WsgiHandler._give_up`; None without a time limit.
    """

    request: HttpRequest
    body: bytes
    reply: Callable[[HttpResponse], None]
    timer: asyncio.TimerHandle | None = None
    answered: bool = False


class WsgiHandler:
    """An `exporter.server.http.messages.HttpHandler`.

    The event loop enforces the time limit. A request without a response in time gets a 503: if it still waits for a
    thread, it never reaches the application; if a thread works on it, the application's late response is dropped.

    Args:
        application: the WSGI application.
        address: the address of the listener.
        loop: the event loop of the connections.
        threads: runs the application.
        max_threads: how many threads the application may use at a time.
        max_body_bytes: returns the largest body that is accepted; called for each request, as a reload may change it.
        on_headers: refuses requests before their body; see `HttpHandler`.
        on_response: counts and logs every response.
        seconds: the time limit for a response, counted from the complete request.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a listener needs
        self,
        application: WSGIApplication,
        address: Address,
        loop: asyncio.AbstractEventLoop,
        threads: Executor,
        max_threads: int,
        max_body_bytes: Callable[[], int],
        on_headers: Callable[[HttpRequest], HttpResponse | None],
        on_response: Callable[[HttpRequest, HttpResponse], None],
        seconds: float = math.inf,
    ) -> None:
        self.on_headers = on_headers
        self.on_response = on_response
        self._max_body_bytes = max_body_bytes
        self._application = application
        self._address = address
        self._loop = loop
        self._threads = threads
        self._seconds = seconds
        self._lock = threading.Lock()  # guards the next two
        self._waiting: dict[_Pending, None] = {}  # as an ordered set: requests that wait for a thread
        self._free_threads = max_threads

    @property
    def max_body_bytes(self) -> int:
        """The largest body that is accepted, in bytes."""
        return self._max_body_bytes()

    def on_body(self, request: HttpRequest, body: bytes, reply: Callable[[HttpResponse], None]) -> None:
        """Queue a request for the application, and start a thread if one is free."""
        pending = _Pending(request, body, reply)
        if math.isfinite(self._seconds):
            pending.timer = self._loop.call_later(self._seconds, self._give_up, pending)
        with self._lock:
            self._waiting[pending] = None
            thread_is_free = self._free_threads > 0
            self._free_threads -= thread_is_free
        if thread_is_free:
            self._threads.submit(self._run)

    def _run(self) -> None:
        """Process waiting requests in one thread until there are none."""
        while (pending := self._next_pending()) is not None:
            try:
                environ = wsgi_environ(pending.request, pending.body, self._address)
                response = call_application(self._application, environ)
            except Exception as error:  # noqa: BLE001 - an error must not end the thread
                response = response_to_error(error)
            self._loop.call_soon_threadsafe(self._respond, pending, response)

    def _next_pending(self) -> _Pending | None:
        with self._lock:
            pending = next(iter(self._waiting), None)
            if pending is None:
                self._free_threads += 1
            else:
                del self._waiting[pending]
            return pending

    def _give_up(self, pending: _Pending) -> None:
        """Respond with 503 instead of the application, because the time limit has passed."""
        with self._lock:
            self._waiting.pop(pending, None)
        self._respond(pending, response_to_error(StoreError(f"no answer within {self._seconds:g} s")))

    def _respond(self, pending: _Pending, response: HttpResponse) -> None:
        if pending.answered:
            return
        pending.answered = True
        if pending.timer is not None:
            pending.timer.cancel()
        pending.reply(response)


def call_application(application: WSGIApplication, environ: WSGIEnvironment) -> HttpResponse:
    """Call a WSGI application and collect its whole response."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: object = None) -> Callable[[bytes], object]:
        started.append((status, headers))
        return written.append

    parts: Iterable[bytes] = application(environ, start_response)
    try:
        written += parts
    finally:
        getattr(parts, "close", lambda: None)()
    status, headers, length = _split_headers(*started[-1])
    body = b"".join(written)
    if environ["REQUEST_METHOD"] == "HEAD":
        return HttpResponse(status, body, headers, len(body) if length is None else length)
    return HttpResponse(status, body, headers)


def _split_headers(status: str, headers: list[tuple[str, str]]) -> tuple[int, tuple[tuple[str, str], ...], int | None]:
    """Return the status code, the headers that the connection does not set itself, and ``Content-Length`` if given."""
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
    others = tuple((name, value) for name, value in headers if name.lower() not in {"content-length", "date"})
    return int(status.split(" ", 1)[0]), others, length


def wsgi_environ(request: HttpRequest, body: bytes, address: Address) -> WSGIEnvironment:
    """Build the WSGI environment of a request. ``SERVER_NAME`` is the listener's address, not the client's ``Host``."""
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": address.host,
        "SERVER_PORT": str(address.port),
        "REMOTE_ADDR": request.peer,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        HTTP_REQUEST: request,
    }
    for field in {name for name, _ in request.headers.fields if b"_" not in name}:
        text = field.decode("latin-1")
        environ["HTTP_" + text.upper().replace("-", "_")] = request.headers.get(text)
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    for name in ("HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"):  # they describe the body as it was sent
        environ.pop(name, None)
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ
