"""What surrounds the webhook's Flask application: admission of requests, success responses, counting and logging."""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from exporter.domain.exports import UNKNOWN_SOURCE
from exporter.ingest.vendors.registry import PREFIX, VENDORS, adapter_of
from exporter.server.http.auth_throttle import AuthThrottle, client_address
from exporter.server.http.browsers import refuse_foreign_host, refuse_foreign_page
from exporter.server.http.messages import HttpResponse
from exporter.server.http.problems import TOO_MANY_ATTEMPTS, standard_problem, unauthorized
from exporter.server.webhook.source_budgets import SourceBudgets

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.domain.epochs import Epoch
    from exporter.ingest.intake import Intake, Receipt
    from exporter.ledger.contract import Entry
    from exporter.server.http.messages import HttpRequest
    from exporter.server.service import Service

COMMIT_TIMEOUT_SECONDS = 1.6
"""The time limit for a response, which is 503 without a commit in time. Senders wait for three seconds."""

HEALTH_PATH = "/-/healthy"
"""Answered with 200 and nothing else, for load balancers; neither counted nor logged."""

_HEALTHY = HttpResponse(200, b"", (("Content-Type", "text/plain"),))
_NOT_FOUND = standard_problem(HTTPStatus.NOT_FOUND)
_METHOD_NOT_ALLOWED = standard_problem(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "POST"})
_HEALTH_METHODS = ("GET", "HEAD")
_HEALTH_METHOD_NOT_ALLOWED = standard_problem(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": ", ".join(_HEALTH_METHODS)})
_REFUSALS = range(400, 500)
_UNAUTHORIZED = unauthorized("webhook", "this source")


class Webhook:
    """The admission, counting and logging of webhook requests.

    Args:
        service: provides the configuration, the intake and the metrics.
        log_request: logs a request and its response.
    """

    def __init__(self, service: Service, log_request: Callable[[HttpRequest, HttpResponse], None]) -> None:
        self._service = service
        self._log_request = log_request
        self._throttle = AuthThrottle()
        self._budgets = SourceBudgets()

    @property
    def intake(self) -> Intake:
        """The current intake; a reload replaces it."""
        return self._service.intake

    def charge(self, source: str, entries: list[Entry]) -> None:
        """Charge a source for a body; see `SourceBudgets.charge`."""
        self._budgets.charge(source, entries, self._service.config.limits, time.monotonic())

    def read_clock(self) -> tuple[float, Epoch]:
        """Return the time, in Unix seconds, and its epoch."""
        return self._service.clock.read()

    @property
    def max_body_bytes(self) -> int:
        """The largest body that is accepted, in bytes."""
        return self._service.config.limits.request_bytes

    def on_headers(self, request: HttpRequest) -> HttpResponse | None:
        """Refuse a request by its path, method or credential; see `exporter.server.http.messages.HttpHandler`."""
        hops = self._service.config.trusted_hops
        request.client = client_address(request.peer, request.headers.get("X-Forwarded-For"), hops)
        path = request.path
        if path == HEALTH_PATH:
            return _HEALTHY if request.method in _HEALTH_METHODS else _HEALTH_METHOD_NOT_ALLOWED
        vendor, _, slug = path.removeprefix(PREFIX).partition("/")
        if not path.startswith(PREFIX) or vendor not in VENDORS or not slug or "/" in slug:
            return _NOT_FOUND
        if request.method != "POST":
            return _METHOD_NOT_ALLOWED
        refusal = refuse_foreign_page(request.method, request.headers)
        return refusal or self._authenticate(request, vendor, slug)

    def _authenticate(self, request: HttpRequest, vendor: str, slug: str) -> HttpResponse | None:
        source_config = self._service.config.sources.get(slug)
        if source_config is None or adapter_of(source_config.source).name != vendor:
            return self._refuse_guess(request, _NOT_FOUND)
        request.source, request.source_config = slug, source_config
        credentials = source_config.credentials
        refusal = None if credentials.are_required else refuse_foreign_host(request.headers)
        if refusal is None:
            request.authenticated = credentials.accepts(request.headers)
            if not request.authenticated:
                refusal = self._refuse_guess(request, _UNAUTHORIZED)
        return refusal

    def _refuse_guess(self, request: HttpRequest, refusal: HttpResponse) -> HttpResponse:
        """Count a guess at a source or a credential; return the refusal, or 429 if there were too many."""
        self._service.process_metrics.auth_failures.labels(request.source or UNKNOWN_SOURCE).inc()
        return TOO_MANY_ATTEMPTS if self._throttle.record_failure(request.client, time.monotonic()) else refusal

    def on_response(self, request: HttpRequest, response: HttpResponse) -> None:
        """Count and log a response, and record what an authenticated sender was refused, with the reason."""
        if response is _HEALTHY:
            return
        if request.authenticated and response.status in _REFUSALS:
            detail = json.loads(response.body)["detail"]
            request.outcome = {"refused": detail}
            if response.status != HTTPStatus.TOO_MANY_REQUESTS:  # whose writes the budget is to prevent
                self._service.refused_bodies.record(request.source, response.status, detail, request.refused_body)
        seconds = time.perf_counter() - request.started_at
        self._service.process_metrics.count_response(request.source or UNKNOWN_SOURCE, response.status, seconds)
        self._log_request(request, response)


def outcome_fields(receipt: Receipt) -> dict[str, object]:
    """Return what happened to a body, as fields of the access log."""
    if receipt.is_test:
        return {"test": True}
    return {"accepted": receipt.accepted, "duplicates": receipt.duplicates, "quarantined": receipt.quarantined}


def success_document(receipt: Receipt) -> bytes:
    """Return the JSON that responds to a body of which everything is committed."""
    if receipt.is_test:
        return b'{"test":true}\n'
    counts = receipt.accepted, receipt.duplicates, receipt.quarantined
    return b'{"accepted":%d,"duplicates":%d,"quarantined":%d}\n' % counts
