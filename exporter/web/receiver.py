"""The public listener: ``POST /webhooks/clevertap/<source>``, and nothing else."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import NotFound, RequestEntityTooLarge

from exporter.settings import UNKNOWN
from exporter.web.access_log import log_requests
from exporter.web.failures import MINUTE, FailedAttempts
from exporter.web.problems import answer_with_problems, problem

if TYPE_CHECKING:
    from exporter.service import Service


def create_app(service: Service) -> Flask:
    """The WSGI application of the public listener."""
    app = Flask("exporter.web.receiver", static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    failures = FailedAttempts()

    @app.post("/webhooks/clevertap/<slug>")
    def receive(slug: str) -> Response:
        arrived_at = service.now()
        configured = service.config.sources.get(slug)
        if configured is None:
            raise NotFound
        g.source = slug
        if not configured.credentials.admit(request.headers):
            service.telemetry.auth_failures.labels(slug).inc()
            if failures.too_many(request.remote_addr or "", time.monotonic()):
                wait = {"Retry-After": str(int(MINUTE))}
                return problem(HTTPStatus.TOO_MANY_REQUESTS, "too many requests without a valid credential", wait)
            schemes = {"WWW-Authenticate": 'Bearer realm="webhook", Basic realm="webhook"'}
            return problem(HTTPStatus.UNAUTHORIZED, "no valid credential for this source", schemes)
        most = service.config.limits.request_bytes
        # One more than that, since Werkzeug cuts a chunked body off at its limit and says nothing.
        request.max_content_length = most + 1
        body = request.get_data(cache=False)
        if len(body) > most:
            raise RequestEntityTooLarge
        receipt = service.intake.take(configured.source, body, arrived_at)
        g.outcome = {
            "accepted": receipt.accepted,
            "duplicates": receipt.duplicates,
            "quarantined": receipt.quarantined,
        }
        if receipt.is_test:
            g.outcome = {"test": True}
        return jsonify(g.outcome)

    answer_with_problems(app)
    log_requests(app, "webhook")

    @app.after_request
    def count(response: Response) -> Response:
        source = g.get("source", UNKNOWN)
        service.telemetry.requests.labels(source, str(response.status_code)).inc()
        service.telemetry.request_duration.labels(source).observe(time.perf_counter() - g.began)
        return response

    return app
