"""The webhook's Flask application in this process, over a ledger that fails when the test wants it to."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from builders import at, body
from clocks import FakeMachine
from exporter.config import loader
from exporter.config.values import Address
from exporter.domain.errors import StoreError
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.server.http.messages import Headers, HttpRequest
from exporter.server.http.problems import response_to_error
from exporter.server.http.wsgi import ApplicationCall, wsgi_environ
from exporter.server.service import Service
from exporter.server.webhook import flask_app
from exporter.server.webhook.endpoint import Webhook
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.ledger.contract import Entry
    from exporter.server.http.messages import HttpResponse


class FailingLedger(MemoryLedger):
    """A ledger whose appends fail while ``error`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None

    def append(self, entries: Sequence[Entry]) -> list[bool]:
        if self.error is not None:
            raise self.error
        return super().append(entries)


@pytest.fixture
def ledger() -> FailingLedger:
    return FailingLedger()


@pytest.fixture
def webhook(ledger: FailingLedger) -> Iterator[Webhook]:
    config = loader.load(None, {})
    service = Service(config, lambda: config, ledger, ProcessMetrics(), machine=FakeMachine(at("0:00") + 2))
    yield Webhook(service, lambda _request, _response: None)
    service.stop()


def post(webhook: Webhook) -> HttpResponse:
    """Post an event."""
    path = b"/webhooks/clevertap/default"
    request = HttpRequest("POST", path, Headers(()), "127.0.0.1", "http", time.perf_counter(), "127.0.0.1")
    assert webhook.on_headers(request) is None
    environ = wsgi_environ(request, body(), Address("127.0.0.1", 8080))
    try:
        return ApplicationCall(flask_app.create_app(webhook), environ).finish()
    except StoreError as error:
        return response_to_error(error)


def test_an_event_that_cannot_be_stored_is_not_acknowledged(webhook: Webhook, ledger: FailingLedger) -> None:
    ledger.error = StoreError("the disk is on fire")
    response = post(webhook)
    headers = dict(response.headers)
    assert (response.status, headers["Content-Type"]) == (503, "application/problem+json")
    assert int(headers["Retry-After"]) > 0
    assert b"fire" not in response.body  # where the store is, and what is wrong with it, is no stranger's business
    ledger.error = None
    assert json.loads(post(webhook).body) == {"accepted": 1, "duplicates": 0, "quarantined": 0}
