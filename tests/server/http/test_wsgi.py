"""WSGI applications as handlers: their environment, their responses, and the time limit."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from exporter.config.values import Address
from exporter.domain.errors import StoreError
from exporter.server.http.messages import Headers, HttpRequest
from exporter.server.http.wsgi import MAX_BATCH_BYTES, ApplicationCall, WsgiHandler, wsgi_environ
from running import wait_until
from serving_here import LocalListener, read_all, read_until

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import WSGIEnvironment

    from exporter.server.http.messages import HttpResponse

HERE = Address("127.0.0.1", 8080)
LONG_SECONDS = 120
"""Only a hang takes as long."""


def shown(**changes: object) -> WSGIEnvironment:
    given = {
        "method": "POST",
        "target": b"http://elsewhere/a%20%c3%bc?q=1&r=%20",
        "headers": Headers(
            [
                (b"host", b"made-up"),
                (b"content-type", b"text/plain"),
                (b"content-length", b"999"),
                (b"transfer-encoding", b"chunked"),
                (b"x-one", b"1"),
                (b"x-one", b"2"),
                (b"x_forwarded_for", b"spoofed"),
            ]
        ),
        "peer": "192.0.2.1",
        "scheme": "https",
        "started_at": 0.0,
        "client": "203.0.113.7",
    }
    return wsgi_environ(HttpRequest(**given | changes), b"abc", HERE)  # type: ignore[arg-type] # of several types


def test_an_application_is_told_the_request_and_its_own_address() -> None:
    environ = shown()
    assert environ.pop("wsgi.input").read() == b"abc"
    received = {name: value for name, value in environ.items() if not name.startswith(("wsgi.", "exporter."))}
    assert received == {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a ü".encode().decode("latin-1"),
        "QUERY_STRING": "q=1&r=%20",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8080",
        "REMOTE_ADDR": "192.0.2.1",
        "HTTP_HOST": "made-up",
        "HTTP_X_ONE": "1,2",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "3",
    }
    assert environ["wsgi.url_scheme"] == "https"


def test_an_answer_is_put_together_and_closed() -> None:
    closed = []

    class Parts:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"b", b"c"])

        def close(self) -> None:
            closed.append(True)

    def application(_environ: WSGIEnvironment, start_response: Callable[..., Callable[[bytes], object]]) -> Parts:
        start_response("500 Sorry", [])
        write = start_response("201 Created", [("Content-Length", "3"), ("Date", "now"), ("X-A", "b")])
        write(b"a")
        return Parts()

    answer = ApplicationCall(application, shown()).finish()
    assert (answer.status, answer.body, answer.headers, answer.length) == (201, b"abc", (("X-A", "b"),), None)
    assert closed == [True]
    assert ApplicationCall(application, shown(method="HEAD")).finish().length == 3


LONG = [("Content-Length", "100000")]


def test_an_application_that_begins_late_is_waited_for() -> None:
    def application(_environ: WSGIEnvironment, start_response: Callable[..., object]) -> Iterator[bytes]:
        start_response("200 OK", LONG)
        yield b"late"

    assert ApplicationCall(application, shown()).finish().body == b"late"


@pytest.fixture
def statuses() -> list[int]:
    return []


def test_every_answer_is_noted_and_the_mistakes_of_the_application_are_answered(statuses: list[int]) -> None:
    def application(environ: WSGIEnvironment, start_response: Callable[..., object]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/mistake":
            raise RuntimeError("canary")  # noqa: EM101 - a mistake
        start_response("200 OK", [])
        return [b"fine"]

    def note(_request: HttpRequest, answer: HttpResponse) -> None:
        statuses.append(answer.status)

    with ThreadPoolExecutor(1) as threads, LocalListener() as listener:
        listener.pool.handler = WsgiHandler(
            application, HERE, listener.loop, threads, 1, lambda: 10, lambda _: None, note
        )
        with listener.connect() as client:
            client.sendall(
                b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /mistake HTTP/1.1\r\nHost: x\r\n\r\n" + b"nonsense\r\n\r\n"
            )
            received = read_all(client)
    assert [received.count(b"HTTP/1.1 %d " % code) for code in (200, 500, 400)] == [1, 1, 1]
    assert b"canary" not in received
    assert statuses == [200, 500, 400]


REQUEST = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"


class Held:
    """An application that answers when the test allows it."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.answered = 0
        self.may_answer = threading.Event()

    def __call__(self, environ: WSGIEnvironment, start_response: Callable[..., object]) -> Iterable[bytes]:
        self.paths.append(environ["PATH_INFO"])
        assert self.may_answer.wait(LONG_SECONDS)
        start_response("200 OK", [])
        yield b"fine"
        self.answered += 1


