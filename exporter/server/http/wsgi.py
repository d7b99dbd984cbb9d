"""Runs a WSGI application as the handler of a listener, in a few threads."""

from __future__ import annotations

import io
import math
import sys
import threading
from dataclasses import dataclass
from itertools import islice
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

MAX_BATCH_BYTES = 128 * 1024
"""A thread takes no further request at a time once their bodies have this size, so that small ones wait for few large
ones."""
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

    A thread calls the application for several waiting requests, one after another, and only then iterates their
    responses. What an application does while its response is iterated can therefore be shared: the webhook waits there
    for a commit, which has the events of all of them. The event loop is woken once for all of their responses.

        event loop  requests A, B, C                           responses A, B, C
                        |                                          ^
        thread          +--> call A, call B, call C, iterate A, B, C --+

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
        batch: for how many requests a thread calls the application before it iterates a response. Each of them waits
            for the others.
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
        batch: int = 1,
    ) -> None:
        self.on_headers = on_headers
        self.on_response = on_response
        self._max_body_bytes = max_body_bytes
        self._application = application
        self._address = address
        self._loop = loop
        self._threads = threads
        self._seconds = seconds
        self._batch = batch
        self._will_start_threads = False
        self._lock = threading.Lock()  # guards the next two
        self._waiting: dict[_Pending, None] = {}  # as an ordered set: requests that wait for a thread
        self._free_threads = max_threads

    @property
    def max_body_bytes(self) -> int:
        """The largest body that is accepted, in bytes."""
        return self._max_body_bytes()

    def on_body(self, request: HttpRequest, body: bytes, reply: Callable[[HttpResponse], None]) -> None:
        """Queue a request for the application."""
        pending = _Pending(request, body, reply)
        if math.isfinite(self._seconds):
            pending.timer = self._loop.call_later(self._seconds, self._give_up, pending)
        with self._lock:
            self._waiting[pending] = None
        if not self._will_start_threads:
            self._will_start_threads = True
            self._loop.call_soon(self._start_threads)  # after the other connections that have sent something

    def _start_threads(self) -> None:
        """Start as many threads as the waiting requests need, if they are free."""
        self._will_start_threads = False
        with self._lock:
            count = min(self._free_threads, math.ceil(len(self._waiting) / self._batch))
            self._free_threads -= count
        for _ in range(count):
            self._threads.submit(self._run)

    def _run(self) -> None:
        """Process waiting requests in one thread until there are none."""
        while batch := self._next_batch():
            calls = [(pending, self._begin(pending)) for pending in batch]
            responses = [(pending, _finish(call)) for pending, call in calls]
            for pending, response in responses:  # afterwards, because the first one wakes the event loop
                self._loop.call_soon_threadsafe(self._respond, pending, response)

    def _next_batch(self) -> list[_Pending]:
        """Take the requests that have waited the longest; free the thread if there are none."""
        batch: list[_Pending] = []
        room = MAX_BATCH_BYTES
        with self._lock:
            for pending in islice(self._waiting, self._batch):
                room -= len(pending.body)
                if batch and room < 0:
                    break
                batch.append(pending)
            for pending in batch:
                del self._waiting[pending]
            self._free_threads += not batch
        return batch

    def _begin(self, pending: _Pending) -> ApplicationCall | HttpResponse:
        """Call the application; returns the call, or the response to its error."""
        try:
            return ApplicationCall(self._application, wsgi_environ(pending.request, pending.body, self._address))
        except Exception as error:  # noqa: BLE001 - an error must not end the thread
            return response_to_error(error)

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


class ApplicationCall:
    """A call of a WSGI application. To create it calls the application; `finish` iterates the response.

    Args:
        application: the WSGI application.
        environ: the WSGI environment of the request.
    """

    def __init__(self, application: WSGIApplication, environ: WSGIEnvironment) -> None:
        self._is_head = environ["REQUEST_METHOD"] == "HEAD"
        self._started: list[tuple[str, list[tuple[str, str]]]] = []
        self._written: list[bytes] = []
        self._parts: Iterable[bytes] = application(environ, self._start_response)

    def finish(self) -> HttpResponse:
        """Collect the whole response."""
        try:
            self._written += self._parts
        finally:
            getattr(self._parts, "close", lambda: None)()
        status, headers, length = _split_headers(*self._started[-1])
        body = b"".join(self._written)
        if self._is_head:
            return HttpResponse(status, body, headers, len(body) if length is None else length)
        return HttpResponse(status, body, headers)

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], _error: object = None
    ) -> Callable[[bytes], object]:
        self._started.append((status, headers))
        return self._written.append


def _finish(call: ApplicationCall | HttpResponse) -> HttpResponse:
    """Return the response of a call, or to its error."""
    if isinstance(call, HttpResponse):
        return call
    try:
        return call.finish()
    except Exception as error:  # noqa: BLE001 - an error must not end the thread
        return response_to_error(error)


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
