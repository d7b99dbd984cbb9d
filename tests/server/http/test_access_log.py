"""The access log: what it says of a request, and how little strangers can make it write."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from exporter.server.http.access_log import LINES_PER_SECOND, MAX_CHARACTERS, AccessLog
from exporter.server.http.messages import Headers, HttpRequest, HttpResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_FOUND = HttpResponse(404, b"", ())


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
        AccessLog(loop).log_request("webhook", request(b"/" + b"%ff" * 600, authenticated=False), NOT_FOUND)
        AccessLog(loop).log_request("webhook", request(b"/a?token=secret", authenticated=False), NOT_FOUND)
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
            log.log_request("webhook", request(b"/", authenticated=False), NOT_FOUND)
            log.log_request("admin", request(b"/", authenticated=True), NOT_FOUND)
        log.end_second()
        log.log_request("webhook", request(b"/", authenticated=False), NOT_FOUND)
        log.end_second()
    assert [line["event"] for line in lines].count("admin") == 1000
    others = [line for line in lines if line["event"] != "admin"]
    assert [line["event"] for line in others] == [
        *["webhook"] * LINES_PER_SECOND,
        "and more requests without a valid credential",
        "webhook",
    ]
    assert others[LINES_PER_SECOND]["requests"] == 1000 - LINES_PER_SECOND
    assert delays == [1.0, 1.0]  # a second begins with the first of them
