"""What the webhook does below its protocol: who may post, what is answered, and what is noted of it.

Two fronts are put over it: `exporter.web.fast_receiver`, and the Flask application of
`exporter.web.receiver`.
"""

from __future__ import annotations

import time
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from exporter.settings import UNKNOWN
from exporter.web.access_log import RequestLog
from exporter.web.exchange import Answer
from exporter.web.failures import MINUTE, FailedAttempts, client_address
from exporter.web.problems import document, usual

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config import ConfiguredSource
    from exporter.credentials import Headers
    from exporter.intake import Intake, Receipt
    from exporter.service import Service
    from exporter.web.exchange import Exchange

PREFIX = "/webhooks/clevertap/"
STORE_SECONDS = 1.6
"""After so long without a commit the sender is told to try again; it waits three seconds."""

NOT_FOUND = usual(HTTPStatus.NOT_FOUND)
_METHOD_NOT_ALLOWED = usual(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "POST"})
_JSON = (("Content-Type", "application/json"),)


class Webhook:
    """The webhook of one process.

    Args:
        service: takes what is posted.
        soon: calls a function in the event loop, where all answers come from there.
    """

    def __init__(self, service: Service, soon: Callable[[Callable[[], None]], object] | None = None) -> None:
        self._service = service
        self._failures = FailedAttempts()
        self._log = RequestLog("webhook", service.config.log, soon)

    @property
    def intake(self) -> Intake:
        """The way to the ledger."""
        return self._service.intake

    @property
    def most_bytes(self) -> int:
        """How large a body may be."""
        return self._service.config.limits.request_bytes

    def now(self) -> float:
        """The clock, in Unix seconds."""
        return self._service.now()

    def client(self, peer: str, headers: Headers) -> str:
        """The address that counts as the sender's."""
        hops = self._service.config.trusted_hops
        return client_address(peer, headers.get("X-Forwarded-For", ""), hops) if hops else peer

    def begin(self, exchange: Exchange) -> Answer | int:
        """Whether a request is taken, by its headers; see `exporter.web.exchange.Front`."""
        exchange.client = self.client(exchange.peer, exchange.headers)
        path = exchange.path
        if not path.startswith(PREFIX):
            return NOT_FOUND
        slug = path[len(PREFIX) :]
        if not slug or "/" in slug:
            return NOT_FOUND
        if exchange.method != "POST":
            return _METHOD_NOT_ALLOWED
        admitted = self.admit(slug, exchange.headers, exchange.client)
        if isinstance(admitted, Answer):
            exchange.source = "" if admitted is NOT_FOUND else slug
            return admitted
        exchange.source, exchange.configured = slug, admitted
        return self.most_bytes

    def admit(self, slug: str, headers: Headers, client: str) -> ConfiguredSource | Answer:
        """The source of a slug, if a request with these headers may post to it; else what to answer."""
        configured = self._service.config.sources.get(slug)
        if configured is None:
            return NOT_FOUND
        if configured.credentials.admit(headers):
            return configured
        self._service.telemetry.auth_failures.labels(slug).inc()
        if self._failures.too_many(client, time.monotonic()):
            wait = {"Retry-After": str(int(MINUTE))}
            return document(HTTPStatus.TOO_MANY_REQUESTS, "too many requests without a valid credential", wait)
        schemes = {"WWW-Authenticate": 'Bearer realm="webhook", Basic realm="webhook"'}
        return document(HTTPStatus.UNAUTHORIZED, "no valid credential for this source", schemes)

    def note(self, exchange: Exchange, answer: Answer) -> None:
        """Count and log what was answered."""
        seconds = time.perf_counter() - exchange.began
        self._service.telemetry.answered(exchange.source or UNKNOWN, answer.status, seconds)
        self._log.note(exchange, answer)


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
