"""The webhook as a Flask application: ``POST /webhooks/clevertap/<source>``, and nothing else.

`Webhook.on_headers` (`exporter.server.webhook.endpoint`) has checked path, method and credential before the body
arrived, and the connection has held the body to its limit.
"""

from __future__ import annotations

import time
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, cast

from flask import Flask, Response, request

from exporter.domain.errors import StoreError
from exporter.server.http.flask_adapter import flask_response, register_error_handlers
from exporter.server.http.wsgi import EXCHANGE
from exporter.server.webhook.endpoint import COMMIT_TIMEOUT_SECONDS, PREFIX, outcome_fields, success_response

if TYPE_CHECKING:
    from exporter.config.loader import ConfiguredSource
    from exporter.domain.exports import Source
    from exporter.ingest.intake import Receipt
    from exporter.server.http.messages import HttpRequest
    from exporter.server.webhook.endpoint import Webhook


def create_app(webhook: Webhook) -> Flask:
    """The WSGI application of the public listener."""
    app = Flask("exporter.server.webhook.flask_app", static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False

    @app.post(f"{PREFIX}<_slug>")
    def receive(_slug: str) -> Response:
        http_request = cast("HttpRequest", request.environ[EXCHANGE])
        source = cast("ConfiguredSource", http_request.source_config).source
        receipt = keep(source, request.get_data(cache=False), http_request.deadline)
        http_request.outcome = outcome_fields(receipt)
        return flask_response(success_response(receipt))

    def keep(source: Source, body: bytes, deadline: float) -> Receipt:
        intake = webhook.intake
        entries = intake.prepare(source, body, webhook.now())
        try:
            fresh = intake.submit(entries).result(deadline - time.perf_counter()) if entries else []
        except FutureTimeoutError as error:
            message = f"no commit within {COMMIT_TIMEOUT_SECONDS:g} s"
            raise StoreError(message) from error
        return intake.receipt_for(source, entries, fresh)

    register_error_handlers(app)
    return app