@contextmanager
def held_handler(seconds: float, statuses: list[int]) -> Iterator[tuple[Held, LocalListener]]:
    """A listener whose application holds back its answers, in one thread."""
    application = Held()

    def note(_request: HttpRequest, answer: HttpResponse) -> None:
        statuses.append(answer.status)

    with ThreadPoolExecutor(1) as threads, LocalListener() as listener:
        listener.pool.handler = WsgiHandler(
            application, HERE, listener.loop, threads, 1, lambda: 10, lambda _request: None, note, seconds
        )
        try:
            yield application, listener
        finally:
            application.may_answer.set()


def assert_given_up(answer: bytes) -> None:
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 5\r\n" in answer
    assert b"the store cannot be used, please try again" in answer


def test_an_application_that_hangs_is_answered_for_once_and_its_late_answer_is_dropped(statuses: list[int]) -> None:
    with held_handler(0.01, statuses) as (application, listener), listener.connect() as client:
        client.sendall(REQUEST % b"/first")
        assert_given_up(read_until(client, b'the reason"}\n'))
        application.may_answer.set()
        wait_until(lambda: application.answered == 1, "the late answer")
        client.sendall(b"nonsense\r\n\r\n")
        assert read_all(client).startswith(b"HTTP/1.1 400 ")
    assert statuses == [503, 400]
    assert application.paths == ["/first"]


def test_a_request_that_waited_too_long_for_a_thread_never_reaches_the_application(statuses: list[int]) -> None:
    with held_handler(0.01, statuses) as (application, listener):
        for number in range(3):
            assert_given_up(listener.exchange(REQUEST % b"/%d" % number))
        application.may_answer.set()
    assert statuses == [503] * 3
    assert application.paths == ["/0"]


def test_an_answer_in_time_is_the_only_one(statuses: list[int]) -> None:
    with held_handler(LONG_SECONDS, statuses) as (application, listener):
        application.may_answer.set()
        assert listener.exchange(REQUEST % b"/" + REQUEST % b"/").count(b"HTTP/1.1 200 ") == 2
    assert statuses == [200, 200]
    assert application.paths == ["/", "/"]


class Recorded:
    """An application that records when it is called and when its responses are iterated."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.may_begin = threading.Event()

    def __call__(self, environ: WSGIEnvironment, start_response: Callable[..., object]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        self.steps.append(f"called {path}")
        assert self.may_begin.wait(LONG_SECONDS)
        if path == "/wrong":
            raise RuntimeError("canary")  # noqa: EM101 - a mistake
        start_response("200 OK", [])
        return self._iterate(path)

    def _iterate(self, path: str) -> Iterator[bytes]:
        self.steps.append(f"iterated {path}")
        if path == "/late":
            message = "the disk is full"
            raise StoreError(message)
        yield b"fine"


def exchange_together(*requests: bytes, batch: int) -> tuple[list[str], list[int]]:
    """Have one thread process requests that arrive while it is busy; returns its steps and the statuses."""
    application = Recorded()
    with ThreadPoolExecutor(1) as threads, LocalListener() as listener, ExitStack() as clients:
        handler = listener.pool.handler = WsgiHandler(
            application,
            HERE,
            listener.loop,
            threads,
            1,
            lambda: MAX_BATCH_BYTES,
            lambda _: None,
            lambda *_: None,
            batch=batch,
        )
        open_clients: list[socket.socket] = []

        def all_but_the_first_wait() -> bool:
            return bool(application.steps) and len(handler._waiting) == len(open_clients) - 1  # noqa: SLF001 - or slowly

        for request in (REQUEST % b"/first", *requests):
            client = clients.enter_context(listener.connect())
            client.sendall(request)
            open_clients.append(client)
            wait_until(all_but_the_first_wait, "it to wait")
        application.may_begin.set()
        received = [read_until(client, b"\r\n\r\n") for client in open_clients]
    return application.steps[2:], [int(each.split(b" ", 2)[1]) for each in received[1:]]


def test_the_application_is_called_for_all_that_wait_before_the_first_response_is_iterated() -> None:
    steps, statuses = exchange_together(*(REQUEST % path for path in (b"/a", b"/b", b"/c")), batch=2)
    assert steps == ["called /a", "called /b", "iterated /a", "iterated /b", "called /c", "iterated /c"]
    assert statuses == [200] * 3


def test_a_mistake_of_one_request_leaves_the_others_alone() -> None:
    steps, statuses = exchange_together(*(REQUEST % path for path in (b"/wrong", b"/late", b"/fine")), batch=8)
    assert steps == ["called /wrong", "called /late", "called /fine", "iterated /late", "iterated /fine"]
    assert statuses == [500, 503, 200]


def test_a_small_request_waits_for_few_large_ones() -> None:
    size = 3 * MAX_BATCH_BYTES // 8
    large = b"POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (size, bytes(size))
    steps, statuses = exchange_together(large, large, large, REQUEST % b"/small", batch=8)
    assert steps == [
        *["called /large"] * 2,
        *["iterated /large"] * 2,
        "called /large",
        "called /small",
        *["iterated /large", "iterated /small"],
    ]
    assert statuses == [200] * 4
