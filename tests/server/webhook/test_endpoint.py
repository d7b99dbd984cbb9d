"""The webhook's Flask application in this process, over a ledger whose commits the test holds back."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from builders import at, body
from exporter.config import loader
from exporter.domain.errors import StoreError
from exporter.metrics.process_metrics import ProcessMetrics
from exporter.server.http.messages import Headers, HttpRequest
from exporter.server.http.wsgi import EXCHANGE
from exporter.server.service import Service
from exporter.server.webhook import flask_app
from exporter.server.webhook.endpoint import Webhook
from memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from werkzeug.test import TestResponse

    from exporter.ledger.contract import Entry

LONG = 60
"""Seconds that only a hang takes."""


class HeldLedger(MemoryLedger):
    """A ledger that commits in a thread of its own, as soon as the test allows it."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.released = threading.Event()
        self.released.set()
        self._threads = ThreadPoolExecutor(1)

    def submit(self, entries: Sequence[Entry]) -> Future[list[bool]]:
        return self._threads.submit(self._commit, entries)

    def close(self) -> None:
        self._threads.shutdown()

    def _commit(self, entries: Sequence[Entry]) -> list[bool]:
        self.released.wait()
        if self.error is not None:
            raise self.error
        return self.append(entries)


@pytest.fixture
def ledger() -> HeldLedger:
    return HeldLedger()


@pytest.fixture
def webhook(ledger: HeldLedger) -> Iterator[Webhook]:
    configured = loader.load(None, {})
    made = Service(configured, lambda: configured, ledger, ProcessMetrics(), now=lambda: at("0:00") + 2)
    yield Webhook(made)
    ledger.released.set()
    made.stop()


def post(webhook: Webhook, seconds: float = LONG) -> TestResponse:
    """Post an event that has to be answered within so many seconds."""
    path = "/webhooks/clevertap/default"
    request = HttpRequest("POST", path.encode(), Headers(()), "127.0.0.1", "http", time.perf_counter(), "127.0.0.1")
    assert webhook.on_headers(request) is None
    request.deadline = time.perf_counter() + seconds
    client = flask_app.create_app(webhook).test_client()
    return client.post(path, data=body(), environ_overrides={EXCHANGE: request})


def assert_come_again(answer: TestResponse, reason: str) -> None:
    assert answer.status_code == 503
    assert answer.mimetype == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0
    assert reason in answer.text


def test_an_event_that_cannot_be_stored_is_not_acknowledged(webhook: Webhook, ledger: HeldLedger) -> None:
    ledger.error = StoreError("the disk is on fire")
    assert_come_again(post(webhook), "the disk is on fire")
    ledger.error = None
    assert post(webhook).json == {"accepted": 1, "duplicates": 0, "quarantined": 0}


@pytest.mark.parametrize("seconds", [0.01, 0, -1])
def test_an_event_committed_after_its_deadline_is_a_duplicate_when_it_is_sent_again(
    webhook: Webhook, ledger: HeldLedger, seconds: float
) -> None:
    ledger.released.clear()
    assert_come_again(post(webhook, seconds), "no commit within")
    ledger.released.set()
    assert post(webhook).json == {"accepted": 0, "duplicates": 1, "quarantined": 0}
