"""Around the Flask application of the webhook: who may post, what is answered, and what is counted and logged."""

from __future__ import annotations

import time
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from exporter.domain.exports import UNKNOWN
from exporter.server.http.access_log import log_request
from exporter.server.http.messages import Answer
from exporter.server.http.problems import document, usual
from exporter.server.webhook.auth_throttle import MINUTE, FailedAttempts, client_address

if TYPE_CHECKING:
    from exporter.ingest.intake import Intake, Receipt
    from exporter.server.http.messages import Exchange
    from exporter.server.service import Service

PREFIX = "/webhooks/clevertap/"
STORE_SECONDS = 1.6
"""A request that is not committed this long after it arrived is answered 503; the sender waits three seconds."""

_NOT_FOUND = usual(HTTPStatus.NOT_FOUND)
_METHOD_NOT_ALLOWED = usual(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "POST"})
_JSON = (("Content-Type", "application/json"),)


class Webhook:
    """The webhook of one process.

    Args:
        service: takes what is posted.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._failures = FailedAttempts()

    @property
    def intake(self) -> Intake:
        """The way to the ledger."""
        return self._service.intake

    def now(self) -> float:
        """The clock, in Unix seconds."""
        return self._service.now()

    @property
    def most_bytes(self) -> int:
        """How many bytes a body may have."""
        return self._service.config.limits.request_bytes

    def begin(self, exchange: Exchange) -> Answer | None:
        """Refuse a request because of its headers; see `exporter.server.http.messages.Front`."""
        hops = self._service.config.trusted_hops
        exchange.client = client_address(exchange.peer, exchange.headers.get("X-Forwarded-For"), hops)
        path = exchange.path
        if not path.startswith(PREFIX):
            return _NOT_FOUND
        slug = path[len(PREFIX) :]
        if not slug or "/" in slug:
            return _NOT_FOUND
        if exchange.method != "POST":
            return _METHOD_NOT_ALLOWED
        configured = self._service.config.sources.get(slug)
        if configured is None:
            return _NOT_FOUND
        exchange.source, exchange.configured = slug, configured
        if not configured.credentials.admit(exchange.headers):
            return self._refuse(exchange)
        return None

    def _refuse(self, exchange: Exchange) -> Answer:
        """The answer to a request without a valid credential."""
        self._service.telemetry.auth_failures.labels(exchange.source).inc()
        if self._failures.too_many(exchange.client, time.monotonic()):
            wait = {"Retry-After": str(int(MINUTE))}
            return document(HTTPStatus.TOO_MANY_REQUESTS, "too many requests without a valid credential", wait)
        schemes = {"WWW-Authenticate": 'Bearer realm="webhook", Basic realm="webhook"'}
        return document(HTTPStatus.UNAUTHORIZED, "no valid credential for this source", schemes)

    def note(self, exchange: Exchange, answer: Answer) -> None:
        """Count and log what was answered."""
        seconds = time.perf_counter() - exchange.began
        self._service.telemetry.answered(exchange.source or UNKNOWN, answer.status, seconds)
        log_request("webhook", exchange, answer)


def outcome(receipt: Receipt) -> dict[str, object]:
    """What became of a body, in the words of the answer and of the log."""
    if receipt.is_test:
        return {"test": True}
    return {"accepted": receipt.accepted, "duplicates": receipt.duplicates, "quarantined": receipt.quarantined}


def acknowledgement(receipt: Receipt) -> Answer:
    """The answer once all of a body is on disk."""
    if receipt.is_test:
        return _TEST
    return _accepted(receipt.accepted, receipt.duplicates, receipt.quarantined)


@lru_cache(maxsize=64)
def _accepted(accepted: int, duplicates: int, quarantined: int) -> Answer:
    """An answer, kept: most are of one event that was new."""
    told = f'{{"accepted":{accepted},"duplicates":{duplicates},"quarantined":{quarantined}}}\n'
    return Answer(200, told.encode(), _JSON)


_TEST = Answer(200, b'{"test":true}\n', _JSON)
