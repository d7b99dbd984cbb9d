"""The access log: what it says of a request, and how little strangers can make it write."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import structlog
from structlog.testing import capture_logs

from exporter.server.http import access_log
from exporter.server.http.access_log import LINES_PER_SECOND, MAX_CHARACTERS, AccessLog
from exporter.server.http.messages import Headers, HttpRequest, HttpResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = HttpResponse(200, b"", ())
NOT_FOUND = HttpResponse(404, b"", ())
NOT_READY = HttpResponse(503, b"", ())


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def request(target: bytes, *, authenticated: bool) -> HttpRequest:
    client = f"fe80::1%{'a' * 1000}"
    return HttpRequest("GET", target, Headers(()), "", "http", 0.0, client, authenticated=authenticated)


def test_of_what_a_stranger_wrote_128_characters_are_logged(loop: asyncio.AbstractEventLoop) -> None:
    with capture_logs() as lines:
        AccessLog(loop).log_request("webhook_request", request(b"/" + b"%ff" * 600, authenticated=False), NOT_FOUND)
        AccessLog(loop).log_request("webhook_request", request(b"/a?token=secret", authenticated=False), NOT_FOUND)
    assert [len(line["path"]) for line in lines] == [MAX_CHARACTERS, 2]
    assert [len(line["client"]) for line in lines] == [MAX_CHARACTERS] * 2


def test_of_requests_without_a_credential_few_are_logged_and_the_others_counted(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays = []
    monkeypatch.setattr(loop, "call_later", lambda seconds, _: delays.append(seconds))
    log = AccessLog(loop)
    with capture_logs() as lines:
        for _ in range(1000):
            log.log_request("webhook_request", request(b"/", authenticated=False), NOT_FOUND)
            log.log_request("admin_request", request(b"/", authenticated=True), NOT_FOUND)
        log.end_second()
        log.log_request("webhook_request", request(b"/", authenticated=False), NOT_FOUND)
        log.end_second()
    assert [line["event"] for line in lines].count("admin_request") == 1000
    others = [line for line in lines if line["event"] != "admin_request"]
    assert [line["event"] for line in others] == [
        *["webhook_request"] * LINES_PER_SECOND,
        "requests_not_logged",
        "webhook_request",
    ]
    assert others[LINES_PER_SECOND]["requests"] == 1000 - LINES_PER_SECOND
    assert delays == [1.0, 1.0]  # a second begins with the first of them


@pytest.mark.parametrize("target", [b"/-/healthy", b"/-/ready", b"/metrics", b"/metrics?name[]=up"])
def test_probes_and_scrapes_are_logged_at_debug_unless_they_fail(
    loop: asyncio.AbstractEventLoop, target: bytes
) -> None:
    with capture_logs() as lines:
        for response in (OK, NOT_READY):
            AccessLog(loop).log_request("admin_request", request(target, authenticated=True), response)
    assert [(line["log_level"], line["code"]) for line in lines] == [("debug", 200), ("info", 503)]


def test_probes_that_are_not_logged_do_not_hide_requests_without_a_credential(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_info = structlog.make_filtering_bound_logger("info")
    monkeypatch.setattr(access_log, "log", structlog.wrap_logger(None, wrapper_class=at_info))
    log = AccessLog(loop)
    with capture_logs() as lines:
        for _ in range(LINES_PER_SECOND + 1):
            log.log_request("webhook_request", request(b"/-/healthy", authenticated=False), OK)
        log.log_request("webhook_request", request(b"/", authenticated=False), NOT_FOUND)
        log.end_second()
    assert [line["event"] for line in lines] == ["webhook_request"]
