"""Around the Flask application of the webhook: who may post, what is answered, and what is counted and logged."""

from __future__ import annotations

import time
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from exporter.domain.exports import UNKNOWN_SOURCE
from exporter.ingest.vendors.registry import PREFIX, VENDORS, adapter_of
from exporter.server.http.access_log import log_request
from exporter.server.http.messages import HttpResponse
from exporter.server.http.problems import problem_document, standard_problem
from exporter.server.webhook.auth_throttle import MINUTE, AuthThrottle, client_address

if TYPE_CHECKING:
    from exporter.ingest.intake import Intake, Receipt
    from exporter.server.http.messages import HttpRequest
    from exporter.server.service import Service

COMMIT_TIMEOUT_SECONDS = 1.6
"""A request that is not committed this long after it arrived is answered 503; the sender waits three seconds."""

_NOT_FOUND = standard_problem(HTTPStatus.NOT_FOUND)
_METHOD_NOT_ALLOWED = standard_problem(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "POST"})
_JSON = (("Content-Type", "application/json"),)


class Webhook:
    """The webhook of one process.

    Args:
        service: takes what is posted.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._throttle = AuthThrottle()

    @property
    def intake(self) -> Intake:
        """The way to the ledger."""
        return self._service.intake

    def now(self) -> float:
        """The clock, in Unix seconds."""
        return self._service.now()

    @property
    def max_body_bytes(self) -> int:
        """How many bytes a body may have."""
        return self._service.config.limits.request_bytes

    def on_headers(self, request: HttpRequest) -> HttpResponse | None:
        """Refuse a request because of its headers; see `exporter.server.http.messages.HttpHandler`."""
        hops = self._service.config.trusted_hops
        request.client = client_address(request.peer, request.headers.get("X-Forwarded-For"), hops)
        path = request.path
        if not path.startswith(PREFIX):
            return _NOT_FOUND
        vendor, _, slug = path[len(PREFIX) :].partition("/")
        if vendor not in VENDORS or not slug or "/" in slug:
            return _NOT_FOUND
        if request.method != "POST":
            return _METHOD_NOT_ALLOWED
        configured = self._service.config.sources.get(slug)
        if configured is None or adapter_of(configured.source).name != vendor:
            return _NOT_FOUND
        request.source, request.source_config = slug, configured
        if not configured.credentials.accepts(request.headers):
            return self._refuse(request)
        return None

    def _refuse(self, request: HttpRequest) -> HttpResponse:
        """The answer to a request without a valid credential."""
        self._service.process_metrics.auth_failures.labels(request.source).inc()
        if self._throttle.record_failure(request.client, time.monotonic()):
            wait = {"Retry-After": str(int(MINUTE))}
            return problem_document(HTTPStatus.TOO_MANY_REQUESTS, "too many requests without a valid credential", wait)
        schemes = {"WWW-Authenticate": 'Bearer realm="webhook", Basic realm="webhook"'}
        return problem_document(HTTPStatus.UNAUTHORIZED, "no valid credential for this source", schemes)

    def on_response(self, request: HttpRequest, answer: HttpResponse) -> None:
        """Count and log what was answered."""
        seconds = time.perf_counter() - request.started_at
        self._service.process_metrics.count_response(request.source or UNKNOWN_SOURCE, answer.status, seconds)
        log_request("webhook", request, answer)


def outcome_fields(receipt: Receipt) -> dict[str, object]:
    """What became of a body, in the words of the answer and of the log."""
    if receipt.is_test:
        return {"test": True}
    return {"accepted": receipt.accepted, "duplicates": receipt.duplicates, "quarantined": receipt.quarantined}


def success_response(receipt: Receipt) -> HttpResponse:
    """The answer once all of a body is on disk."""
    if receipt.is_test:
        return _TEST_CALL_RESPONSE
    return _accepted_response(receipt.accepted, receipt.duplicates, receipt.quarantined)


@lru_cache(maxsize=64)
def _accepted_response(accepted: int, duplicates: int, quarantined: int) -> HttpResponse:
    """An answer, kept: most are of one event that was new."""
    body = f'{{"accepted":{accepted},"duplicates":{duplicates},"quarantined":{quarantined}}}\n'
    return HttpResponse(200, body.encode(), _JSON)


_TEST_CALL_RESPONSE = HttpResponse(200, b'{"test":true}\n', _JSON)
