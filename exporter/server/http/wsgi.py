"""A WSGI application as the front of a listener: whole requests in, answers out, in a few threads."""

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

    from exporter.config.settings import Address
    from exporter.server.http.messages import HttpRequest

EXCHANGE = "exporter.exchange"
"""The key of a WSGI environment under which the application finds the `HttpRequest`."""


@dataclass(eq=False, slots=True)
class _Pending:
    """A whole request that waits for its response.

    Attributes:
        reply: takes the response, once, in the event loop.
        timer: ends the wait; None where there is no limit.
    """

    request: HttpRequest
    body: bytes
    reply: Callable[[HttpResponse], None]
    timer: asyncio.TimerHandle | None = None
    answered: bool = False


class WsgiHandler:
    """An `exporter.server.http.messages.HttpHandler`.

    The application may take as long as it likes, since the event loop watches the time: a request that is not
    answered in time is answered 503, whether it waits for a thread or a thread works on it. In the first case it
    never reaches the application; in the second the application's late response is dropped.

    Args:
        application: answers.
        address: of the listener.
        loop: in which connections live.
        threads: in which the application runs.
        max_threads: how many of them it may use at a time.
        most_bytes: how many a body may have; called for each request, since a reload may change it.
        on_headers: refuses requests that the application is not to get.
        on_response: counts and logs every response.
        seconds: within which a request is answered, from when all of it had come.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a listener needs
        self,
        application: WSGIApplication,
        address: Address,
        loop: asyncio.AbstractEventLoop,
        threads: Executor,
        max_threads: int,
        most_bytes: Callable[[], int],
        on_headers: Callable[[HttpRequest], HttpResponse | None],
        on_response: Callable[[HttpRequest, HttpResponse], None],
        seconds: float = math.inf,
    ) -> None:
        self.on_headers = on_headers
        self.on_response = on_response
        self._most_bytes = most_bytes
        self._application = application
        self._address = address
        self._loop = loop
        self._threads = threads
        self._seconds = seconds
        self._lock = threading.Lock()  # guards the next two
        self._waiting: dict[_Pending, None] = {}  # for a thread, the first one first
        self._free_threads = max_threads

    @property
    def most_bytes(self) -> int:
        """How many bytes a body may have."""
        return self._most_bytes()

    def on_body(self, request: HttpRequest, body: bytes, reply: Callable[[HttpResponse], None]) -> None:
        """Have the application answer in a thread."""
        pending = _Pending(request, body, reply)
        if math.isfinite(self._seconds):
            pending.timer = self._loop.call_later(self._seconds, self._give_up, pending)
        with self._lock:
            self._waiting[pending] = None
            starts = self._free_threads > 0
            self._free_threads -= starts
        if starts:
            self._threads.submit(self._run)

    def _run(self) -> None:
        """Answer what waits, in one of the threads, until nothing does."""
        while (pending := self._next_pending()) is not None:
            try:
                environ = wsgi_environ(pending.request, pending.body, self._address)
                response = call_application(self._application, environ)
            except Exception as error:  # noqa: BLE001 - a thread's error is answered as any other
                response = response_to_error(error)
            self._loop.call_soon_threadsafe(self._answer, pending, response)

    def _next_pending(self) -> _Pending | None:
        with self._lock:
            pending = next(iter(self._waiting), None)
            if pending is None:
                self._free_threads += 1
            else:
                del self._waiting[pending]
            return pending

    def _give_up(self, pending: _Pending) -> None:
        """Answer in the place of the application, whose time is over."""
        with self._lock:
            self._waiting.pop(pending, None)
        self._answer(pending, response_to_error(StoreError(f"no answer within {self._seconds:g} s")))

    def _answer(self, pending: _Pending, response: HttpResponse) -> None:
        if pending.answered:
            return
        pending.answered = True
        if pending.timer is not None:
            pending.timer.cancel()
        pending.reply(response)


def call_application(application: WSGIApplication, environ: WSGIEnvironment) -> HttpResponse:
    """The answer of a WSGI application, put together."""
    begun: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: object = None) -> Callable[[bytes], object]:
        begun.append((status, headers))
        return written.append

    parts: Iterable[bytes] = application(environ, start_response)
    try:
        written += parts
    finally:
        getattr(parts, "close", lambda: None)()
    status, kept, length = _split_headers(*begun[-1])
    body = b"".join(written)
    if environ["REQUEST_METHOD"] == "HEAD":
        return HttpResponse(status, body, kept, len(body) if length is None else length)
    return HttpResponse(status, body, kept)


def _split_headers(status: str, headers: list[tuple[str, str]]) -> tuple[int, tuple[tuple[str, str], ...], int | None]:
    """The code, the headers that are not the connection's own, and the length if it is told."""
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
    kept = tuple((name, value) for name, value in headers if name.lower() not in {"content-length", "date"})
    return int(status.split(" ", 1)[0]), kept, length


def wsgi_environ(request: HttpRequest, body: bytes, address: Address) -> WSGIEnvironment:
    """A request as WSGI has it; the listener's own address, and not what a client wrote into ``Host``."""
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
        EXCHANGE: request,
    }
    for field in {name for name, _ in request.headers.fields if b"_" not in name}:
        text = field.decode("latin-1")
        environ["HTTP_" + text.upper().replace("-", "_")] = request.headers.get(text)
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    for name in ("HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"):  # of the body as it was sent
        environ.pop(name, None)
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ
