"""The webhook's Flask application in this process, over a ledger that fails when the test wants it to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from builders import at, body
from clocks import FakeMachine
from exporter.config import loader
from exporter.domain.errors import StoreError
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.server.http.messages import Headers, HttpRequest
from exporter.server.http.wsgi import HTTP_REQUEST
from exporter.server.service import Service
from exporter.server.webhook import flask_app
from exporter.server.webhook.endpoint import Webhook
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from werkzeug.test import TestResponse

    from exporter.ledger.contract import Entry


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


def post(webhook: Webhook) -> TestResponse:
    """Post an event."""
    path = "/webhooks/clevertap/default"
    request = HttpRequest("POST", path.encode(), Headers(()), "127.0.0.1", "http", time.perf_counter(), "127.0.0.1")
    assert webhook.on_headers(request) is None
    client = flask_app.create_app(webhook).test_client()
    return client.post(path, data=body(), environ_overrides={HTTP_REQUEST: request})


def assert_unavailable(response: TestResponse) -> None:
    assert response.status_code == 503
    assert response.mimetype == "application/problem+json"
    assert int(response.headers["Retry-After"]) > 0
    assert "fire" not in response.text  # where the store is, and what is wrong with it, is no stranger's business


def test_an_event_that_cannot_be_stored_is_not_acknowledged(webhook: Webhook, ledger: FailingLedger) -> None:
    ledger.error = StoreError("the disk is on fire")
    assert_unavailable(post(webhook))
    ledger.error = None
    assert post(webhook).json == {"accepted": 1, "duplicates": 0, "quarantined": 0}
