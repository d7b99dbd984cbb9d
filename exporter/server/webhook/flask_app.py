"""The webhook as a Flask application: ``POST /webhooks/<vendor>/<source>``, and nothing else.

It receives only requests whose path, method and credential were checked by `Webhook.on_headers`
(`exporter.server.webhook.endpoint`), and whose body the connection has read within its limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flask import Flask, Response, request

from exporter.domain.errors import PayloadError
from exporter.ingest.vendors.registry import PREFIX
from exporter.server.http.flask_adapter import register_error_handlers
from exporter.server.http.wsgi import HTTP_REQUEST
from exporter.server.webhook import content_encoding
from exporter.server.webhook.endpoint import outcome_fields, success_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.config.loader import ConfiguredSource
    from exporter.ingest.intake import Receipt
    from exporter.server.http.messages import HttpRequest
    from exporter.server.webhook.endpoint import Webhook


def create_app(webhook: Webhook) -> Flask:
    """Create the WSGI application of the webhook listener."""
    app = Flask("exporter.server.webhook.flask_app", static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False

    @app.post(f"{PREFIX}<_vendor>/<_slug>")
    def receive(_vendor: str, _slug: str) -> Response:
        http_request = cast("HttpRequest", request.environ[HTTP_REQUEST])
        source = cast("ConfiguredSource", http_request.source_config).source
        headers = http_request.headers
        body = request.get_data(cache=False)
        try:
            body = content_encoding.decode(body, headers.get("Content-Encoding"), webhook.max_body_bytes)
            arrived_at, epoch = webhook.read_clock()
            intake = webhook.intake  # a reload replaces it
            entries = intake.prepare(source, body, arrived_at, headers.get("Content-Type"), epoch)
        except PayloadError:
            http_request.refused_body = body
            raise
        webhook.charge(source.slug, entries)
        wait = intake.submit(source, entries)
        return Response(_document_when_stored(http_request, wait), content_type="application/json")

    register_error_handlers(app)
    return app


def _document_when_stored(http_request: HttpRequest, wait: Callable[[], Receipt]) -> Iterator[bytes]:
    """Yield the body of the response once everything is on disk.

    It is iterated outside Flask, after the views of other requests have run, so that they share a commit; see
    `exporter.server.http.wsgi.WsgiHandler`, which responds to a `StoreError` from here.
    """
    receipt = wait()
    http_request.outcome = outcome_fields(receipt)
    yield success_document(receipt)
